"""The last step where every pixel is seen under noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from ilo_jax import ops
from ilo_jax.ops.likelihood import censored, information

numerics_elsewhere = True

SHAPE = (24, 24, 3)
filtered = jax.jit(ops.nonlocal_bayes)
slope_of_loss = jax.jit(jax.grad(censored))


def draws(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def striped():
    """`[24, 24, 1]`: every patch has many that are like it."""
    rows = 0.6 * np.sin(2 * np.pi * np.arange(24) / 6)
    return (rows[:, None, None] * np.ones((24, 24, 1))).astype(np.float32)


def error(found, truth):
    return float(np.mean((np.asarray(found) - truth) ** 2))


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("truth", [-1.0, -0.7, 0.2, 1.0])
def test_clipped_values_say_as_much_as_their_density_does(truth, sigma):
    """Fisher's information is the mean square of the score."""

    def square_of_score(y):
        slope = slope_of_loss(np.float32(truth), np.float32(y), np.float32(sigma))
        return (float(slope) / (2 * sigma**2)) ** 2

    expected, _ = integrate.quad(
        lambda y: ((y - truth) / sigma**2) ** 2 * stats.norm.pdf(y, truth, sigma),
        *(-1, 1),
        points=[truth],
    )
    expected += stats.norm.cdf(-1, truth, sigma) * square_of_score(-1)
    expected += stats.norm.sf(1, truth, sigma) * square_of_score(1)
    found = float(jax.jit(information)(np.float32(truth), np.float32(sigma)))
    assert found == pytest.approx(sigma**2 * expected, rel=1e-3)
    assert 2 / np.pi - 1e-3 <= found <= 1  # a sign says no less


@settings(max_examples=3)
@given(st.integers(0, 2**16), st.floats(-0.9, 0.9), st.floats(0.01, 0.3))
def test_the_filter_moves_with_the_measurement(seed, level, sigma):
    """What is added to all of the measurement is added to the result, whatever the guide."""
    pilot, y = draws(seed, 24, 24, 1), draws(seed + 1, 24, 24, 1)
    variance = np.full_like(y, sigma**2)
    moved = filtered(pilot, y + np.float32(level), variance) - filtered(pilot, y, variance)
    np.testing.assert_allclose(moved, level, atol=1e-3)


def test_without_noise_the_measurement_stays():
    pilot, y = draws(0, 24, 24, 1), draws(1, 24, 24, 1)
    np.testing.assert_allclose(filtered(pilot, y, 1e-12 + 0 * y), y, atol=1e-4)


def test_what_is_alike_is_averaged():
    truth = striped()
    y = truth + 0.2 * draws(0, *truth.shape)
    found = filtered(truth, y, np.full_like(y, 0.04))
    assert error(found, truth) < 0.1 * error(y, truth)


@pytest.mark.parametrize("same", [False, True], ids=["three noises", "one"])
def test_it_is_better_than_all_that_it_began_with(same):
    truth = striped() * np.ones(3, np.float32)
    operator = ops.denoising(SHAPE, 25.0)
    noise = draws(1, 24, 24, 1 if same else 3)
    y = np.clip(truth + float(operator.sigma) * noise, -1, 1)[None]
    x = (truth + 0.1 * draws(2, 24, 24, 1))[None]
    found = np.asarray(ops.denoised(operator, y, x, grey=True))
    assert error(found, truth) < 0.7 * min(error(x, truth), error(y.mean(-1, keepdims=True), truth))
    assert (found == found[..., :1]).all()


def test_it_is_told_of_clipping():
    """The mean of clipped values of white is below it; all patches of the guide are the same."""
    operator = ops.denoising(SHAPE, 50.0)
    truth = np.ones((1, *SHAPE), np.float32)
    y = np.asarray(operator.measure(jax.random.key(0), jnp.asarray(truth)))
    found = ops.denoised(operator, y, 0.98 * truth, grey=True)
    bias = abs(float(np.mean(found - truth)))
    assert bias < 0.2 * abs(float(np.mean(y - truth)))


def test_where_noise_is_next_to_nothing_the_image_stays():
    truth = (0.4 * draws(0, *SHAPE)).clip(-0.9, 0.9)[None]
    met = truth + 0.002 * draws(1, *truth.shape)
    for bits, stays in ((8, True), (4, False)):
        operator = ops.quantization(SHAPE, bits)
        y = np.asarray(operator.measure(jax.random.key(0), jnp.asarray(truth)))
        assert np.array_equal(ops.denoised(operator, y, met), met) == stays


def test_what_it_is_for():
    noisy = ops.denoising(SHAPE, 25.0)
    mask = ops.random_inpainting(jax.random.key(0), SHAPE, 0.5)
    assert ops.sees_pixels(noisy)
    assert ops.sees_pixels(ops.as_stored(noisy, jnp.zeros(SHAPE), 2 / 255))
    too_small = ops.denoising((8, 24, 3), 25.0)
    for other in (ops.identity(SHAPE), too_small, mask, ops.composition(mask, noisy)):
        assert not ops.sees_pixels(other)
