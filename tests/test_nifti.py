"""Slices of NIfTI volumes, however they are stored."""

import gzip
import itertools
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.files import decode
from ilo_jax.files.find import find_images
from ilo_jax.files.images import read_exact, read_image, units_of
from ilo_jax.files.samples import Limits

X, Y, Z = 5, 6, 7
ANATOMY = np.random.default_rng(0).integers(-1000, 400, (X, Y, Z)).astype(np.int16)
"""From left to right, from posterior to anterior, from feet to head."""

LIMITS = Limits(-1000, 400)
SHAPE = (Y, X, 1)
UPRIGHT = nibabel.Nifti1Image(ANATOMY, np.diag([1.0, 1, 1, 1]))
ORIENTATIONS = [
    "".join(codes)
    for axes in itertools.permutations(("LR", "PA", "IS"))
    for codes in itertools.product(*axes)
]


def seen(z: int) -> np.ndarray:
    """Anterior at the top, the patient's left at the left."""
    return ((ANATOMY[:, ::-1, z].T + 1000) / 700 - 1)[..., None]


def save(image, path, unpacked=True):
    content = image.to_bytes()
    path.write_bytes(content if unpacked else gzip.compress(content))


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_slice_is_the_same_however_a_volume_is_stored(kind, tmp_path):
    path = tmp_path / "x.nii"
    for codes in ORIENTATIONS:
        to: Any = nibabel.orientations.ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
        turned = UPRIGHT.as_reoriented(to)
        assert "".join(nibabel.aff2axcodes(turned.affine)) == codes
        save(kind(np.asarray(turned.dataobj), turned.affine), path)
        for z in (0, 5):
            image, note, _ = read_exact(path, SHAPE, LIMITS, z)
            np.testing.assert_allclose(image, seen(z), atol=1e-5)
            assert note == f"x.nii: slice {z} of 7, from 0"


def test_the_middle_slice_of_the_first_volume_is_read_also_of_a_compressed_file(tmp_path):
    path = tmp_path / "x.nii.gz"
    series = np.stack([ANATOMY, 0 * ANATOMY], -1)
    save(nibabel.Nifti1Image(series, np.eye(4)), path, unpacked=False)
    image, note = read_image(path, SHAPE, LIMITS)
    np.testing.assert_allclose(image, seen(3), atol=1e-5)
    assert note == "x.nii.gz: slice 3 of 7, from 0"
    assert find_images([str(tmp_path)]) == [path]


def test_units_are_those_of_the_header(tmp_path):
    image = nibabel.Nifti1Image(ANATOMY / 100.0, np.eye(4))
    image.header["cal_min"], image.header["cal_max"] = -10, 4
    image.set_data_dtype(np.int16)
    save(image, tmp_path / "x.nii")
    found, *_ = read_exact(tmp_path / "x.nii", SHAPE, None, 5)
    np.testing.assert_allclose(found, seen(5), atol=1e-3)
    assert units_of(tmp_path / "x.nii") == (-10, 4)


def test_one_plane_is_its_only_slice(tmp_path):
    save(nibabel.Nifti1Image(ANATOMY[..., 3], np.eye(4)), tmp_path / "x.nii")
    np.testing.assert_allclose(read_exact(tmp_path / "x.nii", SHAPE, LIMITS)[0], seen(3), atol=1e-5)


def header(**changes):
    image = nibabel.Nifti1Image(ANATOMY, np.eye(4))
    content = bytearray(image.to_bytes())
    head = nibabel.Nifti1Header(bytes(content[:348]))
    for name, value in changes.items():
        head[name] = value
    content[:348] = head.binaryblock
    return bytes(content)


BAD = {
    "truncated": (header()[:500], "a truncated NIfTI file; expected its first volume"),
    "half a header": (header()[:348], "a truncated NIfTI file"),
    "complex": (header(datatype=32, bitpix=64), "NIfTI of type complex64; expected real numbers"),
    "colours": (header(datatype=128, bitpix=24), "expected real numbers"),
    "huge": (header(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]), r"a volume of \d+ bytes; expected"),
    "far away": (header(vox_offset=2.0**31), r"a volume of \d+ bytes; expected"),
    "no type": (header(datatype=999), r"cannot be read \("),
    "gzip of nothing": (gzip.compress(b"hello"), "compressed by gzip, and no NIfTI"),
    "half a gzip": (gzip.compress(header())[:400], r"cannot be read \("),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_volumes_are_refused_in_one_line(kind, tmp_path, capfd):
    content, message = BAD[kind]
    path = tmp_path / "x.nii"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_image(path, SHAPE, LIMITS)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_doubts_are_a_note_and_nothing_else_is_said(tmp_path, capfd):
    (tmp_path / "x.nii").write_bytes(header(qform_code=191))
    note = read_image(tmp_path / "x.nii", SHAPE, LIMITS)[1]
    assert note is not None
    assert "doubtful file (qform_code 191 not valid" in note
    assert capfd.readouterr() == ("", "")


def test_black_and_white_are_numbers_that_can_be_told_apart(tmp_path):
    path = tmp_path / "x.nii"
    image = nibabel.Nifti1Image(ANATOMY.astype(float) * 1e300, np.eye(4))
    save(image, path)
    with pytest.raises(InputError, match="black 0 and white 1e-44; expected numbers that differ"):
        read_image(path, SHAPE, Limits(0, 1e-44))
    found = read_image(path, SHAPE, Limits(0, 1.0), 3)[0]
    np.testing.assert_array_equal(found > 0, seen(3) > 3 / 7)  # where it was above 0


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_MOST_BYTES", 2**20)
    path = tmp_path / "x.nii"
    path.write_bytes(gzip.compress(header(dim=[3, 1000, 1000, 10, 1, 1, 1, 1]) + bytes(2 * 10**7)))
    with pytest.raises(InputError, match="a volume of 20000000 bytes; expected at most 1048576"):
        read_image(path, SHAPE, LIMITS)


def test_slices_that_are_not_there_are_refused(tmp_path):
    save(UPRIGHT, tmp_path / "x.nii")
    with pytest.raises(InputError, match="slice 7: expected 0 to 6"):
        read_image(tmp_path / "x.nii", SHAPE, LIMITS, 7)
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match="slice 0: expected none, of a file that is no volume"):
        read_image(tmp_path / "x.png", SHAPE, None, 0)


@pytest.mark.slow
def test_heic_is_read_where_its_library_is(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pip install 'ilo_jax[heic]'")
    smooth = np.uint8(np.add.outer(np.arange(64) * 2, np.arange(48) * 2))
    picture = Image.fromarray(np.stack([smooth] * 3, -1))
    pillow_heif.from_pillow(picture).save(tmp_path / "x.heic", quality=95)
    image, note = read_image(tmp_path / "x.heic", (64, 48, 1))
    np.testing.assert_allclose((image[..., 0] + 1) * 127.5, smooth, atol=4)
    assert note is None
