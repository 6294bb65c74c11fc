"""Open photos safely. The app, training and all commands open every photo with this module.

Gradio's image component and `PIL.Image.open` show some photos sideways or too bright, and may take gigabytes of memory
for a small file. Only this module opens uploaded files, and Gradio only gets photos that this module has decoded.

Most bad files are rejected before they are decoded. The app decodes photos in worker processes, which it can stop at
any time (bears/app/decode_workers.py).
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

# Only these decoders get uploaded files. Some other decoders of Pillow start programs (EPS runs Ghostscript).
# JPEG includes MPO, the pairs of pictures that some phones save.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
MAX_MEGAPIXELS = 50  # the default limit of imgproxy
MAX_MEGAPIXELS_JPEG = 200  # the largest photos of phones; a baseline JPEG can be decoded at 1/8 of its size
LARGE = 13  # megapixels; most phones take photos of 12
MAX_RATIO = 20  # longer side to shorter side; panoramas have less
SIDE = 360  # the shorter side of an opened photo has at least this many pixels, more than the model uses
THUMBNAIL = 280  # pixels of the longer side, sharp on most screens
KEPT_SIDE = 512  # pixels of the longer side of a downloaded photo, twice as many as the model uses
MAX_SCANS = 50  # scans of a JPEG; each takes time for all pixels, and encoders write about ten
MAX_TABLE = 2**15  # numbers in a TIFF's table; Pillow makes a Python object of each, and photos need fewer
MAX_BLOCKS = 2**12  # blocks of text before a GIF's first frame; for each block, Pillow copies all earlier blocks

pillow_heif.register_heif_opener()
# Pillow warns above this limit, and rejects photos with more than twice as many pixels. `check_size` also has a limit
# for each format.
Image.MAX_IMAGE_PIXELS = MAX_MEGAPIXELS_JPEG * 10**6 // 2
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

TURNS = {  # by EXIF's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_EXTRAS = (b"tRNS", b"eXIf")  # the optional chunks that change how the photo looks: transparency, orientation
TIFF_BYTES = (1, 2, 6, 7)  # types of tables that Pillow reads as bytes, such as a colour profile
TIFF_OFFSETS = (273, 324)  # tables of strips and tiles: Pillow makes a Python object of each number, whatever its type
JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # markers with a length, and the end marker
HINT = "Please send a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC photo."


def open_photo(
    file: Path | BinaryIO,
    side: int = SIDE,
    long_side: int | None = None,
    in_turn: Callable[[], AbstractContextManager] = contextlib.nullcontext,
) -> Image.Image:
    """Decode the first frame of `file` (a path or a binary file object), turn it upright and convert it to RGB.

    Returns a PIL image in mode RGB. Transparent areas are white. The shorter side has at least `side` pixels and less
    than twice as many, but small photos keep their size. The image has at most MAX_RATIO * `side`² pixels, which limits
    the memory for a panorama. If `long_side` is given, a panorama may get fewer pixels, but its longer side has at
    least `long_side`. Large photos are decoded in the context manager that `in_turn` returns, such as a lock. Raises
    `PhotoError` if the file is not a photo, is damaged, has too many pixels, can't be read, or takes too much memory.
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
        raise PhotoError("This photo can't be read", "Please check the permissions of the file.") from None
    except MemoryError:
        raise PhotoError("This photo takes too much memory to open", "Please send a smaller copy.") from None
    except Exception:  # decoders can raise anything on a bad file: OSError, SyntaxError, struct.error…
        raise PhotoError("This photo is damaged or incomplete", "Please save it again or send another one.") from None


def open_or_none(file: Path | BinaryIO) -> Image.Image | None:
    """Open a photo with `open_photo`, or return None if it can't be opened."""
    try:
        return open_photo(file)
    except PhotoError:
        return None


def open_file(file: Path | BinaryIO) -> Any:
    """Return a context manager that opens a path for reading.

    A binary file object stays open and is returned unchanged.
    """
    return contextlib.nullcontext(file) if hasattr(file, "read") else open(file, "rb")


def check_tables(fp: BinaryIO) -> BinaryIO:
    """Return `fp`, or for a PNG the result of `plain_png`. Raises `PhotoError` for too much metadata."""
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
    """Return a PNG without optional chunks, except intact ones that change how the photo looks.

    Pillow rejects some photos because an optional chunk is damaged, or is a large colour profile.
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
    """Yield how many numbers each table of a TIFF's first page has, except tables that Pillow reads as bytes."""
    order = "<" if head[0] == ord("I") else ">"
    start, number, entry = ("8xQ", "Q", "HHQ8x") if ord("+") in head[2:4] else ("4xL", "H", "HHL4x")
    fp.seek(*struct.unpack_from(order + start, head))
    [entries] = struct.unpack(order + number, fp.read(struct.calcsize(order + number)))
    table = fp.read(entries * struct.calcsize(order + entry))
    entries = struct.iter_unpack(order + entry, table)
    return (count for tag, kind, count in entries if kind not in TIFF_BYTES or tag in TIFF_OFFSETS)


def gif_blocks(fp: BinaryIO, head: bytes) -> Iterator[int]:
    """Yield the length in bytes of each block before a GIF's first frame."""
    fp.seek(13 + (3 << (head[10] & 7) + 1 if head[10] & 128 else 0))  # after the palette
    while fp.read(1) == b"!":
        fp.seek(1, io.SEEK_CUR)
        while length := ord(fp.read(1)):
            fp.seek(length, io.SEEK_CUR)
            yield length


def jpeg_scans(data: bytes) -> Iterator[int]:
    """Yield how many colour components each scan of a JPEG's first picture has."""
    at = 0
    while (marker := JPEG_MARKER.search(data, at)) and marker[0] != b"\xff\xd9":
        at = marker.end()
        if marker[0] == b"\xff\xda":
            yield data[at + 2]
        at += int.from_bytes(data[at : at + 2], "big")


def begins_a_photo(data: bytes) -> bool:
    """Return whether a file may have one of the FORMATS. `data` has the first 16 bytes, or all of a shorter file."""
    Image.init()
    return any(Image.OPEN[name][1](data[:16]) is True for name in FORMATS)


def check_size(im: Image.Image, fp: BinaryIO) -> None:
    """Raise `PhotoError` if an image has too many pixels, or is too long and thin.

    The size is read from the image's header, so the image isn't decoded.
    """
    limit = MAX_MEGAPIXELS_JPEG if im.format in ("JPEG", "MPO") and is_decoded_in_rows(im, fp) else MAX_MEGAPIXELS
    if im.width * im.height > limit * 10**6:
        raise too_large(limit)
    if max(im.size) > MAX_RATIO * min(im.size):
        raise PhotoError("This picture is too long and thin to be a photo", "Please crop it.")


def is_large(im: Image.Image, fp: BinaryIO) -> bool:
    """Return whether decoding an image may take hundreds of megabytes. Decoders need up to 20 bytes per pixel."""
    if im.format == "AVIF":  # the size in its header may be wrong, and its decoder doesn't check that (HEIC's does)
        return True
    return im.width * im.height > LARGE * 10**6 and not (im.format in ("JPEG", "MPO") and is_decoded_in_rows(im, fp))


def is_decoded_in_rows(im: Any, fp: BinaryIO) -> bool:
    """Return whether a JPEG has all its colours in one scan. A JPEG with several scans takes memory for all pixels.

    Raises `PhotoError` if the JPEG has too many scans.
    """
    fp.seek(0)
    scans = jpeg_scans(fp.read())
    if next(scans, 0) == im.layers and not im.info.get("progressive"):
        return True
    if sum(1 for _ in itertools.islice(scans, MAX_SCANS)) == MAX_SCANS:
        raise PhotoError("This JPEG photo takes too long to open", "Please save it again or send another one.")
    return False


def too_large(megapixels: int) -> PhotoError:
    return PhotoError(f"This photo has more than {megapixels} megapixels", "Please send a smaller copy.")


def decode(im: Image.Image, side: int) -> Image.Image:
    """Decode an opened image as `open_photo` describes."""
    im.draft("RGB", (side, side))  # makes a JPEG decode at 1/2, 1/4 or 1/8 of its size, but not below `side`
    small, turn = shrink(load(im), side), TURNS.get(orientation(im) or 1)
    return fit(to_rgb(small if turn is None else small.transpose(turn)), MAX_RATIO * side**2)


def load(im: Any) -> Image.Image:
    """Decode an opened image. Free a WebP decoder early, since it keeps its own copy of the pixels."""
    if im.format != "WEBP":
        im.load()
        return im
    pixels, _ = im._decoder.get_next()
    im._decoder = None
    return Image.frombuffer(im.rawmode, im.size, pixels, "raw", im.rawmode, 0, 1)


def orientation(im: Image.Image) -> int | None:
    """Return the orientation in a photo's EXIF data, from 1 to 8, or None if there is no readable value."""
    with contextlib.suppress(Exception):  # damaged EXIF can raise anything
        return int(im.getexif().get(ExifTags.Base.Orientation))
    return None


def to_rgb(im: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB, as photo viewers show it.

    Transparent areas become white. 16-bit values are scaled to 8 bits, since Pillow's own conversion would clip them at
    255.
    """
    if im.mode in ("I", "F") or im.mode.startswith("I;16"):
        im = Image.fromarray(to_8_bits(np.asarray(im)))
    if im.has_transparency_data:
        im = im.convert("RGBA")
        im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im)
    im = im.convert("RGB")
    im.info.clear()  # Pillow would write comments and other metadata into copies
    return im


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Scale one channel to uint8. The value of white is guessed: 255, 65535 or the maximum, or 1 for most floats."""
    real = np.issubdtype(pixels.dtype, np.floating)
    pixels = np.nan_to_num(pixels.astype(np.float32), posinf=np.inf)
    top = pixels.max(initial=0, where=np.isfinite(pixels))
    white = 255 if top <= 255 else max(65535, top)
    if real and np.median(pixels) <= 1:  # some highlights may be brighter than white
        white = 1
    return np.clip(pixels / (white / 255), 0, 255).astype(np.uint8)


def shrink(im: Image.Image, side: int) -> Image.Image:
    """Shrink an image by averaging blocks of pixels, until its shorter side is less than twice `side`."""
    factor = min(im.size) // side
    if factor < 2:
        return im
    if im.mode in ("P", "PA", "1"):
        im = im.convert("RGBA" if im.has_transparency_data else "RGB")
    elif im.mode.startswith("I;16"):
        im = im.convert("I")
    return im.reduce(factor)


def fit(im: Image.Image, pixels: int) -> Image.Image:
    """Shrink an RGB photo to at most `pixels` pixels in total, and keep its shape."""
    scale = (pixels / (im.width * im.height)) ** 0.5
    return im.resize((int(im.width * scale), int(im.height * scale))) if scale < 1 else im


def as_jpeg(im: Image.Image, quality: int) -> bytes:
    """Encode an RGB photo as JPEG with a `quality` from 1 to 95."""
    jpeg = io.BytesIO()
    im.save(jpeg, "JPEG", quality=quality)
    return jpeg.getvalue()


def as_address(jpeg: bytes) -> str:
    """Convert the bytes of a JPEG to a `data:` address for HTML."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def thumbnail(photo: Path | Image.Image) -> str:
    """Return a JPEG thumbnail as a `data:` address. `photo` is an image or a path. Raises `PhotoError`."""
    im = photo if isinstance(photo, Image.Image) else open_photo(photo, side=THUMBNAIL // 2)
    im.thumbnail((THUMBNAIL, THUMBNAIL))
    return as_address(as_jpeg(im, quality=80))


def small_jpeg(data: bytes) -> bytes:
    """Convert the photo in `data` to an upright JPEG of at most `KEPT_SIDE` pixels a side. Raises `PhotoError`."""
    # `open_photo` already shrinks photos that take much memory.
    im = open_photo(io.BytesIO(data), side=4 * KEPT_SIDE, long_side=8 * KEPT_SIDE)
    im.thumbnail((KEPT_SIDE, KEPT_SIDE))
    return as_jpeg(im, quality=88)
