"""DICOM: pydicom's own test files, as a viewer shows them."""

import pathlib

import numpy as np
import pydicom
import pytest

from ilo_jax.errors import InputError
from ilo_jax.files.images import read_image
from ilo_jax.files.samples import Limits

FILES = pathlib.Path(pydicom.__file__).parent / "data" / "test_files"


def stored(name: str) -> np.ndarray:
    return pydicom.dcmread(FILES / name).pixel_array.astype(float)


def grey(name: str, size: tuple[int, int], limits: Limits | None = None) -> np.ndarray:
    return read_image(FILES / name, (*size, 1), limits)[0][..., 0]


def within(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1) * 2 - 1


@pytest.mark.parametrize(
    "name",
    ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_jp2klossless.dcm"],
)
def test_greys_are_seen_through_the_first_window(name):
    expected = within(stored("MR_small.dcm"), 600 - 0.5 - 799.5, 600 - 0.5 + 799.5)
    np.testing.assert_allclose(grey(name, (64, 64)), expected, atol=1e-5)


def test_units_are_those_of_the_rescale_slope():
    hounsfield = stored("CT_small.dcm") - 1024
    found = grey("CT_small.dcm", (128, 128), Limits(-1000, 400))
    np.testing.assert_allclose(found, within(hounsfield, -1000, 400), atol=1e-5)
    # Without a window: the range of 16 bits with sign.
    expected = within(hounsfield, -32768 - 1024, 32767 - 1024)
    np.testing.assert_allclose(grey("CT_small.dcm", (128, 128)), expected, atol=1e-5)


def test_white_may_be_at_the_low_end(tmp_path):
    dataset = pydicom.dcmread(FILES / "MR_small.dcm")
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.save_as(tmp_path / "x.dcm")
    found, _ = read_image(tmp_path / "x.dcm", (64, 64, 1))
    np.testing.assert_allclose(found[..., 0], -grey("MR_small.dcm", (64, 64)), atol=1e-5)


def test_colours_and_palettes_are_rgb():
    found, note = read_image(FILES / "SC_rgb_rle_2frame.dcm", (100, 100, 3))
    np.testing.assert_allclose(found, stored("SC_rgb_rle_2frame.dcm")[0] / 127.5 - 1, atol=1e-6)
    assert note == "SC_rgb_rle_2frame.dcm: first of several frames"
    found, _ = read_image(FILES / "examples_palette.dcm", (350, 800, 3))
    assert np.ptp(found, -1).max() > 0.1


BAD = {
    "MR_truncated.dcm": r"cannot be read \(The number of bytes of pixel data is less than",
    "JPEGLSNearLossless_16.dcm": "cannot be read .*Unable to decompress",
    "image_dfl.dcm": "a deflated data set, of a size that is not known",
    "rtplan.dcm": "DICOM without integer pixels; expected a picture",
    "nested_priv_SQ.dcm": "expected",
    "badVR.dcm": "expected",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(name):
    with pytest.raises(InputError, match=BAD[name]) as caught:
        read_image(FILES / name, (8, 8, 1))
    assert str(caught.value).startswith(f"{FILES / name}: ")
    assert "\n" not in str(caught.value)


def test_a_size_that_is_not_there_takes_no_memory(tmp_path):
    dataset = pydicom.dcmread(FILES / "MR_small.dcm")
    for size, expected in ((40_000, "40000x40000, too large"), (9_400, "of samples; expected at")):
        dataset.Rows = dataset.Columns = size
        dataset.save_as(tmp_path / "x.dcm")
        if size == 9_400:
            dataset.BitsAllocated = 32
            dataset.save_as(tmp_path / "x.dcm")
        with pytest.raises(InputError, match=expected):
            read_image(tmp_path / "x.dcm", (8, 8, 1))
