"""Count errors, with their 95% interval, and measure how far probabilities are from how often they are right."""

import torch
from scipy.stats import binomtest


def count_errors(logits: torch.Tensor, targets: torch.Tensor) -> tuple[int, int]:
    """Number of wrong answers and number of photos."""
    return int((logits.argmax(dim=1) != targets).sum()), len(targets)


def error_summary(errors: int, photos: int) -> dict:
    """Error rate with its 95% interval (Wilson 1927), as a dict of fractions."""
    interval = binomtest(errors, photos).proportion_ci(method="wilson")
    return {
        "errors": errors,
        "photos": photos,
        "error_rate": round(errors / photos, 4),
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
    }


def calibration_error(probs: torch.Tensor, targets: torch.Tensor, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over equal bins, in [0, 1]."""
    confidence, guess = probs.max(dim=1)
    right = (guess == targets).float()
    which = (confidence * bins).long().clamp(max=bins - 1)
    gaps = [
        (confidence[which == b].mean() - right[which == b].mean()).abs() * (which == b).sum() for b in which.unique()
    ]
    return float(sum(gaps) / len(targets))
