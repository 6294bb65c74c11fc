"""Open a photo from a stranger. The app and training open all photos with this module.

Gradio's image component and `PIL.Image.open` each get some real photos wrong: turned sideways, whitened, or decoded
in full although they are bombs. So both only get files that this module has opened.
The page opens photos in processes that may be ended at any time (bears/app/decode_workers.py); what is refused here
before it is decoded does not even cost that.
"""

import base64
import contextlib
import io
import itertools
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pillow_heif
from bears.errors import PhotoError
from PIL import ExifTags, Image, UnidentifiedImageError

# Only these decoders ever see a stranger's bytes; Pillow has others that start programs (EPS runs Ghostscript).
# JPEG includes MPO, the pairs of pictures that some phones save.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
MAX_MEGAPIXELS = 50  # imgproxy's default limit on a source image
MAX_MEGAPIXELS_JPEG = 200  # a phone's largest: a baseline JPEG is decoded at an eighth of its sides
LARGE = 13  # megapixels; phones take photos of 12
MAX_RATIO = 20  # of the longer side to the shorter; a panorama has less, and no JPEG of the answer holds much more
SIDE = 360  # pixels of the shorter side that are left at least: more than the model sees, enough to show on a page
THUMBNAIL = 280  # pixels of the longer side: sharp on most screens
KEPT_SIDE = 512  # pixels of the longer side of a photo that is downloaded: twice what the model sees
MAX_SCANS = 50  # of a JPEG, each of which goes through all its pixels; encoders write about ten
MAX_TABLE = 2**15  # numbers in a table of a TIFF, where Pillow makes a Python object of each; a strip per row has fewer
MAX_BLOCKS = 2**12  # of text before a GIF's first frame: Pillow copies all that it has at each

pillow_heif.register_heif_opener()
# This module checks sizes itself, before decoding; Pillow's own check only knows one limit for all formats.
Image.MAX_IMAGE_PIXELS = MAX_MEGAPIXELS_JPEG * 10**6 // 2  # Pillow warns here and refuses at twice as much
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

TURNS = {  # from EXIF's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_EXTRAS = (b"tRNS", b"eXIf")  # the only optional chunks that change the picture
TIFF_BYTES = (1, 2, 6, 7)  # types of tables that are read as they are, such as a colour profile
TIFF_OFFSETS = (273, 324)  # of strips and of tiles: a Python object each, whatever their type
JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # those that have a length, and the end
HINT = "Please send a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC photo."


def open_photo(
    file: Path | BinaryIO,
    side: int = SIDE,
    long_side: int | None = None,
    in_turn: Callable[[], AbstractContextManager] = contextlib.nullcontext,
) -> Image.Image:
    """Decode `file` (a path or a binary file object) into an upright RGB photo on white, first frame only.

    Returns a PIL image in mode RGB whose shorter side has `side` pixels or more, but less than twice as many (small
    photos keep their size). It has at most MAX_RATIO * `side`² pixels, so that a panorama takes no more memory.
    `long_side` is as many pixels as the longer side needs, whatever `side` says: a panorama that is wide enough need
    not be high. `in_turn` makes a context in which a large photo is decoded.
    Raises `PhotoError` when the file is no photo, is damaged, has too many pixels, cannot be read, or takes more memory
    than there is.
    """
    try:
        with open_file(file) as fp, Image.open(check_tables(fp), formats=FORMATS) as im:
            check_size(im, fp)
            if long_side:
                side = min(side, long_side * min(im.size) // max(im.size))
            with in_turn() if is_large(im, fp) else contextlib.nullcontext():
                return decode(im, side)
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
    except MemoryError:
        raise PhotoError("This photo takes too much memory to open", "Please send a smaller copy.") from None
    except Exception:  # on hostile bytes decoders raise anything: OSError, SyntaxError, struct.error…
        raise PhotoError("This photo is damaged or incomplete", "Please save it again or send another one.") from None


def open_file(file: Path | BinaryIO) -> Any:
    """Open a path for reading, or take a binary file object as it is: a context manager."""
    return contextlib.nullcontext(file) if hasattr(file, "read") else open(file, "rb")


def check_tables(fp: BinaryIO) -> BinaryIO:
    """Refuse what Pillow would spend seconds on before it knows how large a picture is; return what it should read."""
    fp.seek(0)
    head = fp.read(16)
    if head.startswith(PNG_SIGNATURE):
        return plain_png(fp)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        too_many = max(tiff_tables(fp, head), default=0) > MAX_TABLE
    elif head.startswith(b"GIF8"):
        too_many = sum(1 for _ in itertools.islice(gif_blocks(fp, head), MAX_BLOCKS + 1)) > MAX_BLOCKS
    else:
        too_many = False
    if too_many:
        raise PhotoError("This file contains far more metadata than a photo does", HINT)
    fp.seek(0)
    return fp


def plain_png(fp: BinaryIO) -> BinaryIO:
    """Return a PNG without the optional chunks that the picture does not need, or that are damaged.

    Pillow refuses the photo for those: for a large colour profile or text, or a wrong checksum.
    """
    fp.seek(0)
    data, at, plain = memoryview(fp.read()), len(PNG_SIGNATURE), io.BytesIO()
    plain.write(PNG_SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">L4s", data, at)
        chunk = data[at : at + 12 + length]
        if not name[0] & 32 or (name in PNG_EXTRAS and chunk[-4:] == struct.pack(">L", zlib.crc32(chunk[4:-4]))):
            plain.write(chunk)
        at += len(chunk) if name != b"IEND" else len(data)
    plain.seek(0)
    return plain


def tiff_tables(fp: BinaryIO, head: bytes) -> Iterator[int]:
    """Return how many numbers each table of a TIFF's first page has, such as where its strips start."""
    order = "<" if head[0] == ord("I") else ">"
    start, number, entry = ("8xQ", "Q", "HHQ8x") if ord("+") in head[2:4] else ("4xL", "H", "HHL4x")
    fp.seek(*struct.unpack_from(order + start, head))
    [entries] = struct.unpack(order + number, fp.read(struct.calcsize(order + number)))
    table = fp.read(entries * struct.calcsize(order + entry))
    entries = struct.iter_unpack(order + entry, table)
    return (count for tag, kind, count in entries if kind not in TIFF_BYTES or tag in TIFF_OFFSETS)


def gif_blocks(fp: BinaryIO, head: bytes) -> Iterator[int]:
    """Yield how long each block is that comes before a GIF's first frame."""
    fp.seek(13 + (3 << (head[10] & 7) + 1 if head[10] & 128 else 0))  # behind the palette
    while fp.read(1) == b"!":
        fp.seek(1, io.SEEK_CUR)
        while length := ord(fp.read(1)):
            fp.seek(length, io.SEEK_CUR)
            yield length


def jpeg_scans(data: bytes) -> Iterator[int]:
    """Yield how many components each scan of a JPEG's first picture has."""
    at = 0
    while (marker := JPEG_MARKER.search(data, at)) and marker[0] != b"\xff\xd9":
        at = marker.end()
        if marker[0] == b"\xff\xda":
            yield data[at + 2]
        at += int.from_bytes(data[at : at + 2], "big")


def begins_a_photo(data: bytes) -> bool:
    """Return whether a file that begins with these bytes, 16 or all that it has, can be of one of the FORMATS."""
    Image.init()
    return any(Image.OPEN[name][1](data[:16]) is True for name in FORMATS)


def check_size(im: Image.Image, fp: BinaryIO) -> None:
    """Refuse an opened but not yet decoded image whose header promises too many pixels, or a thread of them."""
    limit = MAX_MEGAPIXELS_JPEG if im.format in ("JPEG", "MPO") and is_decoded_in_rows(im, fp) else MAX_MEGAPIXELS
    if im.width * im.height > limit * 10**6:
        raise too_large(limit)
    if max(im.size) > MAX_RATIO * min(im.size):
        raise PhotoError("This picture is too long and thin to be a photo", "Please crop it.")


def is_large(im: Image.Image, fp: BinaryIO) -> bool:
    """Return whether an image may take hundreds of megabytes while it is decoded: up to 20 bytes per pixel."""
    if im.format == "AVIF":  # its header may lie, and no decoder refuses it for that, as libheif refuses a HEIC
        return True
    return im.width * im.height > LARGE * 10**6 and not (im.format in ("JPEG", "MPO") and is_decoded_in_rows(im, fp))


def is_decoded_in_rows(im: Any, fp: BinaryIO) -> bool:
    """Whether a JPEG has all its colours in one scan; any other is held in full while it is decoded, at any size."""
    fp.seek(0)
    scans = jpeg_scans(fp.read())
    if next(scans, 0) == im.layers and not im.info.get("progressive"):
        return True
    if sum(1 for _ in itertools.islice(scans, MAX_SCANS)) == MAX_SCANS:
        raise PhotoError("This JPEG has more scans than a photo does", "Please save it again or send another one.")
    return False


def too_large(megapixels: int) -> PhotoError:
    return PhotoError(f"This photo has more than {megapixels} megapixels", "Please send a smaller copy.")


def decode(im: Image.Image, side: int) -> Image.Image:
    """Return an opened image as an upright RGB photo, as `open_photo` promises it."""
    im.draft("RGB", (side, side))  # JPEG only: decodes at 1/2, 1/4 or 1/8, never below `side`
    small, turn = shrink(load(im), side), TURNS.get(orientation(im) or 1)
    return fit(to_rgb(small if turn is None else small.transpose(turn)), MAX_RATIO * side**2)


def load(im: Any) -> Image.Image:
    """Decode an opened image; free the two pictures that the decoder of a WebP holds before Pillow makes another."""
    if im.format != "WEBP":
        im.load()
        return im
    pixels, _ = im._decoder.get_next()
    im._decoder = None
    return Image.frombuffer(im.rawmode, im.size, pixels, "raw", im.rawmode, 0, 1)


def orientation(im: Image.Image) -> int | None:
    """Return EXIF's number for how the camera was held, or None; what else stands there may be wrong in any way."""
    with contextlib.suppress(Exception):
        return int(im.getexif().get(ExifTags.Base.Orientation))
    return None


def to_rgb(im: Image.Image) -> Image.Image:
    """Convert any mode to RGB as a viewer would show it: 16 bits scaled (Pillow clips), transparency on white."""
    if im.mode in ("I", "F") or im.mode.startswith("I;16"):
        im = Image.fromarray(to_8_bits(np.asarray(im)))
    if im.has_transparency_data:
        im = im.convert("RGBA")
        im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im)
    im = im.convert("RGB")
    im.info.clear()  # what else the file says, such as comments: Pillow would write it again
    return im


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Scale one channel of integers or floats to uint8, where white is 1 (floats only), 255, 65535 or the brightest."""
    real = np.issubdtype(pixels.dtype, np.floating)
    pixels = np.nan_to_num(pixels.astype(np.float32), posinf=np.inf)
    top = pixels.max(initial=0, where=np.isfinite(pixels))
    white = 255 if top <= 255 else max(65535, top)
    if real and np.median(pixels) <= 1:  # some highlights may be brighter than white
        white = 1
    return np.clip(pixels / (white / 255), 0, 255).astype(np.uint8)


def shrink(im: Image.Image, side: int) -> Image.Image:
    """Average blocks of pixels until the shorter side is less than twice `side`; a small photo stays as it is."""
    factor = min(im.size) // side
    if factor < 2:
        return im
    if im.mode in ("P", "PA", "1"):
        im = im.convert("RGBA" if im.has_transparency_data else "RGB")
    elif im.mode.startswith("I;16"):
        im = im.convert("I")
    return im.reduce(factor)


def fit(im: Image.Image, pixels: int) -> Image.Image:
    """Scale an RGB photo down to so many pixels, if it has more."""
    scale = (pixels / (im.width * im.height)) ** 0.5
    return im.resize((int(im.width * scale), int(im.height * scale))) if scale < 1 else im


def as_jpeg(im: Image.Image, quality: int) -> bytes:
    """Return an RGB photo as the bytes of a JPEG of that `quality`, from 1 to 95."""
    jpeg = io.BytesIO()
    im.save(jpeg, "JPEG", quality=quality)
    return jpeg.getvalue()


def as_address(jpeg: bytes) -> str:
    """Return the `data:` address by which a page shows a JPEG that it brings along."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def thumbnail(photo: Path | Image.Image) -> str:
    """Return a small picture of a photo, or of its file, as a `data:` address. Raises `PhotoError`."""
    im = photo if isinstance(photo, Image.Image) else open_photo(photo, side=THUMBNAIL // 2)
    im.thumbnail((THUMBNAIL, THUMBNAIL))
    return as_address(as_jpeg(im, quality=80))


def small_jpeg(data: bytes) -> bytes:
    """Return the photo in `data` upright, in RGB, at most `KEPT_SIDE` pixels a side, as bytes of a JPEG.

    Raises `PhotoError`.
    """
    # Shrunk in two steps only where one would take much memory.
    im = open_photo(io.BytesIO(data), side=4 * KEPT_SIDE, long_side=8 * KEPT_SIDE)
    im.thumbnail((KEPT_SIDE, KEPT_SIDE))
    return as_jpeg(im, quality=88)
