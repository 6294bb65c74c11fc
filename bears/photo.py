"""Open a photo from a stranger: the only door through which pixels come in, for the page and for training.

Gradio's image component and `PIL.Image.open` each get some real photos wrong (turned sideways, whitened,
decoded in full although they are bombs), so both are kept away from files that this module has not opened.
"""

import io
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pillow_heif
from bears.errors import PhotoError
from PIL import Image, ImageOps, UnidentifiedImageError

# Only these decoders ever see a stranger's bytes; Pillow has others that start programs (EPS runs Ghostscript).
# JPEG includes MPO, the pairs of pictures that some phones save.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
}
MAX_MEGAPIXELS = 50  # imgproxy's default limit on a source image
MAX_MEGAPIXELS_JPEG = 200  # a phone's largest: a baseline JPEG is decoded at an eighth of its sides
MAX_RATIO = 20  # of the longer side to the shorter; a panorama has less, and no JPEG of the answer holds much more
SIDE = 360  # pixels of the shorter side that are left at least: more than the model sees, enough to show on a page

pillow_heif.register_heif_opener()
# This module checks sizes itself, before decoding; Pillow's own check only knows one limit for all formats.
Image.MAX_IMAGE_PIXELS = MAX_MEGAPIXELS_JPEG * 10**6 // 2  # Pillow warns here and refuses at twice as much
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

HINT = "Please send a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC photo."


def open_photo(file: Path | BinaryIO, side=SIDE, long_side=None) -> Image.Image:
    """Decode `file` (a path or a binary file object) into an upright RGB photo on white, first frame only.

    Returns a PIL image in mode RGB whose shorter side has `side` pixels or more, but less than twice as many (small
    photos keep their size). `long_side` is as many pixels as the longer side needs, whatever `side` says: a panorama
    that is wide enough need not be high.
    Raises `PhotoError` when the file is no photo, is damaged, has too many pixels, or cannot be read.
    """
    try:
        with Image.open(file, formats=FORMATS) as im:
            check_size(im)
            if long_side:
                side = min(side, long_side * min(im.size) // max(im.size))
            im.draft("RGB", (side, side))  # JPEG only: decodes at 1/2, 1/4 or 1/8, never below `side`
            im.load()
            ImageOps.exif_transpose(im, in_place=True)
            return to_rgb(shrink(im, side))
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError("This file is not a photo that can be opened here", HINT) from None
    except Image.DecompressionBombError:
        raise too_large(MAX_MEGAPIXELS_JPEG) from None
    except FileNotFoundError:
        raise PhotoError("This photo is no longer here", "Please send it again.") from None
    except PermissionError:
        raise PhotoError("This photo may not be read", "Please check the permissions of the file.") from None
    except Exception:  # on hostile bytes decoders raise anything: OSError, SyntaxError, struct.error, MemoryError…
        raise PhotoError("This photo is damaged or incomplete", "Please save it again or send another one.") from None


def check_size(im):
    """Refuse an opened but not yet decoded image whose header promises too many pixels, or a thread of them."""
    # A progressive JPEG is held in full while it is decoded, at any output size, so it gets no bonus.
    light = im.format in ("JPEG", "MPO") and not im.info.get("progressive")
    limit = MAX_MEGAPIXELS_JPEG if light else MAX_MEGAPIXELS
    if im.width * im.height > limit * 10**6:
        raise too_large(limit)
    if max(im.size) > MAX_RATIO * min(im.size):
        raise PhotoError("This picture is too long and thin to be a photo", "Please crop it.")


def too_large(megapixels):
    return PhotoError(f"This photo has more than {megapixels} megapixels", "Please send a smaller copy.")


def to_rgb(im):
    """Convert any mode to RGB as a viewer would show it: 16 bits scaled (Pillow clips), transparency on white."""
    if im.mode in ("I", "F") or im.mode.startswith("I;16"):
        im = Image.fromarray(to_8_bits(np.asarray(im)))
    if im.has_transparency_data:
        im = im.convert("RGBA")
        im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im)
    im = im.convert("RGB")
    im.info.clear()  # what else the file says, such as comments: Pillow would write it again
    return im


def to_8_bits(pixels):
    """Scale one channel of integers or floats to uint8: 16-bit values by their full range, others by their own."""
    pixels = np.nan_to_num(pixels.astype(np.float32))
    top = pixels.max(initial=0)
    scale = 1 if top <= 255 else 65535 / 255 if top <= 65535 else top / 255
    return np.clip(pixels / scale, 0, 255).astype(np.uint8)


def shrink(im, side):
    """Average blocks of pixels until the shorter side is less than twice `side`; a small photo stays as it is."""
    factor = min(im.size) // side
    if factor < 2:
        return im
    if im.mode in ("P", "PA", "1"):
        im = im.convert("RGBA" if im.has_transparency_data else "RGB")
    elif im.mode.startswith("I;16"):
        im = im.convert("I")
    return im.reduce(factor)


def as_jpeg(im, quality):
    """An RGB photo as the bytes of a JPEG of that `quality`, from 1 to 95."""
    jpeg = io.BytesIO()
    im.save(jpeg, "JPEG", quality=quality)
    return jpeg.getvalue()
