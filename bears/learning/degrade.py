"""Degrade photos so that they look as if a camera took them at night, at dusk, or from far away.

Most photos on the web are sharper and brighter than those of an outdoor camera. The head is therefore trained on photos
and on degraded copies of them. `bears.model.ood` compares a new photo with the training photos and with their degraded
copies.
"""

import zlib

import numpy as np
from fastai.vision.core import PILImage
from fasttransform import Transform
from PIL import Image, ImageFilter


class Degrade(Transform):
    """Make a photo look as if it was taken at night, at dusk or from far away, with one of the functions in `KINDS`.

    The photo's pixels and `version` decide which function is used, and how strong its effect is. Versions 0, 1 and 2 of
    a photo use different functions.
    """

    order = 2  # after fastai's Resize, before ToTensor

    def __init__(self, version):
        self.version = version

    def encodes(self, photo: PILImage):
        seed = zlib.crc32(photo.tobytes())
        kind = KINDS[(seed + self.version) % len(KINDS)]
        return PILImage.create(kind(photo, np.random.default_rng([seed, self.version])))


def infrared(photo, rng):
    """Make a photo grey, grainy and dark at the edges, as if an infrared lamp lit the scene."""
    grey = np.asarray(photo.convert("L"), np.float32) / 255
    y, x = (np.linspace(0, 1, side, dtype=np.float32) - rng.uniform(0.3, 0.7) for side in grey.shape)
    beam = np.clip(1.25 - rng.uniform(0.4, 1.2) * np.hypot(y[:, None], x[None]), 0.15, None)
    grey = grey ** rng.uniform(0.5, 1.1) * beam * rng.uniform(0.5, 1)
    grey += rng.normal(0, rng.uniform(0.008, 0.035), grey.shape)
    return as_image(grey).convert("RGB")


def dark(photo, rng):
    """Make a photo dark, tinted and noisy, then brighten it, as a camera does at dusk."""
    pixels = np.asarray(photo, np.float32) / 255
    pixels = pixels ** rng.uniform(1, 1.8) * rng.uniform(0.2, 0.6) * (1 + rng.uniform(-0.12, 0.12, 3))
    noise = rng.uniform(0.01, 0.05), rng.uniform(0.01, 0.05) * np.sqrt(pixels)  # sensor noise and shot noise
    for strength in noise:
        pixels = pixels + strength * rng.normal(0, 1, pixels.shape)
    return as_image(pixels * rng.uniform(1, 1.8))


def small(photo, rng):
    """Shrink a photo to between a third and two thirds of its width, as if it was taken from far away.

    The background is an enlarged corner of the photo, sometimes blurred.
    """
    w, h = photo.size
    cut_w, cut_h = int(w * rng.uniform(0.25, 0.4)), int(h * rng.uniform(0.2, 0.35))
    left, top = int(rng.choice([0, w - cut_w])), int(rng.choice([0, h - cut_h], p=[0.6, 0.4]))
    scene = photo.crop((left, top, left + cut_w, top + cut_h)).resize((w, h), Image.Resampling.BICUBIC)
    scene = scene.filter(ImageFilter.GaussianBlur(float(rng.choice([0, rng.uniform(0, 4)]))))
    scale = rng.uniform(0.33, 0.67)
    size = int(w * scale), int(h * scale)
    border = max(2, int(0.06 * size[0]))
    mask = Image.new("L", size)
    mask.paste(255, (border, border, size[0] - border, size[1] - border))
    place = int(rng.uniform(0, w - size[0])), int(rng.uniform(0.2, 1) * (h - size[1]))
    nearer = photo.resize(size, Image.Resampling.BILINEAR)
    scene.paste(nearer, place, mask.filter(ImageFilter.GaussianBlur(border)))
    return scene


def as_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.uint8(255 * np.clip(pixels, 0, 1)))


KINDS = (infrared, dark, small)
