"""Images as they are written: 8 bits, whole or not at all."""

import os

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilo_jax.errors import InputError
from ilo_jax.files.images import from_uint8, read_exact, to_uint8, write_png

RGB = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


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
    image, note, _ = read_exact(path, pixels.shape)
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
