"""TIFF files that are read as something else if one does not look closely."""

import numpy as np
import pytest
import tifffile

from ilo_jax.errors import InputError
from ilo_jax.files import tiff
from ilo_jax.files.images import read_exact, read_image, read_mask, to_uint8, write_tiff
from ilo_jax.files.samples import Limits

GREY = np.linspace(10, 250, 6 * 9).astype(np.uint8).reshape(6, 9)
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
SHAPE = (6, 9, 3)


def grey3(array: np.ndarray) -> np.ndarray:
    return np.repeat(array[..., None], 3, axis=-1)


def deep(array: np.ndarray, kind: str) -> np.ndarray:
    """8-bit levels as 16-bit ones, or as floats to 1."""
    return array.astype(np.uint16) * 257 if kind == "uint16" else (array / 255).astype(kind)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("order", "<>")
def test_white_is_zero_is_no_negative(kind, order, tmp_path):
    stored = 255 - GREY if kind == "uint8" else deep(255 - GREY, kind)
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="miniswhite", byteorder=order)
    for read in (read_image, read_exact):
        np.testing.assert_array_equal(to_uint8(read(tmp_path / "x.tif", SHAPE)[0]), grey3(GREY))
    mask = read_mask(tmp_path / "x.tif", SHAPE[:2])
    np.testing.assert_array_equal(mask[..., 0], GREY >= 128)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("extra", ["assocalpha", "unassalpha"])
def test_alpha_of_16_bits_lies_on_white(colours, extra, planar, tmp_path):
    alpha = np.linspace(0, 1, GREY.size).reshape(*GREY.shape, 1)
    colour = (GREY[..., None] if colours == 1 else RGB) / 255
    stored = np.concatenate([colour * alpha if extra == "assocalpha" else colour, alpha], axis=-1)
    stored = np.rint(stored * 65535).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "x.tif",
        np.moveaxis(stored, -1, 0) if planar == "separate" else stored,
        photometric="minisblack" if colours == 1 else "rgb",
        extrasamples=[extra],
        planarconfig=planar,
    )
    image, note = read_image(tmp_path / "x.tif", SHAPE)
    assert note == "x.tif: transparent parts shown on white"
    expected = np.broadcast_to(1 - alpha * (1 - colour), SHAPE)
    np.testing.assert_allclose((image + 1) / 2, expected, atol=3e-5)


@pytest.mark.parametrize(
    ("kind", "factor"),
    [("int8", 1), ("int16", 1), ("int32", 1), ("uint32", 1), ("int64", 1), ("uint64", 2**52)],
)
def test_integers_have_the_range_of_their_type_or_16_bits(kind, factor, tmp_path):
    white = {"int8": 127, "int16": 32767, "uint64": float(2**64)}.get(kind, 65535)
    stored = np.array([[0, white / 2 / factor, white * 0.9 / factor]]).astype(kind)
    stored = stored * np.array(factor, kind)
    tifffile.imwrite(tmp_path / "x.tif", stored)
    image, *_ = read_exact(tmp_path / "x.tif", (1, 3, 1))
    expected = stored.astype(np.float64)[..., None] / white
    np.testing.assert_allclose((image + 1) / 2, expected, atol=1e-6)


def test_floats_a_rounding_beyond_1_are_not_of_255(tmp_path):
    stored = (GREY / 255).astype(np.float32)
    stored[0, 0] = 1.0001
    tifffile.imwrite(tmp_path / "x.tif", stored)
    found = to_uint8(read_image(tmp_path / "x.tif", SHAPE)[0])
    assert found[0, 0, 0] == 255
    np.testing.assert_array_equal(found[1:], grey3(GREY)[1:])


@pytest.mark.parametrize("highest", [1.01, 2, 63, 256, np.inf, np.nan])
def test_floats_that_may_mean_anything_are_refused(highest, tmp_path):
    stored = np.array([[0, 0.5, highest]], np.float32)
    tifffile.imwrite(tmp_path / "x.tif", stored)
    with pytest.raises(InputError, match=r"x.tif: values from .*; expected \[0, 1\] or \[0, 255\]"):
        read_exact(tmp_path / "x.tif", (1, 3, 1))


def test_integers_between_two_ranges_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.array([[0, 70_000]], np.uint32))
    with pytest.raises(InputError, match=r"to 70000; expected 0..65535, or more than a quarter of"):
        read_exact(tmp_path / "x.tif", (1, 2, 1))


def test_few_of_16_bits_are_told(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", GREY.astype(np.uint16) * 16)
    assert read_exact(tmp_path / "x.tif", SHAPE)[1] == "x.tif: values only to 4000 of 65535"
    tifffile.imwrite(tmp_path / "x.tif", GREY.astype(np.uint16) * 16, bitspersample=12)
    image, note, _ = read_exact(tmp_path / "x.tif", SHAPE)
    assert note is None
    np.testing.assert_allclose((image + 1) / 2, grey3(GREY) / 4095 * 16, atol=1e-6)


def test_a_palette_of_16_bits(tmp_path):
    colours = np.random.default_rng(0).integers(0, 65536, (3, 2**16), np.uint16)
    index = np.arange(54, dtype=np.uint16).reshape(6, 9) * 999
    tifffile.imwrite(tmp_path / "x.tif", index, photometric="palette", colormap=colours)
    image, *_ = read_exact(tmp_path / "x.tif", SHAPE)
    np.testing.assert_allclose((image + 1) / 2, colours.T[index] / 65535, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_all_orientations_are_turned_upright(orientation, kind, planar, tmp_path):
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, 1),
        7: RGB.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(RGB, -1),
    }[orientation]
    stored = turned if kind == "uint8" else deep(turned, kind)
    tifffile.imwrite(
        tmp_path / "x.tif",
        np.ascontiguousarray(np.moveaxis(stored, -1, 0) if planar == "separate" else stored),
        photometric="rgb",
        planarconfig=planar,
        extratags=[(274, "H", 1, orientation, True)],
    )
    np.testing.assert_array_equal(to_uint8(read_image(tmp_path / "x.tif", SHAPE)[0]), RGB)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("previews", [1, 3])
def test_a_preview_is_not_the_picture(kind, previews, tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for _ in range(previews):
            file.write(np.zeros((3, 4), np.uint8), subfiletype=1)
        file.write(GREY if kind == "uint8" else deep(GREY, kind), photometric="minisblack")
    image, note = read_image(tmp_path / "x.tif", SHAPE)
    assert note is None
    np.testing.assert_array_equal(to_uint8(image), grey3(GREY))


def test_the_picture_may_be_inside_its_preview(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(np.zeros((3, 4), np.uint8), subfiletype=1, subifds=1)
        file.write(GREY, photometric="minisblack")
    np.testing.assert_array_equal(to_uint8(read_image(tmp_path / "x.tif", SHAPE)[0]), grey3(GREY))


def test_previews_alone_are_no_picture(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(GREY, subfiletype=1)
        file.write(GREY, subfiletype=1)
    with pytest.raises(InputError, match="only previews and masks; expected a picture"):
        read_image(tmp_path / "x.tif", SHAPE)


def test_of_many_pages_the_second_is_the_last_looked_at(tmp_path, monkeypatch):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for _ in range(300):
            file.write(GREY[:1], photometric="minisblack", metadata=None)
    seen = []
    original = tifffile.TiffPage.__init__

    def count(self, *arguments, **options):
        seen.append(self)
        original(self, *arguments, **options)

    monkeypatch.setattr(tifffile.TiffPage, "__init__", count)
    assert read_image(tmp_path / "x.tif", (1, 9, 1))[1] == "x.tif: first of several frames"
    assert len(seen) == 2


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float64"])
@pytest.mark.parametrize("tag", [273, 279], ids=["offset", "bytes"])
def test_missing_strips_are_not_black(tag, kind, tmp_path):
    stored = GREY if kind == "uint8" else deep(GREY, kind)
    tifffile.imwrite(tmp_path / "x.tif", stored, rowsperstrip=2)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as file:
        found = file.pages.first.tags[tag]
        found.overwrite([found.value[0], 0, found.value[2]])
    with pytest.raises(InputError, match=r"x.tif: parts of it are missing; expected"):
        read_image(tmp_path / "x.tif", SHAPE)


@pytest.mark.parametrize(
    ("photometric", "channels", "message"),
    [("cfa", 1, "photometric interpretation CFA"), ("minisblack", 3, "3 samples a pixel")],
)
def test_what_is_no_colour_is_refused(photometric, channels, message, tmp_path):
    stored = deep(np.repeat(GREY[..., None], channels, axis=-1), "uint16").squeeze()
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric=photometric, planarconfig="contig")
    with pytest.raises(InputError, match=f"{message}.*; expected"):
        read_image(tmp_path / "x.tif", SHAPE)


def test_without_a_library_the_error_names_it(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "x.tif", deep(GREY, "float64"), compression="zlib", predictor=True)

    def refuse(*_, **__):
        raise ValueError("FLOATINGPOINT requires the 'imagecodecs' package")

    monkeypatch.setattr(tiff, "find_spec", lambda _: None)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", refuse)
    with pytest.raises(
        InputError, match=r"64-bit samples, compression .*: pip install imagecodecs"
    ):
        read_image(tmp_path / "x.tif", SHAPE)


@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_that_are_written_are_read_back(channels, tmp_path):
    values = np.linspace(-1000, 400, 64 * channels, dtype=np.float32).reshape(8, 8, channels)
    write_tiff(tmp_path / "x.tiff", values)
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "x.tiff").reshape(values.shape), values
    )
    image, note, _ = read_exact(tmp_path / "x.tiff", values.shape, Limits(-1000, 400))
    np.testing.assert_allclose(image, (values + 1000) / 700 - 1, atol=1e-5)
    assert note is None
