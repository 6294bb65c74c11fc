"""Does a photo show any of the classes at all? A softmax cannot say: its outputs always add up to one.

Two questions to the frozen body decide (out-of-distribution detection). Is the photo like the training photos: the
mean cosine similarity to its five nearest of them (Sun et al. 2022, https://arxiv.org/abs/2204.06507). And does
ImageNet see in it what it sees in the training photos, rather than one of the categories that come closest: a panda
is like a bear in every other way.
"""

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import normalize

NEIGHBOURS = 5
GALLERY = 800  # training photos to compare with: 2 MB of the export
RIVALS = 64  # ImageNet's categories that come closest to the classes
MAX_RIVAL_SHARE = 0.2  # of the training photos, at most, may look like rivals; of the bears it is 0.03
ACCEPTED_SHARE = 0.99  # of the training photos, so that on photos never seen at least 98% should pass


def fit(features: Tensor, labels: ndarray, groups: ndarray, classifier=None, seed=42) -> tuple[dict, ndarray]:
    """Everything that `score` needs, as a dict of half-precision tensors and floats, and the scores that it fitted.

    `features` is (photos, n), `labels` and `groups` (photos,) are arrays: classes, and the numbers of
    `group_near_duplicates`; `classifier` is ImageNet's (weight, bias) on the same features, if the body came with one.
    """
    chosen = sample_gallery(labels, seed)
    detector = {"gallery": normalize(features[chosen]).half()}
    if classifier is not None:
        detector |= own_and_rivals(features, labels, groups, *classifier)
    scores = left_out_scores(detector, features, groups, chosen)
    detector["threshold"] = float(np.quantile(scores, 1 - ACCEPTED_SHARE))
    return detector, scores


def sample_gallery(labels, seed):
    """Positions of about `GALLERY` photos, or of all if they are no more, drawn at random but evenly from all classes.

    No class gets fewer than `NEIGHBOURS`, if it has them: its photos would be like none of their own.
    """
    if len(labels) <= GALLERY:
        return np.arange(len(labels))
    rng, classes = np.random.default_rng(seed), np.unique(labels)
    share = max(NEIGHBOURS + 1, GALLERY // len(classes))
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:share] for c in classes]))


def own_and_rivals(features, labels, groups, weight, bias):
    """ImageNet's categories that the training photos show, and those that come closest to them.

    Nothing when ImageNet has no word for the classes, or so many that most are missing among the photos: to a class
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
    rivals = closeness.topk(min(RIVALS, len(closeness))).indices
    both = torch.cat([own, rivals])
    opinion = {"own": len(own), "weight": weight[both].half(), "bias": bias[both].half()}
    return opinion if (own_share(opinion, features) < 0.5).float().mean() <= MAX_RIVAL_SHARE else {}


def frequent_categories(guesses, groups):
    """Categories that ImageNet sees first in 3% of a class, and in three photos of it that are no near-duplicates."""
    for c in set(guesses.tolist()):
        photos = guesses == c
        if photos.mean() >= 0.03 and len(set(groups[photos])) >= 3:
            yield c


def score(detector: dict, features: Tensor, allowed=None) -> Tensor:
    """How much each photo is like the training photos, float32 of shape (photos,); 1 is identical, 0 is not at all.

    `allowed` (photos, gallery) says which training photos a photo may be compared with.
    """
    similarity = normalize(features) @ detector["gallery"].float().T
    if allowed is not None:
        similarity[~allowed] = -1
    likeness = similarity.topk(min(NEIGHBOURS, similarity.shape[1]), dim=1).values.mean(dim=1)
    return likeness * own_share(detector, features)


def own_share(detector, features):
    """Probability that ImageNet gives to the classes' own categories, against their rivals; 1 if it is unknown."""
    if "own" not in detector:
        return torch.ones(len(features))
    probs = (features @ detector["weight"].float().T + detector["bias"].float()).softmax(dim=1)
    return probs[:, : detector["own"]].sum(dim=1)


def left_out_scores(detector, features, groups, chosen):
    """Scores of the training photos, each compared with all but itself and its near-duplicates."""
    allowed = torch.tensor(groups[:, None] != groups[None, chosen])
    return score(detector, features, allowed).numpy()
