"""Ignore parts of a camera's picture (zones). docs/alarm.md specifies how to convert a zone to pixels."""

from collections.abc import Sequence
from math import ceil, floor

import numpy as np

GREY = 128
LEAST = 0.05  # the share of the picture that must be left to watch
Zone = tuple[float, float, float, float]  # left, top, width and height in fractions of the picture


def in_pixels(zone: Zone, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) of all pixels that a zone touches."""
    x, y, w, h = zone
    return floor(x * width), floor(y * height), min(width, ceil((x + w) * width)), min(height, ceil((y + h) * height))


def mask_of(zones: Sequence[Zone], width: int, height: int) -> np.ndarray:
    """Return a mask of shape (height, width), which is True for pixels to ignore."""
    mask = np.zeros((height, width), bool)
    for zone in zones:
        left, top, right, bottom = in_pixels(zone, width, height)
        mask[top:bottom, left:right] = True
    return mask


def leave_enough(zones: Sequence[Zone]) -> bool:
    """Return whether the zones leave at least the share `LEAST` of the picture to watch."""
    return mask_of(zones, 100, 100).mean() <= 1 - LEAST


def cover(picture: np.ndarray, zones: Sequence[Zone]) -> np.ndarray:
    """Return the picture, of shape (height, width, 3), with its zones painted grey."""
    if not zones:
        return picture
    covered = picture.copy()
    covered[mask_of(zones, picture.shape[1], picture.shape[0])] = GREY
    return covered
