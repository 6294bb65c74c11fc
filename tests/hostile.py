"""Make small files that take a decoder much time or memory."""

import io
import struct

from PIL import Image


def saved(im, format, **kwargs):
    file = io.BytesIO()
    im.save(file, format, **kwargs)
    return file.getvalue()


def jpeg_of_many_scans(side=7000, scans=300):
    """Return a JPEG with `scans` scans, most of which refine the same bit of every pixel."""
    data = saved(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def jpeg_of_separate_components(side=14140):
    """Return a grey JPEG with a separate scan for each colour, two bits per block of 64 pixels."""
    small = saved(Image.new("L", (8, 8), 128), "JPEG", optimize=True)
    frame, tables, scan = small.index(b"\xff\xc0"), small.index(b"\xff\xc4"), small.index(b"\xff\xda")
    components = b"".join(bytes([i, 0x11, 0]) for i in (1, 2, 3))
    header = struct.pack(">HHBHHB", 0xFFC0, 17, 8, side, side, 3) + components
    pixels = bytes((-(-side // 8)) ** 2 // 4)
    scans = b"".join(struct.pack(">HH6B", 0xFFDA, 8, 1, i, 0, 0, 63, 0) + pixels for i in (1, 2, 3))
    return small[:frame] + header + small[tables:scan] + scans + b"\xff\xd9"


def jpeg_of_many_comments(comments=5_000_000):
    """Return a JPEG with `comments` comments, all of which Pillow keeps. Only the deadline stops Pillow."""
    data = saved(Image.new("L", (8, 8)), "JPEG")
    return data[:2] + b"\xff\xfe\0\2" * comments + data[2:]


def tiff_of_many_strips(strips=2**18, kind=4, order="<", big=False):
    """Return a TIFF with `strips` strips. `kind` is the type of their offsets, usually 4. `big` makes a BigTIFF."""
    number, entry, offset, head = ("Q", "HHQQ", "Q", 16) if big else ("H", "HHLL", "L", 8)
    tags = [(256, 3, 1, 64), (257, 3, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    table = struct.calcsize(order + number) + 8 * struct.calcsize(order + entry) + struct.calcsize(order + offset)
    tags += [(273, kind, strips, head + table), (278, 3, 1, 1), (279, 4, 1, 64)]
    if order == ">":  # a number shorter than its field is at the left of it
        bits = {n: 8 * struct.calcsize(order + offset) - size for n, size in ((3, 16), (4, 32))}
        tags = [(tag, kind, n, value if n > 1 else value << bits[kind]) for tag, kind, n, value in tags]
    entries = b"".join(struct.pack(order + entry, *tag) for tag in tags)
    begin = struct.pack(order + "HHHHQ", 0, 43, 8, 0, head) if big else struct.pack(order + "HHL", 0, 42, head)
    begin = (b"II" if order == "<" else b"MM") + begin[2:]
    end = struct.pack(order + offset, 0) + struct.pack(order + offset, 8) * strips
    return begin + struct.pack(order + number, len(tags)) + entries + end


def gif_of_many_comments(comments=520_000):
    data = saved(Image.new("P", (64, 64)), "GIF")
    frame = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0)
    return data[:frame] + b"!\xfe\1a\0" * comments + data[frame:]


def png_that_is_thin():
    return saved(Image.new("RGB", (14_380, 719)), "PNG")


def avif_that_lies(side=8192):
    """Return an AVIF whose header says 64 x 64 pixels."""
    data = saved(Image.new("L", (side, side)), "AVIF", speed=10)
    size = data.index(b"ispe") + 8
    return data[:size] + struct.pack(">LL", 64, 64) + data[size + 8 :]


# Files that are refused before they are decoded.
REFUSED = [jpeg_of_many_scans, jpeg_of_separate_components, tiff_of_many_strips, gif_of_many_comments]


def huge_jpeg(width, height):
    """Return a JPEG whose header promises more pixels than it has."""
    jpeg = saved(Image.new("RGB", (16, 16)), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + jpeg[at + 4 :]
