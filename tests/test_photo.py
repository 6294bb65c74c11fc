"""Test that real photos open upright, in RGB, on white, and that everything else is refused in one sentence."""

import contextlib
import io
import pickle
import struct
import time
import tracemalloc
import zlib
from types import SimpleNamespace

import hostile
import numpy as np
import pytest
from bears.errors import PhotoError
from bears.model import photo
from bears.model.photo import open_photo
from PIL import Image, UnidentifiedImageError

SCENE = Image.new("RGB", (60, 40), "blue")
SCENE.paste("red", (0, 0, 30, 20))  # the upper left quarter is red


def saved(im, format, **kwargs):
    file = io.BytesIO()
    im.save(file, format, **kwargs)
    file.seek(0)
    return file


def close(pixel, colour):
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour))


def is_scene(im):
    w, h = im.size
    return close(im.getpixel((w // 8, h // 8)), (255, 0, 0)) and close(
        im.getpixel((7 * w // 8, 7 * h // 8)), (0, 0, 255)
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "MPO"])
def test_every_allowed_format_opens(format):
    im = open_photo(saved(SCENE, format))
    assert im.mode == "RGB" and im.size == (60, 40) and is_scene(im)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode):
    im = open_photo(saved(SCENE.convert(mode), "TIFF"))
    assert im.mode == "RGB"
    if mode in ("P", "CMYK"):
        assert is_scene(im)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_exif_orientation_is_applied(format, mode):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to see it so
    sideways = SCENE.transpose(Image.Transpose.ROTATE_90).convert(mode)
    im = open_photo(saved(sideways, format, exif=exif))
    assert im.size == (60, 40)
    if mode == "RGB":
        assert is_scene(im)


def odd_exif(tag, kind, count, value):
    """Return EXIF that says "turn clockwise", with one more entry. A long `value` comes after the table."""
    value = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<L", 38) + value
    entries = sorted([(0x0112, 3, 1, struct.pack("<HH", 6, 0)), (tag, kind, count, value[:4])])
    table = b"".join(struct.pack("<HHL4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<LH", 8, 2) + table + bytes(4) + value[4:]


ODD = {
    "a signed fraction where none may be": odd_exif(0x011A, 10, 1, struct.pack("<ll", -1, 0)),
    "a fraction of nothing": odd_exif(0x011A, 5, 1, bytes(8)),
    "a number that is too large": odd_exif(0x011A, 12, 1, struct.pack("<d", 1e300)),
    "no number": odd_exif(0x011A, 11, 1, struct.pack("<f", float("nan"))),
    "text for a number": odd_exif(0x011A, 2, 3, b"abc"),
    "a kind that is not known": odd_exif(0x011A, 99, 1, b"abcd"),
    "nothing at all": odd_exif(0x011A, 5, 0, b""),
    "more than there is": odd_exif(0x0131, 2, 2**31, b"abcdefgh"),
    "text that is no UTF-8": odd_exif(0x010F, 2, 8, b"\xff\xfe\xff\xfe\xff\xfe\xff\0"),
    "negative numbers": odd_exif(0x8827, 9, 2, struct.pack("<ll", -1, -2)),
    "a table that is somewhere else": odd_exif(0x8769, 4, 1, b"\xff\xff\xff\x7f"),
    "a table that is itself": odd_exif(0x8825, 4, 1, b"\x08\0\0\0"),
    "a table as text": odd_exif(0x8769, 2, 8, b"abcdefgh"),
    "a negative table": odd_exif(0x8769, 9, 1, b"\xff\xff\xff\xff"),
}


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("odd", ODD)
def test_a_turned_photo_opens_whatever_else_its_exif_says(format, odd):
    sideways = SCENE.transpose(Image.Transpose.ROTATE_90)
    im = open_photo(saved(sideways, format, exif=ODD[odd]))
    assert im.size == (60, 40) and is_scene(im)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_exif_that_cannot_be_read_turns_nothing(exif):
    im = open_photo(saved(SCENE, "JPEG", exif=exif))
    assert im.size == (60, 40) and is_scene(im)


def test_a_large_photo_is_turned_as_a_small_one_is():
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        small, large = (
            open_photo(saved(im, "PNG", exif=exif))
            for im in (SCENE, SCENE.resize((1800, 1200), Image.Resampling.NEAREST))
        )
        assert large.size == (small.width * 10, small.height * 10)
        assert large.resize(small.size, Image.Resampling.NEAREST).tobytes() == small.tobytes()


def test_transparency_is_shown_on_white():
    im = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    for format in ("PNG", "WEBP"):
        assert close(open_photo(saved(im, format)).getpixel((20, 20)), (255, 255, 255))


def test_sixteen_bits_are_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(16, 0)
    pixels = np.asarray(open_photo(saved(Image.fromarray(ramp), "PNG")))
    assert abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("values, expected", [([0, 1, 2], [0, 1, 2]), ([0, 0, 1], [0, 0, 1]), ([0, 254, 255], None)])
def test_integers_up_to_255_stay_as_they_are(values, expected):
    pixels = np.asarray(open_photo(saved(Image.fromarray(np.array([values], np.int32)), "TIFF")))
    assert pixels[0, :, 0].tolist() == (expected or values)


@pytest.mark.parametrize(
    "values, expected",
    [([0, 257, 65535], [0, 1, 255]), ([0, 256, 512], [0, 0, 1]), ([0, 65536 * 4, 65536 * 8], [0, 127, 255])],
)
def test_larger_integers_are_scaled_by_sixteen_bits_or_by_the_largest(values, expected):
    pixels = np.asarray(open_photo(saved(Image.fromarray(np.array([values], np.int32)), "TIFF")))
    assert pixels[0, :, 0].tolist() == pytest.approx(expected, abs=0.1 if max(values) < 65536 else 1)


@pytest.mark.parametrize("white", [0.5, 1, 255, 65535, 1e6])
def test_floats_are_scaled_whatever_they_count_as_white(white):
    ramp = np.linspace(0, white, 256, dtype=np.float32)[None].repeat(16, 0)
    pixels = np.asarray(open_photo(saved(Image.fromarray(ramp), "TIFF")))
    expected = np.linspace(0, min(255, 255 * white), 256)
    assert abs(pixels[0, :, 0] - expected).max() <= 1


@pytest.mark.parametrize("highlight", [1.5, 1000, np.inf, np.nan])
def test_of_floats_that_are_brighter_than_white_the_rest_stays_visible(highlight):
    floats = np.full((40, 60), 0.5, np.float32)
    floats[:4] = highlight
    pixels = np.asarray(open_photo(saved(Image.fromarray(floats), "TIFF")))
    assert (pixels[4:] == 127).all() and (pixels[:4] == (0 if np.isnan(highlight) else 255)).all()


def test_first_frame_of_an_animation():
    later = Image.new("RGB", SCENE.size, "green")
    for format in ("GIF", "WEBP", "PNG"):
        assert is_scene(open_photo(saved(SCENE, format, save_all=True, append_images=[later])))


def test_large_photo_comes_out_small():
    for format in ("JPEG", "PNG"):
        im = open_photo(saved(SCENE.resize((3000, 2000)), format))
        assert 360 <= im.height < 720 and im.width == pytest.approx(1.5 * im.height, abs=2) and is_scene(im)


def test_heic_of_an_iphone_opens_whatever_it_is_called(tmp_path):
    file = tmp_path / "IMG_0001.jpg"
    file.write_bytes(saved(SCENE, "HEIF").getvalue())
    assert is_scene(open_photo(file))


def refusal(data):
    with pytest.raises(PhotoError) as error:
        open_photo(io.BytesIO(data))
    message = str(error.value)
    assert message.endswith(".") and "\n" not in message and "lease" in message
    assert "lease" not in error.value.reason and str(pickle.loads(pickle.dumps(error.value))) == message
    return message


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0" * 999]
)
def test_what_is_no_photo_is_refused(data):
    assert "not a photo" in refusal(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "HEIF"])
def test_truncated_file_is_refused(format):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    data = saved(noise, format).getvalue()
    refusal(data[: len(data) // 2])


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height):
    """Return a valid PNG of zeros, 1 bit per pixel, in a few kilobytes."""
    rows = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    body = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def with_chunk(data, added):
    """Return a PNG with one more chunk after its header."""
    return data[:33] + added + data[33:]


HUGE = zlib.compress(bytes(2_000_000))
EXTRAS = {
    "a large colour profile": chunk(b"iCCP", b"ICC\0\0" + HUGE),
    "a large text": chunk(b"zTXt", b"Comment\0\0" + HUGE),
    "a large text of a program": chunk(b"iTXt", b"workflow\0\1\0\0\0" + HUGE),
    "no text": chunk(b"zTXt", b"Comment\0\0abc"),
    "text with a wrong checksum": chunk(b"tEXt", b"Comment\0abc")[:-4] + b"1234",
    "a resolution with a wrong checksum": chunk(b"pHYs", bytes(9))[:-1] + b"x",
    "a resolution that is too short": chunk(b"pHYs", b"a"),
    "EXIF with a wrong checksum": chunk(b"eXIf", b"abc")[:-1] + b"x",
    "transparency with a wrong checksum": chunk(b"tRNS", bytes(6))[:-1] + b"x",
    "colours that cannot be": chunk(b"cHRM", b"abc"),
    "an animation without pictures": chunk(b"acTL", bytes(8)),
    "what nobody knows": chunk(b"quUx", b"abc"),
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_a_png_holds_beside_its_picture_spoils_no_photo(extra):
    im = open_photo(io.BytesIO(with_chunk(saved(SCENE, "PNG").getvalue(), EXTRAS[extra])))
    assert im.size == (60, 40) and is_scene(im)


def test_a_png_of_nothing_but_chunks_takes_no_more_memory_than_itself():
    data = with_chunk(saved(SCENE, "PNG").getvalue(), chunk(b"IDAT", b"") * 50_000)
    tracemalloc.start()
    with pytest.raises(PhotoError):
        open_photo(io.BytesIO(data[: 33 + 50_000 * 12] + b"\xff" * 99))
    assert tracemalloc.get_traced_memory()[1] < 8 * len(data)
    tracemalloc.stop()


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE"])
def test_a_png_whose_picture_has_a_wrong_checksum_is_refused(name):
    data = bytearray(saved(SCENE.convert("P"), "PNG").getvalue())
    at = data.index(name)
    data[at + 4 + int.from_bytes(data[at - 4 : at], "big")] ^= 1
    refusal(bytes(data))


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_bomb_is_refused_before_it_is_decoded(side):
    bomb = png(side, side)
    assert len(bomb) < 200_000
    tracemalloc.start()
    start = time.process_time()
    assert "megapixels" in refusal(bomb)
    assert time.process_time() - start < 0.5 and tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("make", hostile.REFUSED, ids=lambda make: make.__name__)
def test_a_small_file_that_costs_much_is_refused_by_a_look_at_it(make):
    data = make()
    start = time.process_time()
    refusal(data)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "MPO"])
def test_a_photo_is_told_by_its_first_16_bytes(format):
    assert photo.begins_a_photo(saved(SCENE, format).read(16))


@pytest.mark.parametrize(
    "data", [b"%!PS-Adobe-3.0 EPSF-3.0", b"%PDF-1.7 and more text", b"<svg xmlns='http", b"II", b""]
)
def test_other_files_begin_no_photo(data):
    assert not photo.begins_a_photo(data)


def test_a_tiff_without_tables_holds_no_more_than_a_photo():
    empty = io.BytesIO(struct.pack("<2sHLHL", b"II", 42, 8, 0, 0) + bytes(4))
    assert photo.check_tables(empty) is empty and empty.tell() == 0


def test_comments_of_a_gif_without_a_palette_of_its_own_are_counted():
    head, blocks = b"GIF89a" + bytes(7), b"!\xfe\1a\0"
    assert "more metadata" in refusal(head + blocks * (photo.MAX_BLOCKS + 1) + b";")
    assert list(photo.gif_blocks(io.BytesIO(head + blocks * 3 + b";"), head)) == [1] * 3


def test_a_png_without_its_end_is_opened():
    data = saved(SCENE, "PNG").getvalue()
    assert is_scene(open_photo(io.BytesIO(data[: data.index(b"IEND") - 4])))


def test_holes_in_a_large_photo_of_few_colours_are_white():
    im = Image.new("P", (1000, 800))
    im.putpalette([0, 0, 255, 255, 0, 0])
    im.paste(1, (0, 0, 500, 800))
    small = open_photo(saved(im, "PNG", transparency=1))
    assert close(small.getpixel((5, 5)), (255, 255, 255)) and close(small.getpixel((small.width - 5, 5)), (0, 0, 255))


def test_floats_are_black_to_white_from_0_to_1_only_if_most_are_in_that_range():
    assert photo.to_8_bits(np.float32([0.2, 1, 40])).tolist() == pytest.approx([51, 255, 255], abs=1)
    assert photo.to_8_bits(np.float32([1.5, 1.5, 40])).tolist() == pytest.approx([1, 1, 40], abs=1)


def test_the_type_of_a_table_of_strips_hides_nothing():
    said = "This file contains far more metadata than a photo does. " + photo.HINT
    assert refusal(hostile.tiff_of_many_strips(kind=1)) == said


@pytest.mark.parametrize("order, big", [("<", False), (">", False), ("<", True)])  # Pillow opens no BigTIFF with ">"
def test_the_tables_of_every_kind_of_tiff_are_counted(order, big):
    assert "more metadata" in refusal(hostile.tiff_of_many_strips(2**15 + 1, 16 if big else 4, order, big))
    most = hostile.tiff_of_many_strips(2**15, 16 if big else 4, order, big)
    assert open_photo(io.BytesIO(most)).size == (64, 64)


def test_real_files_have_tables_scans_and_comments_too():
    noise = Image.effect_noise((3000, 600), 50).convert("RGB")
    for format, kwargs in (
        ("TIFF", {"strip_size": 1}),
        ("TIFF", {"big_tiff": True, "icc_profile": bytes(2**20)}),
        ("GIF", {"comment": b"x" * 50_000}),
        ("JPEG", {"progressive": True, "icc_profile": bytes(2**18)}),
    ):
        assert min(open_photo(saved(noise, format, **kwargs)).size) >= 360


def test_a_baseline_jpeg_may_have_more_pixels_than_others():
    grey = saved(Image.new("L", (8000, 8000)), "JPEG").getvalue()
    assert open_photo(io.BytesIO(grey)).size == (500, 500)
    assert "megapixels" in refusal(saved(Image.new("L", (8000, 8000)), "JPEG", progressive=True).getvalue())


def test_a_panorama_keeps_no_more_pixels_than_other_photos():
    width, height = open_photo(io.BytesIO(hostile.png_that_is_thin())).size
    assert height >= 360 and width * height <= 20 * 360**2 and width / height == pytest.approx(20, abs=0.1)


def test_a_thread_of_pixels_is_refused():
    assert "too long and thin" in refusal(saved(Image.new("RGB", (2, 4000)), "PNG").getvalue())
    assert open_photo(saved(Image.new("RGB", (4000, 400)), "JPEG")).size == (4000, 400)


def test_a_photo_that_has_gone_is_refused(tmp_path):
    with pytest.raises(PhotoError, match="no longer here"):
        open_photo(tmp_path / "gone.jpg")


def fails(error):
    """Return a function that raises `error`."""

    def fail(*args):
        raise error

    return fail


@pytest.mark.parametrize(
    "where, error, said",
    [
        ("open_file", FileNotFoundError(), "This photo is no longer here. Please send it again."),
        ("open_file", PermissionError(), "This photo can't be read. Please check the permissions of the file."),
        ("decode", MemoryError(), "This photo takes too much memory to open. Please send a smaller copy."),
        ("decode", OSError(), "This photo is damaged or incomplete. Please save it again or send another one."),
        (
            "check_size",
            Image.DecompressionBombError(),
            "This photo has more than 200 megapixels. Please send a smaller copy.",
        ),
        ("check_tables", UnidentifiedImageError(), f"This file is not a photo that can be opened here. {photo.HINT}"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_these_words(where, error, said, monkeypatch):
    monkeypatch.setattr(photo, where, fails(error))
    with pytest.raises(PhotoError) as e:
        open_photo(saved(SCENE, "PNG"))
    assert str(e.value) == said and e.value.__suppress_context__


def opened(width, height, format="PNG"):
    return SimpleNamespace(width=width, height=height, size=(width, height), format=format)


@pytest.mark.parametrize(
    "size, said",
    [
        ((10_000, 5000), None),
        ((10_000, 5001), "This photo has more than 50 megapixels. Please send a smaller copy."),
        ((100, 2000), None),
        ((2001, 100), "This picture is too long and thin to be a photo. Please crop it."),
    ],
)
def test_a_size_at_the_limit_passes(size, said):
    with pytest.raises(PhotoError) if said else contextlib.nullcontext() as e:
        photo.check_size(opened(*size), None)
    assert not said or str(e.value) == said


@pytest.mark.parametrize("format", ["JPEG", "MPO"])
def test_both_names_of_a_jpeg_have_its_limit(format, monkeypatch):
    monkeypatch.setattr(photo, "is_decoded_in_rows", lambda im, fp: True)
    photo.check_size(opened(20_000, 10_000, format), None)
    with pytest.raises(PhotoError, match="200 megapixels"):
        photo.check_size(opened(20_000, 10_001, format), None)


def test_only_what_takes_much_memory_is_decoded_in_turn():
    assert not photo.is_large(opened(5000, 2600), None) and photo.is_large(opened(5000, 2601), None)
    small, large = saved(Image.new("L", (60, 40)), "PNG"), io.BytesIO(png(5000, 2601))
    rows, avif = saved(Image.new("L", (5000, 2601)), "JPEG"), saved(Image.new("L", (60, 40)), "AVIF")
    turns = []

    @contextlib.contextmanager
    def in_turn():
        turns.append("begins")
        yield
        turns.append("ends")

    for file, expected in ((small, []), (rows, []), (large, ["begins", "ends"]), (avif, ["begins", "ends"] * 2)):
        open_photo(file, in_turn=in_turn)
        assert turns == expected


def test_a_longer_side_that_is_enough_needs_no_more_of_the_shorter():
    file = saved(Image.new("L", (4000, 500)), "PNG")
    assert open_photo(file).size == (4000, 500)
    assert open_photo(file, long_side=1000).size == (1000, 125)
    assert open_photo(file, long_side=9000).size == (4000, 500)
    assert open_photo(file, side=100).size == (800, 100)


@pytest.mark.parametrize("mode", ["RGB", "P", "1", "I;16"])
def test_a_photo_is_averaged_until_its_shorter_side_is_less_than_twice_as_long_as_asked(mode):
    big, less = (Image.new("L", (1000, height), 255).convert("I" if mode == "I;16" else mode) for height in (720, 719))
    if mode == "I;16":
        big, less = big.convert(mode), less.convert(mode)
    assert photo.shrink(big, 360).size == (500, 360) and photo.shrink(less, 360) is less


def test_a_photo_of_too_many_pixels_is_scaled_to_as_many():
    im = Image.new("RGB", (100, 50))
    assert photo.fit(im, 1250).size == (50, 25) and photo.fit(im, 5000) is im


def test_a_jpeg_has_the_quality_that_was_asked_for():
    assert photo.as_jpeg(SCENE, 30) == saved(SCENE, "JPEG", quality=30).getvalue() != photo.as_jpeg(SCENE, 90)
