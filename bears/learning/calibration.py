"""Calibrate probabilities: of all answers with a probability of 80%, four in five should be right."""

import numpy as np
import torch
from bears.learning.data import Split
from bears.model.optimize import one_thread
from torch.nn.functional import cross_entropy


def fit_temperature(logits: torch.Tensor, targets: torch.Tensor, parts: list[int] | None = None) -> float:
    """Return the temperature with which `softmax(logits / temperature)` fits `targets` best.

    See Guo et al. 2017, https://arxiv.org/abs/1706.04599. `logits` has the shape (photos, classes), and `targets`
    (photos,). With `parts=[100, 30]`, the first 100 photos together have the same weight as the next 30. Without
    `parts`, each photo has the same weight. Labels are smoothed by 1 / (photos + 1). Without smoothing, a model that
    makes no errors on a few photos would give every answer a probability of 100%.
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
    """Return calibrated probabilities, of the shape (photos, classes).

    The temperature for a fold is fitted on the other folds. If there is only one fold, the temperature is fitted on
    this fold.
    """
    probs, judged = torch.empty_like(logits), np.sort(np.concatenate([valid for _, valid in folds]))
    for _, valid in folds:
        rows = np.searchsorted(judged, valid)
        others = np.setdiff1d(np.arange(len(judged)), rows) if len(folds) > 1 else rows
        probs[rows] = (logits[rows] / fit_temperature(logits[others], targets[others])).softmax(dim=1)
    return probs
