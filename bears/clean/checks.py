"""Check photos for likely mistakes. To add a check, such as for blurred photos, add a function to `CHECKS`.

A check is a function that takes the `Photos` of a folder and returns a `Finding`.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from bears.model.wording import percent
from sklearn.neighbors import NearestNeighbors

MAX_DISTANCE = 0.3  # photos closer than this share of the usual distance are near-duplicates
UNLIKE = 0.5  # photos with a lower likeness are called unlike the others, but at most a tenth of all photos


@dataclass
class Photos:
    """Hold the photos of a folder, and what a model predicts for each photo.

    Each photo is classified by a head that was not trained on this photo. The comments give the shape of each array.
    """

    files: list[Path]  # open them with bears.model.photo.open_photo
    names: list[str]  # paths in the folder, `class/file`
    vocab: list[str]  # the classes
    labels: list[str]  # the class of each photo, from its folder
    guesses: list[str]  # the predicted class of each photo
    certainty: np.ndarray  # the probability of the predicted class, (photos,)
    confidence: np.ndarray  # the probability of the label, (photos,); cleanlab calls it self-confidence
    likeness: np.ndarray  # the score of `bears.model.ood`, from 0 to 1, (photos,)
    show_none: np.ndarray  # whether `likeness` says that the photo shows none of the classes, bool (photos,)
    features: torch.Tensor  # the body's features, (photos, n)

    @cached_property
    def near_duplicates(self) -> dict[int, int]:
        return find_near_duplicates(self.features, self.confidence * self.likeness)


@dataclass
class Finding:
    """Hold the results of a check, with one entry per photo."""

    found: np.ndarray  # whether each photo counts as wrong, bool
    scores: np.ndarray  # from 0, certainly wrong, to 1; photos are ranked by the product of all checks' scores
    says: list[str]  # the reason to show for each photo, or ""


def near_duplicate(photos: Photos) -> Finding:
    """Find photos that have a better near-duplicate.

    A near-duplicate does little harm, so its score is 0.25. A photo that is certainly wrong has the score 0.
    """
    found = np.isin(np.arange(len(photos.files)), list(photos.near_duplicates))
    says = [""] * len(found)
    for i, better in photos.near_duplicates.items():
        says[i] = f"nearly the same photo as {photos.names[better]}"
    return Finding(found, np.where(found, 0.25, 1), says)


def none_of_the_classes(photos: Photos) -> Finding:
    """Find photos that `bears.model.ood` rejects, and unusual photos that look like another class.

    A photo that is only unusual gets the note "unlike your other photos", but doesn't count as wrong.
    """
    unlike = photos.likeness < min(UNLIKE, np.quantile(photos.likeness, 0.1))
    says = [f"unlike your other photos ({int(100 * x)}% alike)" if u else "" for x, u in zip(photos.likeness, unlike)]
    says = ["may show none of your classes" if none else words for none, words in zip(photos.show_none, says)]
    found = photos.show_none | (unlike & (np.array(photos.guesses) != photos.labels))
    return Finding(found, photos.likeness.clip(0, 1), says)


def wrong_class(photos: Photos) -> Finding:
    """Find photos that look like another class. Leave out photos that seem to show none of the classes."""
    found = (np.array(photos.guesses) != photos.labels) & ~photos.show_none
    says = [f"looks like {guess}, {percent(prob)}" for guess, prob in zip(photos.guesses, photos.certainty)]
    says = ["" if none else words for none, words in zip(photos.show_none, says)]
    return Finding(found, photos.confidence, says)


NEAR_DUPLICATE, WRONG_CLASS = "may be near-duplicates", "may be in the wrong folder"
# Each key describes what the check finds. The review page lists a photo's reasons in this order.
CHECKS = {
    NEAR_DUPLICATE: near_duplicate,
    "may show none of your classes": none_of_the_classes,
    WRONG_CLASS: wrong_class,
}


def find_near_duplicates(features: torch.Tensor, quality: np.ndarray) -> dict[int, int]:
    """Find photos that have a better near-duplicate. Return a dict from each of them to its better near-duplicate.

    The shape of `features` is (photos, n), and that of `quality` (photos,). The keys and values of the dict are
    positions in `features`. The better of two photos is the one with the higher `quality`. Two photos are
    near-duplicates if they are much closer to each other than photos usually are, as in cleanlab's Datalab.

    Training uses perceptual hashes to find near-duplicates (bears/learning/near_duplicates.py). Hashes don't find crops
    or photos of a series, but rarely treat two different photos as near-duplicates. On the review page, a person checks
    each pair, so mistakes do no harm.
    """
    neighbours = NearestNeighbors(n_neighbors=min(5, len(quality) - 1), metric="cosine")
    distances, nearest = neighbours.fit(features).kneighbors()
    order = quality.argsort().argsort()
    found = (distances < MAX_DISTANCE * np.median(distances[:, -1])) & (order[nearest] > order[:, None])
    return {int(i): int(nearest[i, found[i].argmax()]) for i in np.flatnonzero(found.any(axis=1))}
