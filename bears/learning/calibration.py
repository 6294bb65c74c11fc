"""Probabilities that mean what they say: of all answers given with 80%, four in five should be right."""

import numpy as np
import torch
from bears.learning.data import Split
from bears.model.optimize import one_thread
from torch.nn.functional import cross_entropy


def fit_temperature(logits: torch.Tensor, targets: torch.Tensor, parts: list[int] | None = None) -> float:
    """Return the temperature that makes `softmax(logits / temperature)` fit `targets` best (Guo et al. 2017).

    `logits` is (photos, classes), `targets` is (photos,). https://arxiv.org/abs/1706.04599
    `parts` are numbers of photos that follow one another, each part of which counts the same; by default, all are one.
    As if there were one more photo, of every class in equal parts: a model that made no error on a few photos would
    otherwise be certain of everything.
    """
    smoothing = 1 / (len(targets) + 1)
    candidates = torch.logspace(-1.5, 1.5, 301)
    parts = list(zip(*(values.split(parts or [len(targets)]) for values in (logits, targets))))
    with one_thread():
        losses = [
            sum(cross_entropy(part / t, truth, label_smoothing=smoothing) for part, truth in parts) for t in candidates
        ]
    return float(candidates[torch.stack(losses).argmin()])


def cross_calibrated(logits: torch.Tensor, targets: torch.Tensor, folds: list[Split]) -> torch.Tensor:
    """Probabilities (photos, classes) of out-of-fold logits, each fold with the temperature that fits the others."""
    probs, judged = torch.empty_like(logits), np.sort(np.concatenate([valid for _, valid in folds]))
    for _, valid in folds:
        rows = np.searchsorted(judged, valid)
        others = np.setdiff1d(np.arange(len(judged)), rows) if len(folds) > 1 else rows
        probs[rows] = (logits[rows] / fit_temperature(logits[others], targets[others])).softmax(dim=1)
    return probs
