"""The four answers about a photo, and what may be said of them. Without torch, which takes seconds to import.

The rule that chooses one of them is `certainty` in bears/model/ood.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

NONE, UNSURE, GROUP, SURE = "none", "unsure", "group", "sure"
STEPS = 20  # between 0 and 1, in which probabilities are counted; a step is called by its lower end


class Limits(NamedTuple):
    """Hold what an export says of its answers. A plain tuple, since it goes from one process to another."""

    earned: float = 1  # no higher probability is shown
    groups: Sequence[Sequence[str]] = ()  # classes that it may not be able to tell apart


NO_LIMITS = Limits()


def find_group(probs: dict[str, float], certainty: str, groups: Sequence[Sequence[str]]) -> list[str]:
    """Return the classes that the answer `GROUP` is about: the group of the likeliest class; of other answers none."""
    likeliest = max(probs, key=lambda label: probs[label])
    return next((list(group) for group in groups if certainty == GROUP and likeliest in group), [])


def either(labels: Sequence[str]) -> str:
    """Return `black, grizzly or teddy`."""
    *others, last = labels
    return f"{', '.join(others)} or {last}" if others else last
