import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.files import picture
from ilo_jax.files.images import (
    read_exact,
    read_image,
    read_mask,
    to_uint8,
)
from ilo_jax.files.samples import Limits

# Left half dark, right half bright, and a red corner where there is colour.
GREY = np.full((8, 8), 51, np.uint8)
GREY[:, 4:] = 204
RGB = np.repeat(GREY[..., None], 3, axis=-1)
RGB[:2, :2] = (255, 0, 0)
HALF_CLEAR = np.concatenate([RGB, np.full((8, 8, 1), 255, np.uint8)], axis=-1)
HALF_CLEAR[4:, :, 3] = 0
ON_WHITE = RGB.copy()
ON_WHITE[4:] = 255
SHAPE = (8, 8, 3)


def pillow(array: np.ndarray, mode: str | None = None) -> Image.Image:
    image = Image.fromarray(array)
    return image.convert(mode) if mode else image


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def grey3(array: np.ndarray) -> np.ndarray:
    return np.repeat(array[..., None], 3, axis=-1)


palette_clear = pillow(RGB).quantize(8)
palette_clear_index = palette_clear.getpixel((7, 7))
palette_expected = RGB.copy()
palette_expected[:, 4:] = 255

PICTURES = {
    "rgb": ("x.png", pillow(RGB), {}, RGB),
    "grey": ("x.png", pillow(GREY), {}, grey3(GREY)),
    "one-bit": ("x.png", pillow(GREY, "1"), {}, None),
    "palette": ("x.png", pillow(RGB).quantize(8), {}, RGB),
    "palette-transparency": (
        "x.png",
        palette_clear,
        {"transparency": palette_clear_index},
        palette_expected,
    ),
    "palette-transparency-bytes": (
        "x.png",
        palette_clear,
        {"transparency": bytes(255 * (i != palette_clear_index) for i in range(8))},
        palette_expected,
    ),
    "alpha": ("x.png", pillow(HALF_CLEAR), {}, ON_WHITE),
    "grey-alpha": (
        "x.png",
        pillow(np.stack([GREY, HALF_CLEAR[..., 3]], axis=-1)),
        {},
        grey3(np.where(HALF_CLEAR[..., 3] == 0, 255, GREY)),
    ),
    "grey-transparent-value": (
        "x.png",
        pillow(GREY),
        {"transparency": 51},
        grey3(np.where(GREY == 51, 255, GREY)),
    ),
    "16-bit": ("x.png", pillow(GREY.astype(np.uint16) * 257), {}, grey3(GREY)),
    "16-bit-transparent-value": (
        "x.png",
        pillow(GREY.astype(np.uint16) * 257),
        {"transparency": 51 * 257},
        grey3(np.where(GREY == 51, 255, GREY)),
    ),
    "16-bit-tiff": ("x.tif", pillow(GREY.astype(np.uint16) * 257), {}, grey3(GREY)),
    "16-bit-pgm": ("x.pgm", pillow(GREY.astype(np.uint16) * 257), {}, grey3(GREY)),
    "32-bit-tiff": ("x.tif", pillow(GREY.astype(np.int32) * 257), {}, grey3(GREY)),
    "float-tiff-to-1": ("x.tif", pillow(GREY.astype(np.float32) / 255), {}, grey3(GREY)),
    "float-tiff-to-255": ("x.tif", pillow(GREY.astype(np.float32)), {}, grey3(GREY)),
    "cmyk-tiff": ("x.tif", pillow(RGB, "CMYK"), {}, RGB),
    "exif-rotated": (
        "x.png",
        pillow(np.ascontiguousarray(np.rot90(RGB))),
        {"exif": exif(6)},
        RGB,
    ),
    "exif-mirrored-tiff": (
        "x.tif",
        pillow(np.ascontiguousarray(RGB[:, ::-1])),
        {"exif": exif(2)},
        RGB,
    ),
    "bmp": ("x.bmp", pillow(RGB), {}, RGB),
    "gif": ("x.gif", pillow(GREY), {}, grey3(GREY)),
    "webp": ("x.webp", pillow(RGB), {"lossless": True}, RGB),
    "jpeg-2000": ("x.jp2", pillow(RGB), {}, RGB),
    "no-extension": ("x", pillow(RGB), {"format": "PNG"}, RGB),
}
PICTURES["one-bit"] = (
    *PICTURES["one-bit"][:3],
    grey3(np.asarray(pillow(GREY, "1")) * np.uint8(255)),
)


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_read_as_a_person_sees_it(kind, tmp_path):
    name, picture, options, expected = PICTURES[kind]
    picture.save(tmp_path / name, **options)
    image, _ = read_image(tmp_path / name, SHAPE)
    assert image.dtype == np.float32
    assert image.shape == SHAPE
    np.testing.assert_array_equal(to_uint8(image), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_is_read_within_its_loss(mode, tmp_path):
    pillow(grey3(GREY)).convert(mode).save(tmp_path / "x.jpg", quality=95)
    image, _ = read_image(tmp_path / "x.jpg", SHAPE)
    np.testing.assert_allclose(to_uint8(image), grey3(GREY).astype(float), atol=6)


def test_lab_is_read_within_its_rounding(tmp_path):
    Image.new("LAB", (8, 8), (138, 209, 198)).save(tmp_path / "x.tif")
    image, _ = read_image(tmp_path / "x.tif", SHAPE)
    np.testing.assert_allclose(to_uint8(image), np.full(SHAPE, (255.0, 0, 0)), atol=6)


def test_one_channel_is_luma(tmp_path):
    pillow(RGB).save(tmp_path / "x.png")
    image, _ = read_image(tmp_path / "x.png", (8, 8, 1))
    expected = np.asarray(pillow(RGB, "L"), np.float32)[..., None]
    assert image.shape == (8, 8, 1)
    np.testing.assert_allclose((image + 1) * 127.5, expected, atol=0.51)
    assert np.abs(image).max() <= 1


def test_what_is_untouched_has_no_note(tmp_path):
    pillow(RGB).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", SHAPE)[1] is None
    assert read_exact(tmp_path / "x.png", SHAPE)[1] is None


@pytest.mark.parametrize(
    ("size", "shape", "note"),
    [
        ((640, 480), (64, 64, 3), "640x480, centre-cropped to 480x480 and resized to 64x64"),
        ((480, 640), (64, 64, 3), "480x640, centre-cropped to 480x480 and resized to 64x64"),
        ((100, 64), (64, 64, 1), "100x64, centre-cropped to 64x64"),
        ((16, 16), (64, 64, 3), "16x16, resized to 64x64"),
        ((64, 64), (32, 64, 3), "64x64, centre-cropped to 64x32"),
        ((500, 1), (8, 8, 3), "500x1, centre-cropped to 1x1 and resized to 8x8"),
    ],
)
def test_another_size_is_cropped_and_resized_and_said_so(size, shape, note, tmp_path):
    Image.new("RGB", size, "white").save(tmp_path / "photo.png")
    image, said = read_image(tmp_path / "photo.png", shape)
    assert said == f"photo.png: {note}"
    np.testing.assert_array_equal(image, np.ones(shape))


def test_the_crop_keeps_the_centre(tmp_path):
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = GREY
    pillow(wide).save(tmp_path / "x.png")
    np.testing.assert_array_equal(to_uint8(read_image(tmp_path / "x.png", SHAPE)[0]), grey3(GREY))


def test_resizing_antialiases_and_keeps_16_bits(tmp_path):
    stripes = np.tile(np.array([[20000, 20100]], np.uint16), (64, 32))
    pillow(stripes).save(tmp_path / "x.png")
    image, _ = read_image(tmp_path / "x.png", (16, 16, 1))
    np.testing.assert_allclose((image + 1) / 2 * 65535, 20050, atol=5)


def test_a_large_picture_is_read_in_parts(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 4), np.uint8)
    pillow(noise).save(tmp_path / "x.png")
    at_once, _ = read_image(tmp_path / "x.png", SHAPE)
    monkeypatch.setattr(picture, "_MOST_AT_ONCE", 1000)
    monkeypatch.setattr(picture, "_BAND", 900)
    in_parts, _ = read_image(tmp_path / "x.png", SHAPE)
    np.testing.assert_allclose(in_parts, at_once, atol=1 / 127.5)


def test_an_animation_shows_its_first_frame_and_says_so(tmp_path):
    frames = [Image.new("L", (8, 8), level) for level in (51, 102, 204)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    image, note = read_image(tmp_path / "x.gif", SHAPE)
    assert note == "x.gif: first of several frames"
    np.testing.assert_array_equal(to_uint8(image), 51)


def test_transparency_is_said(tmp_path):
    pillow(HALF_CLEAR).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", SHAPE)[1] == "x.png: transparent parts shown on white"


def test_what_pillow_warns_of_becomes_the_note(tmp_path):
    pillow(RGB).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    animation = b"acTL" + struct.pack(">II", 0, 0)
    chunk = struct.pack(">I", 8) + animation + struct.pack(">I", zlib.crc32(animation))
    (tmp_path / "x.png").write_bytes(content[:33] + chunk + content[33:])
    note = read_image(tmp_path / "x.png", SHAPE)[1]
    assert note is not None
    assert note.startswith("x.png: doubtful file (Invalid APNG")
    with pytest.raises(InputError, match="doubtful file"):
        read_mask(tmp_path / "x.png", (8, 8))


def test_a_measurement_of_another_size_is_refused(tmp_path):
    Image.new("L", (16, 8)).save(tmp_path / "x.png")
    assert read_exact(tmp_path / "x.png", (8, 16, 1))[0].shape == (8, 16, 1)
    with pytest.raises(InputError, match="16x8 pixels; expected 16x16"):
        read_exact(tmp_path / "x.png", (16, 16, 1))


TWELVE = np.array([[0, 1000, 2000], [3000, 4000, 4095]], np.uint16)
RANGES = {
    "12 bits of 16": (TWELVE, (0, 4095), TWELVE / 4095, None),
    "to the largest": (TWELVE, (0, None), TWELVE / 4095, None),
    "a window": (TWELVE, (1000, 3000), np.clip(TWELVE / 2000.0 - 0.5, 0, 1), "50.00% of the val"),
    "8 bits": (np.uint8(TWELVE // 16), (10, 200), (TWELVE // 16 - 10.0) / 190, "50.00% of"),
    "signed": (np.int16(TWELVE) - 1024, (-1024, 3071), TWELVE / 4095, None),
    "floats": (np.float32(TWELVE), (0, 4000), TWELVE / 4000, "16.67% of the values beyond 0 to"),
}


@pytest.mark.parametrize("kind", RANGES)
def test_a_range_says_what_is_black_and_white(kind, tmp_path):
    values, limits, expected, note = RANGES[kind]
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, values)
    image, said = read_image(path, (2, 3, 1), Limits(*limits))
    np.testing.assert_allclose(image[..., 0], np.clip(expected, 0, 1) * 2 - 1, atol=1e-6)
    assert said is None if note is None else note in str(said)


def test_a_range_is_of_all_colours_and_not_of_alpha(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 101, (4, 4, 4), np.uint8)
    pixels[..., 3] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    image, _ = read_image(tmp_path / "x.png", (4, 4, 3), Limits(0, 100))
    np.testing.assert_allclose(image, pixels[..., :3] / np.float32(50) - 1, atol=1e-6)


def test_nothing_above_black_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", TWELVE)
    with pytest.raises(InputError, match="values from 0 to 4095; expected some above 5000"):
        read_image(tmp_path / "x.tif", (2, 3, 1), Limits(5000, None))


def test_avif_is_read(tmp_path):
    Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / "x.avif", quality=100)
    image, _ = read_image(tmp_path / "x.avif", (8, 8, 3))
    np.testing.assert_allclose(to_uint8(image)[4, 4], (200, 100, 50), atol=4)
