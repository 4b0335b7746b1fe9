"""The likelihood of clipped noise, against SciPy, draws, and squared errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import log_ndtr

from ilo_jax.ops import composition, denoising, superresolution
from ilo_jax.ops.likelihood import censored, expected_censored

many_programs = True

SHAPE = (4, 4, 1)


def single(*numbers):
    return np.asarray(numbers, np.float32)


@jax.jit
def of(predicted, measured, sigma):
    """Losses and their derivatives."""
    return jax.vmap(jax.value_and_grad(censored), (0, 0, None))(predicted, measured, sigma)


def test_inside_of_the_range_it_is_the_squared_error():
    predicted, measured = single(-3, -0.5, 0.2, 1.7), single(-0.99, 0, 0.5, 0.99)
    loss, slope = of(predicted, measured, np.float32(0.7))
    np.testing.assert_allclose(loss, (predicted - measured) ** 2, rtol=1e-6)
    np.testing.assert_allclose(slope, 2 * (predicted - measured), rtol=1e-6)


@pytest.mark.parametrize("end", [-1, 1])
@pytest.mark.parametrize("sigma", [0.05, 1.0])
def test_at_the_ends_it_is_the_tail_to_forty_sigma(end, sigma):
    z = np.linspace(-40, 40, 161)  # standard deviations beyond the end
    predicted = np.float32(end * (1 + sigma * z))
    beyond = (end * predicted.astype(np.float64) - 1) / sigma
    expected = -2 * sigma**2 * log_ndtr(beyond)
    loss, slope = of(predicted, np.full_like(predicted, end), np.float32(sigma))
    scale = 1e-4 * sigma**2
    np.testing.assert_allclose(loss, expected, rtol=2e-4, atol=scale)
    mills = np.exp(stats.norm.logpdf(beyond) - log_ndtr(beyond))
    np.testing.assert_allclose(slope, -2 * sigma * end * mills, rtol=1e-3, atol=1e-5)


def test_without_noise_the_ends_bound_on_one_side():
    loss, slope = of(single(0.5, 1.5, -2), single(1, 1, -1), np.float32(0))
    np.testing.assert_allclose(loss, [0.25, 0, 0], atol=1e-3)
    np.testing.assert_allclose(slope, [-1, 0, 0], atol=1e-3)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
def test_its_mean_is_what_draws_have_and_the_truth_is_its_least(sigma):
    numbers = np.random.default_rng(0)
    truth = single(-1, -0.6, 0, 0.9)
    noise = numbers.normal(size=(20_000, 1)).astype(np.float32)
    drawn = np.clip(truth + sigma * noise, -1, 1)
    means = {
        shift: np.mean(jax.jit(censored)(truth + np.float32(shift), drawn, sigma), 0)
        for shift in (-0.3 * sigma, 0, 0.3 * sigma)
    }
    level = jax.jit(expected_censored)(truth, np.float32(sigma))
    np.testing.assert_allclose(level, means[0], rtol=0.05)
    assert (means[0] < means[-0.3 * sigma]).all()
    assert (means[0] < means[0.3 * sigma]).all()


def test_an_operator_knows_its_noise():
    clipped = denoising(SHAPE, 100.0)
    plain = clipped.replace(clip=False)
    x = np.random.default_rng(1).uniform(-1, 1, SHAPE).astype(np.float32)
    y = np.clip(x + 0.9, -1, 1)
    where = (np.arange(16).reshape(SHAPE) < 5).astype(np.float32)
    losses = np.asarray(jax.jit(censored)(x, y, clipped.sigma))
    assert clipped.error(x, y) == pytest.approx(losses.mean(), rel=1e-5)
    assert clipped.error(x, y, where) == pytest.approx(losses[where > 0].mean(), rel=1e-5)
    assert plain.error(x, y) == pytest.approx(np.mean((x - y) ** 2), rel=1e-5)
    assert clipped.squared_error(x, y) == plain.error(x, y)
    assert (clipped.noise_is_additive, plain.noise_is_additive) == (False, True)
    assert plain.noise_level(x) == pytest.approx(float(plain.noise_variance))
    assert clipped.noise_level(x) != pytest.approx(float(plain.noise_variance), rel=0.1)
    chain = composition(superresolution((8, 8, 1), 2), clipped)
    assert chain.error(x, y) == clipped.error(x, y)
    assert chain.noise_level(x) == clipped.noise_level(x)
    assert not chain.noise_is_additive
    assert jnp.ndim(chain.noise_level(x)) == 0
