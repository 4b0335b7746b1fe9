import contextlib
import os
import struct
import zlib
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.solve.images import (
    find_images,
    from_uint8,
    natural_key,
    read_exact,
    read_image,
    read_mask,
    to_uint8,
    write_png,
)

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


def test_an_animation_shows_its_first_frame_and_says_so(tmp_path):
    frames = [Image.new("L", (8, 8), level) for level in (51, 102, 204)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    image, note = read_image(tmp_path / "x.gif", SHAPE)
    assert note == "x.gif: first of 3 frames"
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


def save_text(path: Path) -> None:
    path.write_text("this is not a picture\n" * 100)


def save_empty(path: Path) -> None:
    path.write_bytes(b"")


def save_eps(path: Path) -> None:
    pillow(RGB).save(path, format="EPS")


def save_truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pillow(noise).save(path)
    path.write_bytes(path.read_bytes()[:6000])


def save_nothing(path: Path) -> None:
    pass


def save_folder(path: Path) -> None:
    path.mkdir()


def save_large_integers(path: Path) -> None:
    pillow(GREY.astype(np.int32) * 100_000).save(path, format="TIFF")


def save_negative_floats(path: Path) -> None:
    pillow(GREY.astype(np.float32) - 100).save(path, format="TIFF")


def save_nan(path: Path) -> None:
    pillow(np.full((8, 8), np.nan, np.float32)).save(path, format="TIFF")


BAD_FILES = {
    "text": (save_text, "not an image"),
    "empty": (save_empty, "not an image"),
    "eps": (save_eps, "not an image"),
    "truncated": (save_truncated, "cannot be read"),
    "missing": (save_nothing, "No such file"),
    "folder": (save_folder, "cannot be read"),
    "large integers": (save_large_integers, "0..65535"),
    "negative floats": (save_negative_floats, r"\[0, 1\] or \[0, 255\]"),
    "nan": (save_nan, "values from nan"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("read", [read_image, read_exact, lambda p, s: read_mask(p, s[:2])])
def test_a_bad_file_is_refused_in_one_line(kind, read, tmp_path):
    save, expected = BAD_FILES[kind]
    path = tmp_path / "x.png"
    save(path)
    with pytest.raises(InputError, match=expected) as caught:
        read(path, SHAPE)
    assert str(path) in str(caught.value)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", [40, 10], ids=["warning", "error"])
def test_a_decompression_bomb_is_refused(limit, tmp_path, monkeypatch):
    pillow(RGB).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(InputError, match=f"too large; expected at most {limit} pixels"):
        read_image(tmp_path / "x.png", SHAPE)


@given(data=st.data(), suffix=st.sampled_from(["png", "jpg", "tif", "gif", "webp", "bmp"]))
def test_a_damaged_file_is_read_or_refused_but_nothing_else(data, suffix, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / f"x.{suffix}"
    pillow(RGB).save(path)
    content = bytearray(path.read_bytes())
    stop = data.draw(st.integers(0, len(content)))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[:stop])
    with contextlib.suppress(InputError):
        image, _ = read_image(path, SHAPE)
        assert image.shape == SHAPE
        assert np.abs(image).max() <= 1


def test_a_measurement_of_another_size_is_refused(tmp_path):
    Image.new("L", (16, 8)).save(tmp_path / "x.png")
    assert read_exact(tmp_path / "x.png", (8, 16, 1))[0].shape == (8, 16, 1)
    with pytest.raises(InputError, match="16x8 pixels; expected 16x16"):
        read_exact(tmp_path / "x.png", (16, 16, 1))


def test_a_mask_is_white_where_observed(tmp_path):
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[0, 0] = (255, 255, 255, 255)
    pixels[0, 1] = (128, 128, 128, 255)
    pixels[0, 2] = (127, 127, 127, 255)
    pixels[0, 3] = (255, 255, 255, 0)
    pixels[0, 4] = (0, 0, 0, 255)
    pillow(pixels).save(tmp_path / "x.png")
    mask = read_mask(tmp_path / "x.png", (4, 6))
    assert mask.dtype == np.float32
    assert mask.shape == (4, 6, 1)
    np.testing.assert_array_equal(np.argwhere(mask), [[0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(np.unique(mask), [0, 1])


def test_a_bad_mask_is_refused(tmp_path):
    Image.new("L", (6, 4)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match="nothing is observed; expected"):
        read_mask(tmp_path / "x.png", (4, 6))
    with pytest.raises(InputError, match="6x4 pixels; expected 8x8"):
        read_mask(tmp_path / "x.png", (8, 8))


uint8_images = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
)


@given(pixels=uint8_images)
def test_uint8_round_trip(pixels):
    image = from_uint8(pixels)
    assert image.dtype == np.float32
    assert np.abs(image).max() <= 1
    np.testing.assert_array_equal(to_uint8(image), pixels)


@given(pixels=uint8_images)
def test_png_round_trip(pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("png") / "x.png"
    write_png(path, from_uint8(pixels))
    image, note = read_exact(path, pixels.shape)
    np.testing.assert_array_equal(image, from_uint8(pixels))
    assert note is None


@given(image=hnp.arrays(np.float32, (3, 3, 1), elements=st.floats(-1e6, 1e6, width=32)))
def test_to_uint8_is_the_nearest_level_and_clips(image):
    levels = to_uint8(image).astype(np.float64)
    error = np.abs(levels - (np.clip(image.astype(np.float64), -1, 1) + 1) * 127.5)
    assert error.max() <= 0.5 + 1e-4


def test_to_uint8_refuses_nan():
    with pytest.raises(ValueError, match="not numbers"):
        to_uint8(np.array([[[np.nan]]]))


def test_writing_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    write_png(path, from_uint8(RGB))
    before = path.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_png(path, from_uint8(255 - RGB))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.png"]


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_png(tmp_path / "file" / "x.png", from_uint8(RGB))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_find_images_in_files_folders_and_globs(tmp_path):
    touch(tmp_path, "f/x10.png", "f/x2.JPG", "f/.hidden.png", "f/notes.txt", "f/deep/y.png")
    touch(tmp_path, "g/z1.png", "g/z2.tif", "loose.dat", "odd[1].png")
    f, g = str(tmp_path / "f"), str(tmp_path / "g" / "*.png")
    names = [p.name for p in find_images([g, f, f, str(tmp_path / "f" / ".." / "f" / "x2.JPG")])]
    assert names == ["x2.JPG", "x10.png", "z1.png"]
    assert [p.name for p in find_images([str(tmp_path / "loose.dat")])] == ["loose.dat"]
    assert [p.name for p in find_images([str(tmp_path / "odd[1].png")])] == ["odd[1].png"]
    assert [p.name for p in find_images([str(tmp_path / "f" / "**" / "y*")])] == ["y.png"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["nowhere.png"], "nowhere.png: does not exist; expected"),
        ([""], "'': does not exist; expected"),
        (["empty"], "empty: no images; expected"),
        (["none-*.png"], r"none-\*.png: matches no file; expected"),
        (["emp*"], "emp.*: matches no file; expected"),
        (["a/x.png", "b"], "a/x.png and b/x.jpg: .*expected file names that differ"),
        (["breaks"], r"'breaks/a\\nb.png': a line break in a file name"),
        (["case"], "case/Y.png and case/y.tif: .*expected file names that differ"),
    ],
)
def test_find_images_refuses(paths, expected, tmp_path, monkeypatch):
    touch(tmp_path, "breaks/a\nb.png")
    touch(tmp_path, "empty/notes.txt", "a/x.png", "b/x.jpg", "case/Y.png", "case/y.tif")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{expected}"):
        find_images(paths)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_find_images_refuses_an_unreadable_folder(tmp_path):
    tmp_path.chmod(0o300)
    with pytest.raises(InputError, match="cannot be read"):
        find_images([str(tmp_path)])


@given(st.lists(st.integers(0, 10**6)))
def test_natural_order_is_numeric(numbers):
    names = sorted((f"im{n}.png" for n in numbers), key=natural_key)
    assert names == [f"im{n}.png" for n in sorted(numbers)]
