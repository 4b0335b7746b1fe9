"""Masks as image files: white is observed."""

import numpy as np
import pytest
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.files.images import read_mask


def test_a_mask_is_white_where_observed(tmp_path):
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[0, 0] = (255, 255, 255, 255)
    pixels[0, 1] = (128, 128, 128, 255)
    pixels[0, 2] = (127, 127, 127, 255)
    pixels[0, 3] = (255, 255, 255, 0)
    pixels[0, 4] = (0, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "x.png")
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
