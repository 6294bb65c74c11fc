"""The one door: every real photo comes out upright, in RGB, on white; everything else is refused in one sentence."""

import io
import pickle
import struct
import time
import tracemalloc
import zlib

import hostile
import numpy as np
import pytest
from bears.errors import PhotoError
from bears.photo import open_photo
from PIL import Image

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


def test_transparency_is_shown_on_white():
    im = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    for format in ("PNG", "WEBP"):
        assert close(open_photo(saved(im, format)).getpixel((20, 20)), (255, 255, 255))


def test_sixteen_bits_are_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(16, 0)
    pixels = np.asarray(open_photo(saved(Image.fromarray(ramp), "PNG")))
    assert abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


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


def png(width, height):
    """A valid PNG of zeros, 1 bit per pixel, in a few kilobytes."""
    rows = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    body = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


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


def test_the_type_of_a_table_of_strips_hides_nothing():
    assert "holds more" in refusal(hostile.tiff_of_many_strips(kind=1))


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
