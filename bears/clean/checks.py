"""Check what may be wrong with a photo. To add a check, such as for blurred photos, add a function to `CHECKS`.

A check is given the `Photos` of a folder and returns a `Finding` about them all.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from bears.model.wording import percent
from sklearn.neighbors import NearestNeighbors

MAX_DISTANCE = 0.3  # of the usual distance between photos: what is closer is a near-duplicate
UNLIKE = 0.5  # of the likeness to the other photos; most photos have more, and at most a tenth is called unlike


@dataclass
class Photos:
    """The photos below a folder, and what a model that never saw them says of each, all in the order of `files`."""

    files: list[Path]  # for a look at the pixels: bears.model.photo.open_photo
    names: list[str]  # paths below the folder, `class/file`
    vocab: list[str]  # the classes
    labels: list[str]  # those whose folders the photos lie in
    guesses: list[str]  # those that the photos look most like,
    certainty: np.ndarray  # how probable these are, (photos,),
    confidence: np.ndarray  # and how probable the labels are, (photos,); cleanlab calls it self-confidence
    likeness: np.ndarray  # to the other photos, (photos,): 1 is identical, 0 is not alike at all,
    show_none: np.ndarray  # and whether `bears.model.ood` says that they show none of the classes, (photos,),
    features: torch.Tensor  # (photos, n)

    @cached_property
    def near_duplicates(self) -> dict[int, int]:
        return find_near_duplicates(self.features, self.confidence * self.likeness)


@dataclass
class Finding:
    """Hold what a check says of all photos, in their order."""

    found: np.ndarray  # whether it counts as wrong, and is suggested to be set aside (ranking.py), bool
    scores: np.ndarray  # from 0, certainly wrong, to 1; the product of all checks' scores is what photos are ranked by
    says: list[str]  # what it has to say, or ""


def near_duplicate(photos: Photos) -> Finding:
    """Does less harm than what is plainly wrong, so it does not come first."""
    found = np.isin(np.arange(len(photos.files)), list(photos.near_duplicates))
    says = [""] * len(found)
    for i, better in photos.near_duplicates.items():
        says[i] = f"nearly the same photo as {photos.names[better]}"
    return Finding(found, np.where(found, 0.25, 1), says)


def none_of_the_classes(photos: Photos) -> Finding:
    """Use `bears.model.ood`, or find photos that are unlike the others and like another class, since they show neither.

    Photos that are merely unlike the others are said to be, but not counted.
    """
    unlike = photos.likeness < min(UNLIKE, np.quantile(photos.likeness, 0.1))
    says = [f"unlike the others ({int(100 * x)}% alike)" if u else "" for x, u in zip(photos.likeness, unlike)]
    says = ["may show none of your classes" if none else words for none, words in zip(photos.show_none, says)]
    found = photos.show_none | (unlike & (np.array(photos.guesses) != photos.labels))
    return Finding(found, photos.likeness.clip(0, 1), says)


def wrong_class(photos: Photos) -> Finding:
    """Use the probability of the label, according to a head that never saw the photo."""
    found = (np.array(photos.guesses) != photos.labels) & ~photos.show_none
    says = [f"looks like {guess}, {percent(prob)}" for guess, prob in zip(photos.guesses, photos.certainty)]
    says = ["" if none else words for none, words in zip(photos.show_none, says)]
    return Finding(found, photos.confidence, says)


NEAR_DUPLICATE, WRONG_CLASS = "may be near-duplicates", "may be in the wrong folder"
# By what the photos that each finds are said to be, in the order in which they speak of a photo.
CHECKS = {
    NEAR_DUPLICATE: near_duplicate,
    "may show none of your classes": none_of_the_classes,
    WRONG_CLASS: wrong_class,
}


def find_near_duplicates(features: torch.Tensor, quality: np.ndarray) -> dict[int, int]:
    """Return photos that show nearly the same as a better one: a dict from their positions to its position.

    `features` is (photos, n), `quality` (photos,). How close is too close is a matter of how far apart photos usually
    are, as in cleanlab's Datalab. `bears.learning.near_duplicates`, which keeps near-duplicates in one fold, is another
    detector: it must not join different photos, since nobody looks at its groups, and goes by perceptual hashes, which
    miss crops. Here somebody looks, so crops and pictures of one series, which only features find, are worth showing.
    """
    neighbours = NearestNeighbors(n_neighbors=min(5, len(quality) - 1), metric="cosine")
    distances, nearest = neighbours.fit(features).kneighbors()
    order = quality.argsort().argsort()
    found = (distances < MAX_DISTANCE * np.median(distances[:, -1])) & (order[nearest] > order[:, None])
    return {int(i): int(nearest[i, found[i].argmax()]) for i in np.flatnonzero(found.any(axis=1))}
