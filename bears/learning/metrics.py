"""Count errors with their 95% interval, and measure how well probabilities are calibrated."""

from math import ceil

import torch
from scipy.stats import binomtest

SMALLEST = 0.01  # the smallest difference of two error rates that matters, as a share of all photos


def count_errors(logits: torch.Tensor, targets: torch.Tensor) -> tuple[int, int]:
    """Return the number of wrong answers and the number of photos."""
    return int((logits.argmax(dim=1) != targets).sum()), len(targets)


def error_summary(errors: int, photos: int) -> dict:
    """Return a dict with `errors`, `photos`, `error_rate` (0 to 1) and the rate's `interval_95` (Wilson 1927)."""
    interval = binomtest(errors, photos).proportion_ci(method="wilson")
    return {
        "errors": errors,
        "photos": photos,
        "error_rate": round(errors / photos, 4),
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
    }


def calibration_error(probs: torch.Tensor, targets: torch.Tensor, bins: int = 15) -> float:
    """Return the expected calibration error (0 to 1): the mean gap between confidence and accuracy over `bins` bins."""
    confidence, guess = probs.max(dim=1)
    right = (guess == targets).float()
    which = (confidence * bins).long().clamp(max=bins - 1)
    gaps = [
        (confidence[which == b].mean() - right[which == b].mean()).abs() * (which == b).sum() for b in which.unique()
    ]
    return float(sum(gaps) / len(targets))


def paired_interval(fixed: int, broken: int, photos: int) -> tuple[float, float]:
    """Return the 95% interval of the new model's error rate minus the old model's, as two fractions.

    `fixed` is the number of photos that only the old model gets wrong. `broken` is the number of photos that only the
    new model gets wrong. `photos` is the number of all photos. The interval combines exact intervals (Clopper and
    Pearson 1934) of two shares: the photos that only one model gets wrong, and the new model's errors among them. The
    interval excludes 0 only if McNemar's exact test is significant, so it is valid even for few photos.
    """
    differ = fixed + broken
    share = binomtest(differ, photos).proportion_ci(method="exact")
    first = binomtest(broken, differ).proportion_ci(method="exact") if differ else None
    low, high = (2 * first.low - 1, 2 * first.high - 1) if first else (-1.0, 1.0)
    return low * (share.high if low < 0 else share.low), high * (share.high if high > 0 else share.low)


def photos_needed(fixed: int, broken: int, photos: int) -> int:
    """Estimate how many test photos are needed to tell which of two models is better.

    The estimate assumes that the two error rates stay the same with more photos. With the estimated number of photos,
    four of five comparisons find the better model (power 0.8). If both models make equally many errors, the estimate is
    for a difference of `SMALLEST`, 10 errors per 1,000 photos.
    """
    share = max(fixed + broken, 1) / photos
    difference = abs(fixed - broken) / photos or SMALLEST
    needed = (1.96 + 0.84) ** 2 * share / difference**2
    digits = 10 ** max(0, len(str(ceil(needed))) - 1)
    return ceil(needed / digits) * digits
