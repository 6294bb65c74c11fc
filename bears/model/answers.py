"""Name the four kinds of answer about a photo, and limit what an answer may claim.

The function `certainty` in bears/model/ood.py chooses the kind of answer. This module doesn't import torch, which takes
seconds.
"""

from collections.abc import Sequence
from typing import NamedTuple

NONE, UNSURE, GROUP, SURE = "none", "unsure", "group", "sure"
STEPS = 20  # answers are counted in 20 ranges of their probability; each range is named by its start, such as 0.95


class Limits(NamedTuple):
    """Hold the limits of a model's answers, in a tuple that can be sent to another process."""

    earned: float = 1  # the share of sure answers that were right in a test; never show a higher probability
    groups: Sequence[Sequence[str]] = ()  # each is a group of classes that are hard to tell apart


NO_LIMITS = Limits()


def likeliest(probs: dict[str, float]) -> str:
    """Return the class with the highest probability."""
    return max(probs, key=lambda label: probs[label])


def find_group(probs: dict[str, float], certainty: str, groups: Sequence[Sequence[str]]) -> list[str]:
    """Return the group of the likeliest class if the answer is `GROUP`, else an empty list."""
    label = likeliest(probs)
    return next((list(group) for group in groups if certainty == GROUP and label in group), [])


def either(labels: Sequence[str]) -> str:
    """Join class names as in `black, grizzly or teddy`."""
    *others, last = labels
    return f"{', '.join(others)} or {last}" if others else last
