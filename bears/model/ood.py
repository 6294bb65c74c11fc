"""Decide whether a photo shows any of the classes (out-of-distribution detection).

Softmax can't tell that a photo shows no class, since its outputs always add up to 1. So each photo gets a score, the
product of two factors. The first factor is the mean cosine similarity to the five most similar training photos (Sun et
al. 2022, https://arxiv.org/abs/2204.06507). The second factor is the probability that ImageNet's classifier recognises
a category of the training photos, such as a kind of bear. Without ImageNet's classifier, a panda would count as a bear.

Photos from the web are sharp and well lit. A threshold fitted to web photos alone would reject photos taken at night,
so train.py also uses degraded copies of the photos (bears/learning/degrade.py). A new photo is compared with a gallery:
half training photos, half degraded copies. The thresholds are quantiles of the degraded copies' scores (split conformal
prediction, Vovk et al. 2005). A photo whose score is below the threshold is rejected. For example, let 6% of the copies
have lower scores than the threshold. Then about 6% of all photos that are as bad as these copies are rejected, and a
smaller share of good photos.
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
GALLERY = 800  # training photos and copies to compare with; they take 2 MB of the export
RIVALS = 256  # how many of ImageNet's other categories count as similar to the classes
RIVALS_OF_GOOD_PHOTOS = 64  # the same, if there are no copies
MAX_RIVAL_SHARE = 0.2  # ImageNet isn't used if a larger share of training photos looks like rivals; the bears have 0.03
SHARE_POWER = 0.25  # with copies, the second factor's exponent: ImageNet's classifier is often wrong about bad photos
TURNED_AWAY = 0.06  # the share of the copies that is "none of the classes"
UNSURE = 0.08  # the share of the copies that is "not sure" or "none of the classes"
TURNED_AWAY_WITHOUT_COPIES = 0.01  # the same share of the training photos, if there are no copies
MARGIN = 0.15  # how much more similar a photo must be to a known false alarm than to the training photos
LIKELY = 0.5  # the probability that a verdict needs; below it, all other classes together are more likely


def fit(
    features: Tensor,
    labels: ndarray,
    groups: ndarray,
    classifier: Sequence[Tensor] | None = None,
    seed: int = 42,
    copies: Sequence[Tensor] = (),
) -> tuple[dict, ndarray]:
    """Return a dict with the gallery and the thresholds, and an array with each gallery photo's near-duplicate group.

    The dict has everything that `score` needs, as half-precision tensors and floats. `features` has the shape (photos,
    n). `labels` has the class of each photo, and `groups` the number of its near-duplicate group. Both have the shape
    (photos,). `classifier` is the (weight, bias) of the body's own ImageNet classifier, or None. `copies` has the
    features of the degraded copies: for each kind of degradation, a tensor of the shape (photos, n).
    """
    chosen = sample_gallery(labels, seed, GALLERY // 2 if copies else GALLERY)
    gallery, gallery_groups = features[chosen], groups[chosen]
    judged, judged_groups = features, groups  # their scores give the thresholds
    rivals, power, shares = RIVALS_OF_GOOD_PHOTOS, 1.0, (TURNED_AWAY_WITHOUT_COPIES, TURNED_AWAY_WITHOUT_COPIES)
    if copies:
        judged, judged_groups = torch.cat(list(copies)), np.tile(groups, len(copies))
        rivals, power, shares = RIVALS, SHARE_POWER, (TURNED_AWAY, UNSURE)
        chosen = sample_gallery(np.tile(labels, len(copies)), seed, GALLERY // 2)
        gallery = torch.cat([gallery, judged[chosen]])
        gallery_groups = np.concatenate([gallery_groups, judged_groups[chosen]])
    fitted: dict[str, Any] = {"gallery": normalize(gallery).half()}
    if classifier is not None:
        weight, bias = classifier
        fitted |= own_and_rivals(features, labels, groups, weight, bias, rivals)
    fitted["share_power"] = power
    scores = left_out_scores(fitted, judged, judged_groups, gallery_groups)
    fitted["threshold"], fitted["sure"] = (float(np.quantile(scores, share)) for share in shares)
    return fitted, gallery_groups


def sample_gallery(labels: ndarray, seed: int, size: int = GALLERY) -> ndarray:
    """Draw about `size` photos at random, the same number from each class. Return their positions, sorted.

    If a class has enough photos, draw more than `NEIGHBOURS` of them, since each photo is compared with `NEIGHBOURS`
    other photos.
    """
    if len(labels) <= size:
        return np.arange(len(labels))
    rng, classes = np.random.default_rng(seed), np.unique(labels)
    share = max(NEIGHBOURS + 1, size // len(classes))
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:share] for c in classes]))


def own_and_rivals(
    features: Tensor, labels: ndarray, groups: ndarray, weight: Tensor, bias: Tensor, rivals: int
) -> dict:
    """Return a dict with the weights of ImageNet's classifier for two sets of categories: own categories, then rivals.

    Own categories are those that the classifier often predicts for the training photos. Rivals are the categories that
    are most similar to the own categories. The dict is empty if there are no own categories, or if too many training
    photos look like a rival. For example, if photos of a class `dog` don't show all breeds, the missing breeds become
    rivals.
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
    """Yield ImageNet's categories that are guessed for at least 3% of a class, in at least three different photos."""
    for c in set(guesses.tolist()):
        photos = guesses == c
        if photos.mean() >= 0.03 and len(set(groups[photos])) >= 3:
            yield c


def score(fitted: dict, features: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return each photo's score, from 0 (unlike the training photos) to 1 (just like them).

    The scores are float32 of the shape (photos,). `allowed[i, j]` says whether photo `i` may be compared with photo `j`
    of the gallery.
    """
    return likeness(fitted, features, allowed).clamp(min=0) * own_share(fitted, features) ** fitted["share_power"]


def likeness(fitted: dict, features: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return the mean cosine similarity of each photo to its most similar photos in the gallery."""
    similarity = normalize(features) @ fitted["gallery"].float().T
    if allowed is not None:
        similarity[~allowed] = -1
    return similarity.topk(min(NEIGHBOURS, similarity.shape[1]), dim=1).values.mean(dim=1)


def shows_known(fitted: dict, features: Tensor, known: Tensor, margin: float = MARGIN) -> Tensor:
    """Return whether each photo is more like a `known` false alarm than like the training photos, by `margin`."""
    nearest = (normalize(features) @ normalize(known).T).amax(dim=1)
    return nearest > likeness(fitted, features) + margin


def certainty(fitted: dict | None, probs: Sequence[float], score: float | None) -> str:
    """Return `NONE`, `UNSURE`, `GROUP` (one of several similar classes) or `SURE` as the kind of answer for a photo.

    `probs` has the probability of each class. `score` is the result of the function `score`, or None for a model
    without a gallery. `fitted` is the dict that `fit` returned, or None. The optional key `fitted["likely"]` is the
    lowest probability of a sure answer. The optional key `fitted["groups"]` has a list of class numbers for each group.

    The same rule in JavaScript is in bears/web/offline/squares.js. tests/answers.json has the test cases.
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
    """Return `fitted` with both thresholds multiplied by `strictness`. Values above 1 reject more photos."""
    return fitted | {name: strictness * fitted[name] for name in ("threshold", "sure")}


def in_single_precision(fitted: dict) -> dict:
    """Return `fitted` with tensors in single precision, so that `score` doesn't convert them for each photo.

    Exports store half precision.
    """
    return {name: value.float() if isinstance(value, Tensor) else value for name, value in fitted.items()}


def shows_none(fitted: dict, score: Any) -> Any:
    """Return whether a photo with this score shows none of the classes. `score` is a number, array or tensor."""
    return score < fitted["threshold"]


def may_show_none(fitted: dict, score: Any) -> Any:
    """Return whether this score is too low for a sure answer. `score` is a number, array or tensor."""
    return score < fitted["sure"]


def own_share(fitted: dict, features: Tensor) -> Tensor:
    """Return each photo's probability of showing an own category, not a rival (see `own_and_rivals`).

    If `fitted` has no own categories, each probability is 1.
    """
    if "own" not in fitted:
        return features.new_ones(features.shape[0])
    probs = (features @ fitted["weight"].float().T + fitted["bias"].float()).softmax(dim=1)
    return probs[:, : fitted["own"]].sum(dim=1)


def left_out_scores(fitted: dict, features: Tensor, groups: ndarray, gallery_groups: ndarray) -> ndarray:
    """Return the scores of training photos, or of their degraded copies, as an array of the shape (photos,).

    Each photo is compared with all photos of the gallery except its own near-duplicates.
    """
    allowed = torch.tensor(groups[:, None] != gallery_groups[None])
    return score(fitted, features, allowed).numpy()
