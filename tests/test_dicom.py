"""DICOM: pydicom's own test files, as a viewer shows them."""

import pathlib
import sys
from collections.abc import Callable

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


def opened_while(read: Callable[[], object]) -> set[str]:
    """Paths of all files, by whoever."""
    found: list[object] = []
    watchers.append(found)
    read()
    watchers.remove(found)
    return {str(path) for path in found}


watchers: list[list[object]] = []


def watch(event: str, args: tuple) -> None:
    if event == "open":
        for found in watchers:
            found.append(args[0])


sys.addaudithook(watch)  # stays, as all of them do


@pytest.mark.filterwarnings("ignore:The value length")  # pydicom's, of a path that is too long
@pytest.mark.parametrize("whole", [True, False])
def test_files_that_are_named_in_a_file_are_not_opened(whole, tmp_path):
    elsewhere, path = tmp_path / "elsewhere.dcm", tmp_path / "x.dcm"
    dataset = pydicom.dcmread(FILES / "MR_small.dcm")
    dataset.save_as(elsewhere)
    dataset.ReferencedFileID = str(elsewhere)
    dataset.PixelDataProviderURL = dataset.RetrieveURL = f"file://{elsewhere}"
    if not whole:
        del dataset.PixelData
    dataset.save_as(path)

    def read() -> None:
        if whole:
            found, _ = read_image(path, (64, 64, 1))
            np.testing.assert_allclose(found[..., 0], grey("MR_small.dcm", (64, 64)), atol=1e-5)
            return
        with pytest.raises(InputError, match="DICOM without integer pixels") as caught:
            read_image(path, (8, 8, 1))
        assert "\n" not in str(caught.value)

    found = opened_while(read)
    assert str(path) in found
    assert str(elsewhere) not in found


PRIVATE = {
    "a coding of a vendor's own": ("1.3.6.1.4.1.99999.1", {}, "'1.3.6.1.4.1.99999.1' is not supp"),
    "colours of a vendor's own": (None, {"PhotometricInterpretation": "ACME"}, "value 'ACME'"),
    "two samples": (None, {"SamplesPerPixel": 2}, "'Samples per Pixel' value of '2' is invalid"),
    "more bits than there are": (None, {"BitsStored": 40}, "'Bits Stored' value of '40'"),
    "pixels from a server": (
        "1.2.840.10008.1.2.4.94",  # JPIP
        {"PixelData": None, "PixelDataProviderURL": "http://127.0.0.1/x"},
        "DICOM without integer pixels",
    ),
}


@pytest.mark.parametrize("kind", PRIVATE)
def test_pixels_in_a_private_format_are_refused_in_one_line(kind, solve, tmp_path):
    coding, fields, expected = PRIVATE[kind]
    dataset = pydicom.dcmread(FILES / "MR_small.dcm")
    dataset.file_meta.TransferSyntaxUID = coding or dataset.file_meta.TransferSyntaxUID
    for name, value in fields.items():
        delattr(dataset, name) if value is None else setattr(dataset, name, value)
    dataset.save_as(tmp_path / "x.dcm", implicit_vr=False, little_endian=True)
    done = solve("invert --images {tmp}/x.dcm --generator gen --steps 1,1 --out {out}")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"{tmp_path}/x.dcm: " in done.err
    assert expected in done.err
    assert not [*tmp_path.glob("out/images/*")]


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
