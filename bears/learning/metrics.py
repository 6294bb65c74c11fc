"""Count errors with their 95% interval, and measure how well probabilities are calibrated."""

from math import ceil

import torch
from scipy.stats import binomtest

SMALLEST = 0.01  # of all photos: a difference between two models that is worth knowing


def count_errors(logits: torch.Tensor, targets: torch.Tensor) -> tuple[int, int]:
    """Return the number of wrong answers and the number of photos."""
    return int((logits.argmax(dim=1) != targets).sum()), len(targets)


def error_summary(errors: int, photos: int) -> dict:
    """Return a dict with the counts, and the error rate and its 95% interval (Wilson 1927) from 0 to 1."""
    interval = binomtest(errors, photos).proportion_ci(method="wilson")
    return {
        "errors": errors,
        "photos": photos,
        "error_rate": round(errors / photos, 4),
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
    }


def calibration_error(probs: torch.Tensor, targets: torch.Tensor, bins: int = 15) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy over equal bins, in [0, 1]."""
    confidence, guess = probs.max(dim=1)
    right = (guess == targets).float()
    which = (confidence * bins).long().clamp(max=bins - 1)
    gaps = [
        (confidence[which == b].mean() - right[which == b].mean()).abs() * (which == b).sum() for b in which.unique()
    ]
    return float(sum(gaps) / len(targets))


def paired_interval(fixed: int, broken: int, photos: int) -> tuple[float, float]:
    """Return the 95% interval of the second model's error rate minus the first one's, as fractions.

    Only the first model is wrong on `fixed` photos, and only the second on `broken` ones. The interval combines two
    exact ones (Clopper and Pearson 1934): how often only one model is right, and how often that is the first. So it
    excludes 0 exactly when McNemar's test is significant, and it is valid for few photos, too.
    """
    differ = fixed + broken
    share = binomtest(differ, photos).proportion_ci(method="exact")
    first = binomtest(broken, differ).proportion_ci(method="exact") if differ else None
    low, high = (2 * first.low - 1, 2 * first.high - 1) if first else (-1.0, 1.0)
    return low * (share.high if low < 0 else share.low), high * (share.high if high > 0 else share.low)


def photos_needed(fixed: int, broken: int, photos: int) -> int:
    """Estimate how many photos would show which of two models is better, if the difference stays the same.

    With that many photos, four of five comparisons find the better model (power 0.8). If both have the same number of
    errors, return how many photos are needed to show a difference of `SMALLEST`.
    """
    share = max(fixed + broken, 1) / photos
    difference = abs(fixed - broken) / photos or SMALLEST
    needed = (1.96 + 0.84) ** 2 * share / difference**2
    digits = 10 ** max(0, len(str(ceil(needed))) - 1)
    return ceil(needed / digits) * digits
