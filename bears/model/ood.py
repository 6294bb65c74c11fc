"""None of the classes: does a photo show any at all? A softmax cannot say: its outputs always add up to one.

Two questions to the frozen body decide (out-of-distribution detection). Is the photo like the training photos: the
mean cosine similarity to its five nearest of them (Sun et al. 2022, https://arxiv.org/abs/2204.06507). And does
ImageNet see in it what it sees in the training photos, rather than one of the closest categories? A panda is like a
bear in every other way.

Photos from the web are good ones, and a score fitted only to those rejects night photos. So the training photos also
count as degraded copies of themselves (bears/learning/degrade.py). Half of the gallery are copies, and the thresholds
are quantiles of the scores of copies (split conformal prediction, Vovk et al. 2005). That share of photos that are as
bad as the copies is rejected, and a smaller share of better photos.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from bears.model import answers
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import normalize

NEIGHBOURS = 5
GALLERY = 800  # training photos and copies to compare with: 2 MB of the export
RIVALS = 256  # ImageNet's categories that come closest to the classes,
RIVALS_OF_GOOD_PHOTOS = 64  # and where there are no copies
MAX_RIVAL_SHARE = 0.2  # of the training photos, at most, may look like rivals; of the bears it is 0.03
SHARE_POWER = 0.25  # ImageNet is often wrong about bad photos: where these count, its opinion does, but is no veto
TURNED_AWAY = 0.06  # of the copies: "none of the classes"
UNSURE = 0.08  # of the copies, those that are turned away included: "not sure"
TURNED_AWAY_WITHOUT_COPIES = 0.01  # of the training photos
LIKELY = 0.5  # of the probability: a class that has less is less likely than all others together, and no verdict


def fit(
    features: Tensor,
    labels: ndarray,
    groups: ndarray,
    classifier: Sequence[Tensor] | None = None,
    seed: int = 42,
    copies: Sequence[Tensor] = (),
) -> tuple[dict, ndarray]:
    """Everything that `score` needs, as a dict of half-precision tensors and floats; the groups of its gallery.

    `features` is (photos, n), `labels` and `groups` (photos,) are arrays: classes, and the numbers of
    `group_near_duplicates`; `classifier` is ImageNet's (weight, bias) on the same features, if the body came with one;
    `copies` are the features of degraded copies of the same photos, each (photos, n).
    """
    chosen = sample_gallery(labels, seed, GALLERY // 2 if copies else GALLERY)
    gallery, gallery_groups = features[chosen], groups[chosen]
    judged, judged_groups = features, groups  # those that the thresholds follow
    rivals, power, shares = RIVALS_OF_GOOD_PHOTOS, 1.0, (TURNED_AWAY_WITHOUT_COPIES, TURNED_AWAY_WITHOUT_COPIES)
    if copies:
        judged, judged_groups = torch.cat(list(copies)), np.tile(groups, len(copies))
        rivals, power, shares = RIVALS, SHARE_POWER, (TURNED_AWAY, UNSURE)
        chosen = sample_gallery(np.tile(labels, len(copies)), seed, GALLERY // 2)
        gallery = torch.cat([gallery, judged[chosen]])
        gallery_groups = np.concatenate([gallery_groups, judged_groups[chosen]])
    detector: dict[str, Any] = {"gallery": normalize(gallery).half()}
    if classifier is not None:
        weight, bias = classifier
        detector |= own_and_rivals(features, labels, groups, weight, bias, rivals)
    detector["share_power"] = power
    scores = left_out_scores(detector, judged, judged_groups, gallery_groups)
    detector["threshold"], detector["sure"] = (float(np.quantile(scores, share)) for share in shares)
    return detector, gallery_groups


def sample_gallery(labels: ndarray, seed: int, size: int = GALLERY) -> ndarray:
    """Positions of about `size` photos, or of all if they are no more, drawn at random but evenly from all classes.

    No class gets fewer than `NEIGHBOURS`, if it has them: its photos would be like none of their own.
    """
    if len(labels) <= size:
        return np.arange(len(labels))
    rng, classes = np.random.default_rng(seed), np.unique(labels)
    share = max(NEIGHBOURS + 1, size // len(classes))
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:share] for c in classes]))


def own_and_rivals(
    features: Tensor, labels: ndarray, groups: ndarray, weight: Tensor, bias: Tensor, rivals: int
) -> dict:
    """Return ImageNet's categories that the training photos show, and those that come closest to them.

    Nothing when ImageNet has no word for the classes, or so many that most are missing among the photos. For a class
    "dog" of a few dozen photos, the breeds that happen not to be there would be rivals.
    """
    guesses = (features @ weight.T + bias).argmax(dim=1).numpy()
    own = {c for label in set(labels) for c in frequent_categories(guesses[labels == label], groups[labels == label])}
    if not own:
        return {}
    own = torch.tensor(sorted(own))
    directions = normalize(weight - weight.mean(dim=0))
    closeness = (directions @ directions[own].T).amax(dim=1)
    closeness[own] = -1
    both = torch.cat([own, closeness.topk(min(rivals, len(closeness))).indices])
    opinion = {"own": len(own), "weight": weight[both].half(), "bias": bias[both].half()}
    return opinion if (own_share(opinion, features) < 0.5).float().mean() <= MAX_RIVAL_SHARE else {}


def frequent_categories(guesses: ndarray, groups: ndarray) -> Iterator[int]:
    """Categories that ImageNet sees first in 3% of a class, and in three photos of it that are no near-duplicates."""
    for c in set(guesses.tolist()):
        photos = guesses == c
        if photos.mean() >= 0.03 and len(set(groups[photos])) >= 3:
            yield c


def score(detector: dict, features: Tensor, allowed: Tensor | None = None) -> Tensor:
    """How much each photo is like the training photos, float32 of shape (photos,); 1 is identical, 0 is not at all.

    `allowed` (photos, gallery) says which training photos a photo may be compared with.
    """
    similarity = normalize(features) @ detector["gallery"].float().T
    if allowed is not None:
        similarity[~allowed] = -1
    likeness = similarity.topk(min(NEIGHBOURS, similarity.shape[1]), dim=1).values.mean(dim=1)
    return likeness.clamp(min=0) * own_share(detector, features) ** detector["share_power"]


def certainty(fitted: dict | None, probs: Sequence[float], score: float | None) -> str:
    """Return the answer to one photo: `NONE`, `UNSURE`, `GROUP` (one of the group, but which?) or `SURE`.

    `probs` are of each class; `score` is that of the function `score`, or None when nothing was fitted. The same rule
    is `certainty` in bears/web/offline/squares.js, and tests/answers.json has cases for both. `fitted` may have
    `likely`, the probability that a sure answer needs, and `groups`, lists of the positions of classes.
    """
    fitted = fitted or {}
    if score is not None and shows_none(fitted, score):
        return answers.NONE
    if score is not None and may_show_none(fitted, score):
        return answers.UNSURE
    likely, top = fitted.get("likely", LIKELY), int(np.argmax(probs))
    if probs[top] >= likely:
        return answers.SURE
    group = next((group for group in fitted.get("groups", ()) if top in group), ())
    return answers.GROUP if group and sum(probs[i] for i in group) >= likely else answers.UNSURE


def stricter(fitted: dict, strictness: float) -> dict:
    """Return what was fitted with thresholds so many times as high: more photos show none of the classes, or may."""
    return fitted | {name: strictness * fitted[name] for name in ("threshold", "sure")}


def shows_none(detector: dict, score: Any) -> Any:
    """Return whether a photo of that score shows none of the classes; of one, or of an array or tensor of them."""
    return score < detector["threshold"]


def may_show_none(detector: dict, score: Any) -> Any:
    """Return whether a photo of that score may show none of the classes."""
    return score < detector["sure"]


def own_share(detector: dict, features: Tensor) -> Tensor:
    """Probability that ImageNet gives to the classes' own categories, against their rivals; 1 if it is unknown."""
    if "own" not in detector:
        return features.new_ones(features.shape[0])
    probs = (features @ detector["weight"].float().T + detector["bias"].float()).softmax(dim=1)
    return probs[:, : detector["own"]].sum(dim=1)


def left_out_scores(detector: dict, features: Tensor, groups: ndarray, gallery_groups: ndarray) -> ndarray:
    """Scores of training photos or their copies, each compared with all but itself and its near-duplicates."""
    allowed = torch.tensor(groups[:, None] != gallery_groups[None])
    return score(detector, features, allowed).numpy()
