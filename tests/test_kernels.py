"""Kernels as image files: numbers of any range, as they are stored."""

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from ilo_jax.app.options import read_kernel
from ilo_jax.errors import InputError
from ilo_jax.files.greys import read_greys

VALUES = np.array([[0, 1, 5], [2, 0, 9]], np.uint8)


@pytest.mark.parametrize(
    "kind", ["uint16", "int16", "int32", "uint32", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("order", "<>")
def test_numbers_of_all_types_are_kept(kind, order, tmp_path):
    values = VALUES.astype(kind) - (2 if kind[0] != "u" else 0)
    tifffile.imwrite(tmp_path / "x.tif", values, byteorder=order)
    np.testing.assert_array_equal(read_kernel(str(tmp_path / "x.tif")), values)


def test_white_is_zero_is_turned_round(tmp_path):
    stored = 65535 - VALUES.astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="miniswhite")
    np.testing.assert_array_equal(read_kernel(str(tmp_path / "x.tif")), VALUES)
    tifffile.imwrite(tmp_path / "x.tif", VALUES.astype(np.float32), photometric="miniswhite")
    with pytest.raises(InputError, match=r"x.tif: white is zero, float32; expected"):
        read_kernel(str(tmp_path / "x.tif"))


def test_alpha_counts_where_it_says_something(tmp_path):
    path = str(tmp_path / "x.png")
    pixels = np.stack([VALUES, np.full_like(VALUES, 255)], axis=-1)
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(read_kernel(path), VALUES)
    pixels[0, 0, 1] = 0
    Image.fromarray(pixels).save(path)
    with pytest.raises(InputError, match=r"x.png: partly transparent; expected"):
        read_kernel(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_no_number_is_refused(value, tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.array([[1, value]]))
    with pytest.raises(InputError, match=r"x.tif: values that are no numbers or beyond float32"):
        read_kernel(str(tmp_path / "x.tif"))


def test_a_kernel_has_a_limit_of_size(tmp_path):
    Image.new("1", (5000, 4000), 1).save(tmp_path / "x.png")
    with pytest.raises(InputError, match="too large; expected at most 16777216 pixels"):
        read_kernel(str(tmp_path / "x.png"))
    Image.new("L", (4, 4), 1).save(tmp_path / "x.png")
    with pytest.raises(InputError, match="4x4, too large; expected at most 15 pixels"):
        read_greys(tmp_path / "x.png", 15)


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"x.png: cannot be read \(it is a FIFO\); expected"):
        read_kernel(str(tmp_path / "x.png"))
