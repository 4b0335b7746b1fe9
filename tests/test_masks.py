"""Masks: as image files, where white is observed, with soft edges, and with noise behind them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ilo_jax import ops
from ilo_jax.errors import InputError
from ilo_jax.files.images import read_mask
from ilo_jax.files.masks import read_alpha

many_programs = True


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


def test_a_mask_of_soft_edges_is_grey_where_some_of_a_pixel_shows(tmp_path):
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[0, 0] = (255, 255, 255, 255)
    pixels[0, 1] = (51, 51, 51, 255)
    pixels[0, 2] = (255, 255, 255, 51)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    found = read_alpha(tmp_path / "x.png", (4, 6, 3))
    np.testing.assert_allclose(found[0, :4, 0], [1, 0.2, 0.2, 0], atol=1e-6)
    np.save(tmp_path / "x.npy", found[..., 0])
    np.testing.assert_array_equal(read_alpha(tmp_path / "x.npy", (4, 6, 3)), found)
    np.save(tmp_path / "x.npy", 1.5 * found)
    with pytest.raises(InputError, match=r"values from 0.0 to 1.5; expected 0 to 1"):
        read_alpha(tmp_path / "x.npy", (4, 6, 3))
    Image.new("L", (6, 4)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match="nothing is observed; expected"):
        read_alpha(tmp_path / "x.png", (4, 6, 3))


def test_a_picture_behind_soft_edges_is_blended_with_black():
    mask = np.asarray([[1, 0.5, 0]], np.float32)[..., None]
    operator = ops.soft_inpainting((1, 3, 1), mask)
    x: Any = np.full((1, 3, 1), 0.2, np.float32)
    picture = operator.picture(operator(x))
    np.testing.assert_allclose(picture[0, :, 0], [0.2, -0.4, -1], atol=1e-6)
    np.testing.assert_allclose(operator.from_picture(picture), operator(x), atol=1e-6)
    # What a file has where nothing shows does not matter.
    changed = operator.from_picture(picture + (mask == 0))
    np.testing.assert_array_equal(changed, operator.from_picture(picture))
    with pytest.raises(InputError, match=r"mask with values .*: expected from 0 to 1"):
        ops.soft_inpainting((1, 3, 1), 2 * mask)


def test_strokes_hide_what_is_under_them():
    mask = np.asarray(ops.stroke_mask(jax.random.key(0), (64, 48, 3), 5))
    assert mask.shape == (64, 48, 1)
    assert (mask.min(), mask.max()) == (0, 1)
    assert 0 < np.mean((mask > 0) & (mask < 1)) < 0.2
    # Five lines of at most the diagonal, as wide as 0.08 of the shorter side.
    assert 5 * 0.08 * 48 < np.sum(1 - mask) < 5 * 0.08 * 48 * 84


def test_noise_behind_a_mask_has_its_own_likelihood():
    shape, key = (16, 16, 3), jax.random.key(0)
    noise, mask = ops.dead_pixels(ops.denoising(shape, 40.0), 0.2), np.ones((16, 16, 1), "f")
    mask[:, 4:8], mask[:, :4] = 0.5, 0
    operator = ops.composition(noise, ops.soft_inpainting(shape, mask))
    assert isinstance(operator, ops.Hidden)
    assert operator.noise_is_known
    assert isinstance(ops.noiseless(operator), ops.Inpaint)

    @jax.jit
    def found(operator, noise, x):
        y = operator.measure(key, x)
        behind = noise.measure(key, x)
        seen = operator.observed * jnp.ones(shape)
        return (
            y,
            mask * behind,
            operator.error(operator(x), y),
            jnp.sum(seen * noise.losses(x, behind)) / seen.sum(),
            operator.noise_level(operator(x)),
        )

    x = np.linspace(-0.8, 0.8, 768, dtype=np.float32).reshape(shape)
    y, expected, error, error_behind, level = found(operator, noise, x)
    np.testing.assert_array_equal(y, expected)
    assert error == pytest.approx(float(error_behind), rel=1e-4)
    assert level == pytest.approx(float(error), rel=0.25)
    held = np.asarray(operator.hold_out(key, 0.5))
    assert (held[:, :4] == 0).all()
    assert held.sum() == 96


def test_what_follows_dead_pixels_sees_what_they_leave_on_average():
    shape = (4, 4, 1)
    noise = ops.dead_pixels(ops.identity(shape), 0.25)
    operator = ops.composition(noise, ops.superresolution(shape, 4, "average"))
    x: Any = np.full(shape, 0.6, np.float32)
    np.testing.assert_allclose(operator(x), 0.75 * 0.6 - 0.25, atol=1e-6)
