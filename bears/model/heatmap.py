"""Show which parts of a photo counted most, as a class activation map.

See Zhou et al. 2016, https://arxiv.org/abs/1512.04150. If the head is average pooling and a linear layer, the mean of
the map is exactly the logit of the class, without the bias.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw

if TYPE_CHECKING:  # the app's main process doesn't import torch
    from torch import Tensor, nn

LINE = 400  # the width of an outline is 1/400 of the photo's longer side, as in bears/web/offline/heatmap.js
# Matplotlib's colour map "inferno" in eight steps. Another colour map must also go from dark to bright, since the app
# says "brighter areas counted more". bears/offline/site.py passes these colours to the offline version.
INFERNO = ["#000004", "#280b54", "#65156e", "#9f2a63", "#d44842", "#f57d15", "#fac127", "#fcffa4"]


def activation_map(fmap: "Tensor", linear: "nn.Linear", label: "int | Tensor") -> np.ndarray:
    """Return the evidence for class number `label` in each cell of a feature map.

    The feature map has the shape (n, h, w), and the result is float32 of the shape (h, w).
    """
    return (linear.weight[label] @ fmap.flatten(1)).view(fmap.shape[1:]).detach().numpy()


def find_peak(cam: np.ndarray, box: tuple) -> tuple[float, float]:
    """Return the middle (x, y) of the brightest cell of `cam`, in pixels of the photo.

    `box` is the square that `cam` covers.
    """
    row, column = np.unravel_index(cam.argmax(), cam.shape)
    left, top, right, bottom = box
    x, y = (column + 0.5) / cam.shape[1], (row + 0.5) / cam.shape[0]
    return float(left + x * (right - left)), float(top + y * (bottom - top))


def is_inside(place: tuple[float, float], box: Sequence[float], margin: float = 0) -> bool:
    """Return whether a point (x, y) is in a box (left, top, right, bottom), or at most `margin` pixels outside."""
    (x, y), (left, top, right, bottom) = place, box
    return left - margin <= x <= right + margin and top - margin <= y <= bottom + margin


def draw_heatmap(
    photo: Image.Image, cam: np.ndarray | None, box: tuple, animal: tuple | None = None
) -> Image.Image | None:
    """Return a copy of an RGB photo with the activation map `cam` over the square `box`, or None if `cam` is None.

    Brighter areas counted more. If the box `animal` is given, outline it. Otherwise, outline the square.
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
    """Draw a white line around a box and a black line inside it, for dark and bright photos."""
    left, top, right, bottom = box
    width, draw = max(1, max(photo.size) // LINE), ImageDraw.Draw(photo)
    for colour, lines in (("black", 2), ("white", 1)):
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=lines * width)
    return photo


def palette(colours: list[str]) -> np.ndarray:
    """Return 256 colours for `Image.putpalette`, interpolated between `colours`, as uint8 of the shape (256, 3)."""
    stops = np.array([ImageColor.getrgb(c) for c in colours])
    at = np.linspace(0, len(colours) - 1, 256)
    return np.stack([np.interp(at, range(len(colours)), channel) for channel in stops.T], axis=1).astype(np.uint8)


PALETTE = palette(INFERNO).tobytes()
