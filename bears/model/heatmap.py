"""Where did the model look? A class activation map (Zhou et al. 2016, https://arxiv.org/abs/1512.04150).

With a linear head on average-pooled features the map is exact: its mean over the photo is the class's score.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw

if TYPE_CHECKING:  # the app's first process does without torch
    from torch import Tensor, nn

LINE = 400  # outlines as wide as this fit into a photo's longer side; bears/web/offline/heatmap.js draws them, too
# Matplotlib's "inferno" at eight steps. Another one must go from dark to bright, too, since the pages speak of bright
# places; the offline version gets these colours from bears/offline/site.py.
INFERNO = ["#000004", "#280b54", "#65156e", "#9f2a63", "#d44842", "#f57d15", "#fac127", "#fcffa4"]


def activation_map(fmap: "Tensor", linear: "nn.Linear", label: "int | Tensor") -> np.ndarray:
    """Evidence for class number `label` at each place, float32 of shape (h, w), from the body's map (n, h, w)."""
    return (linear.weight[label] @ fmap.flatten(1)).view(fmap.shape[1:]).detach().numpy()


def find_peak(cam: np.ndarray, box: tuple) -> tuple[float, float]:
    """Return x and y in pixels of the middle of the brightest cell of `cam`, which lies over the square `box`."""
    row, column = np.unravel_index(cam.argmax(), cam.shape)
    left, top, right, bottom = box
    x, y = (column + 0.5) / cam.shape[1], (row + 0.5) / cam.shape[0]
    return float(left + x * (right - left)), float(top + y * (bottom - top))


def is_inside(place: tuple[float, float], box: Sequence[float], margin: float = 0) -> bool:
    """Whether a place, x and y, is in a box (left, top, right, bottom) or so many pixels around it."""
    (x, y), (left, top, right, bottom) = place, box
    return left - margin <= x <= right + margin and top - margin <= y <= bottom + margin


def draw_heatmap(
    photo: Image.Image, cam: np.ndarray | None, box: tuple, animal: tuple | None = None
) -> Image.Image | None:
    """Lay `cam` over the square `box` of the upright RGB `photo`: bright where the evidence is.

    The box of the `animal` is outlined, or else the square.
    """
    if cam is None:
        return None
    left, top, right, bottom = box
    heat = Image.fromarray(np.uint8(255 * np.clip(cam / max(cam.max(), 1e-6), 0, 1)))
    heat = heat.resize((right - left, bottom - top), Image.Resampling.BICUBIC)
    colours = heat.copy()
    colours.putpalette(PALETTE)
    out = photo.copy()
    out.paste(colours.convert("RGB"), (left, top), heat.point(lambda v: 80 + v // 2))
    return outline(out, animal or box)


def outline(photo: Image.Image, box: tuple) -> Image.Image:
    """Draw a white line around a box, with a black one inside: one of them can be seen on any photo."""
    left, top, right, bottom = box
    width, draw = max(1, max(photo.size) // LINE), ImageDraw.Draw(photo)
    for colour, lines in (("black", 2), ("white", 1)):
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=lines * width)
    return photo


def palette(colours: list[str]) -> np.ndarray:
    """Return 256 colours between the given ones, as `Image.putpalette` takes them."""
    stops = np.array([ImageColor.getrgb(c) for c in colours])
    at = np.linspace(0, len(colours) - 1, 256)
    return np.stack([np.interp(at, range(len(colours)), channel) for channel in stops.T], axis=1).astype(np.uint8)


PALETTE = palette(INFERNO).tobytes()
