"""Noise that operators know: likelihoods, levels, and what is seen of a measurement."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ilo_jax import ops
from ilo_jax.errors import InputError

many_programs = True

KEY = jax.random.key(0)
SHAPE = (16, 16, 3)
NOISES = {
    "gaussian": lambda s: ops.denoising(s, 30.0).replace(clip=False),
    "clipped": lambda s: ops.denoising(s, 30.0),
    "clipped, strong": lambda s: ops.denoising(s, 200.0),
    "rounded, clipped": lambda s: ops.quantization(s, 5),
    "rounded": lambda s: ops.quantization(s, 3).replace(clip=False),
    "few photons": lambda s: ops.photon_counts(s, 4.0),
    "photons": lambda s: ops.photon_counts(s, 50.0),
    "photons in a file": lambda s: ops.photon_counts(s, 6.0).replace(clip=True),
    "many photons in a file": lambda s: ops.photon_counts(s, 100.0).replace(clip=True),
    "many photons": lambda s: ops.photon_counts(s, 1e6),
    "rounded photons": lambda s: ops.composition(ops.photon_counts(s, 50.0), coarse(s)),
    "dead, clipped": lambda s: ops.dead_pixels(ops.denoising(s, 60.0), 0.1),
    "dead, photons": lambda s: ops.dead_pixels(ops.photon_counts(s, 5.0), 0.3),
    "dead, rounded": lambda s: ops.composition(
        ops.dead_pixels(ops.photon_counts(s, 50.0), 0.1), coarse(s)
    ),
}


def coarse(shape):
    return ops.quantization(shape, 6).replace(clip=False)


@jax.jit
def _measured(operator, x):
    return operator.measure(KEY, x)


def measured(operator: ops.Operator, x: Any) -> np.ndarray:
    return np.asarray(_measured(operator, x))


error_and_slope = jax.jit(jax.value_and_grad(lambda operator, x, y: operator.error(x, y), 1))


@jax.jit
def statistics(operator, key, x, shift):
    """Of 400 measurements of an image: mean errors of the image, and of two others; its level."""

    def one(key):
        y = operator.measure(key, x)
        return jnp.stack([operator.error(x + d, y) for d in (-shift, 0 * shift, shift)])

    return jax.lax.map(one, jax.random.split(key, 400)).mean(0), operator.noise_level(x)


SLOW = ("rounded photons", "dead, rounded")
"""Of two kinds that others have alone."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in NOISES]
)
def test_the_level_is_the_mean_error_of_the_truth_which_is_the_least(name):
    operator = NOISES[name](SHAPE)
    # Channels of one pixel are alike, so that some are black in all of them by chance.
    x = np.linspace(-0.98, 1, 256, dtype=np.float32).reshape(16, 16, 1) + np.zeros(3, "f")
    shift = np.float32(0.3 * np.sqrt(operator.noise_variance))
    (below, least, above), level = statistics(operator, KEY, x, shift)
    assert level == pytest.approx(float(least), rel=0.025)
    assert least < below
    assert least < above


@settings(max_examples=25)
@given(
    name=st.sampled_from(sorted(NOISES)),
    predicted=st.floats(-1e3, 1e3, width=32),
    black=st.booleans(),
    grey=st.floats(-1, 1, width=32),
)
def test_losses_are_finite_and_go_down_towards_what_was_measured(name, predicted, black, grey):
    operator = NOISES[name]((1, 1, 3))
    y = np.full((1, 1, 3), -1 if black else grey, np.float32)
    x = np.full((1, 1, 3), predicted, np.float32)
    value, slope = error_and_slope(operator, x, y)
    level = operator.noise_level(x)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert np.isfinite(level)
    # What was clipped is the likelier, the further beyond the end an image is.
    is_clipped = "clipped" in name or "file" in name
    beyond = predicted > y.max() + 0.2 and not (is_clipped and y.max() >= 1)
    below = predicted < y.min() - 0.2 and not (is_clipped and y.min() <= -1)
    assert np.sign(slope).min() >= (0 if beyond else -1)
    assert np.sign(slope).max() <= (0 if below else 1)


def test_an_image_that_is_too_dark_has_a_gradient():
    operator = ops.photon_counts((1, 1, 1), 50.0)
    x, y = np.full((1, 1, 1), -1.5, np.float32), np.zeros((1, 1, 1), np.float32)
    assert error_and_slope(operator, x, y)[1].item() < 0


def log_clipped(y, m, sigma):
    inside = stats.norm.logpdf(y, m, sigma)
    low, high = stats.norm.logcdf(-1, m, sigma), stats.norm.logsf(1, m, sigma)
    return np.where(y <= -1, low, np.where(y >= 1, high, inside))


def log_counts(y, m, photons):
    return stats.poisson.logpmf(np.rint(photons * (y + 1) / 2), photons * (m + 1) / 2)


def log_counts_in_file(y, m, photons):
    white = stats.poisson.logsf(photons - 1, photons * (m + 1) / 2)
    return np.where(y >= 1, white, log_counts(y, m, photons))


def log_mixture(y, log_alive, dead):
    black = (y == -1).all(-1)
    return np.where(black, np.logaddexp(np.log(dead), np.log1p(-dead) + log_alive), log_alive)


@pytest.mark.parametrize(
    ("name", "of_entry", "dead"),
    [
        ("clipped", lambda y, m: log_clipped(y, m, 30 / 127.5), 0.0),
        ("few photons", lambda y, m: log_counts(y, m, 4.0), 0.0),
        ("photons in a file", lambda y, m: log_counts_in_file(y, m, 6.0), 0.0),
        ("many photons in a file", lambda y, m: log_counts_in_file(y, m, 100.0), 0.0),
        ("many photons", lambda y, m: log_counts(y, m, 1e6), 0.0),
        ("dead, clipped", lambda y, m: log_clipped(y, m, 60 / 127.5), 0.1),
        ("dead, photons", lambda y, m: log_counts(y, m, 5.0), 0.3),
    ],
)
def test_error_is_the_negative_log_likelihood_in_units_of_the_variance(name, of_entry, dead):
    operator = NOISES[name](SHAPE)
    numbers = np.random.default_rng(1)
    truth = numbers.uniform(-0.97, 0.9, SHAPE).astype(np.float32)
    truth[:4] = -0.97
    y = measured(operator, truth)
    scale = np.sqrt(operator.noise_variance)
    others = [np.maximum(truth + scale * numbers.normal(size=SHAPE), -0.97) for _ in range(2)]
    others = [other.astype(np.float32) for other in others]

    def expected(m):
        y64, m64 = np.asarray(y, np.float64), np.asarray(m, np.float64)
        alive = of_entry(y64, m64).sum(-1)
        log_p = log_mixture(y64, alive, dead) if dead else alive
        return -2 * float(operator.noise_variance) * log_p.sum() / y.size

    a, b = (float(error_and_slope(operator, other, y)[0]) for other in others)
    # Peizer's and Pratt's approximation, where counts are in a file.
    rel = 1e-2 if "in a file" in name else 1e-3
    assert a - b == pytest.approx(expected(others[0]) - expected(others[1]), rel=rel)
    if dead:
        assert (y == -1).all(-1).mean() > dead / 2


def test_photons_are_poisson():
    operator = ops.photon_counts((64, 64, 3), 20.0)
    y = measured(operator, np.full((64, 64, 3), 0.5, np.float32))
    counts = 20 * (y + 1) / 2
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)
    assert counts.mean() == pytest.approx(15, rel=0.02)
    assert counts.var() == pytest.approx(15, rel=0.05)


def test_dead_pixels_are_black_in_all_channels():
    operator = ops.dead_pixels(ops.identity((64, 64, 3)), 0.25)
    x = np.full((64, 64, 3), 0.5, np.float32)
    black = measured(operator, x) == -1
    assert (black.any(-1) == black.all(-1)).all()
    assert black.mean() == pytest.approx(0.25, abs=0.02)
    # Of noise that is not there nothing is learned from a black pixel.
    y = np.where(black, -1, x).astype(np.float32)
    assert operator.error(x, y) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_quantized_values_are_the_nearest_of_a_grid(bits):
    operator, step = ops.quantization(SHAPE, bits), 2 / (2**bits - 1)
    x = np.random.default_rng(2).uniform(-1, 1, SHAPE).astype(np.float32)
    y = measured(operator, x)
    np.testing.assert_allclose((y + 1) / step, np.rint((y + 1) / step), atol=1e-3)
    assert np.abs(y - x).max() <= step / 2 + 1e-6
    assert operator.noise_variance == pytest.approx(step**2 / 12)
    assert np.abs(measured(operator, 3 * x)).max() == 1


@pytest.mark.parametrize("name", ["rounded", "photons", "dead, photons"])
def test_what_is_drawn_has_the_derivative_of_what_was_drawn_for(name):
    operator = NOISES[name]((2, 2, 3))
    x, one = np.zeros((2, 2, 3), np.float32), np.ones((2, 2, 3), np.float32)
    _, derivative = jax.jvp(lambda x: operator.measure(KEY, x), (x,), (one,))
    np.testing.assert_array_equal(derivative, one)


@pytest.mark.parametrize("name", NOISES)
def test_entries_that_are_hidden_do_not_count(name):
    mask = np.zeros((16, 16, 1), np.float32)
    mask[:8] = 1
    operator = ops.composition(ops.inpainting(SHAPE, mask), NOISES[name](SHAPE))
    visible = NOISES[name]((8, 16, 3))
    x = np.random.default_rng(3).uniform(-0.9, 0.9, (2, *SHAPE)).astype(np.float32)
    y = measured(operator, x)
    assert (y[:, 8:] == 0).all()
    assert (y[:, :8] != x[:, :8]).any()
    p = x[0].copy()
    p[8:] = 0.7  # whatever is predicted there
    assert operator.error(p, y[0]) == pytest.approx(float(visible.error(x[0, :8], y[0, :8])))
    squared = operator.squared_error(p, y[0])
    assert squared == pytest.approx(np.mean((p[:8] - y[0, :8]) ** 2), rel=1e-5)
    assert operator.noise_level(p) == pytest.approx(float(visible.noise_level(x[0, :8])), rel=1e-5)
    held = np.asarray(operator.hold_out(KEY, 0.3))
    assert held.sum() > 0
    assert (held * (1 - mask) == 0).all()


def test_noise_at_the_end_is_known_and_noise_before_it_is_not():
    blur, denoise = ops.gaussian_blur(SHAPE, 1.0), ops.denoising(SHAPE, 20.0)
    known = ops.composition(blur, ops.dead_pixels(denoise, 0.1))
    assert isinstance(known, ops.DeadPixels)
    assert ops.noiseless(known) is blur
    assert known.noise_is_known
    behind = ops.composition(denoise, blur)
    both = ops.composition(denoise, blur, denoise)
    assert [o.is_noisy for o in (blur, known, behind, both)] == [False, True, True, True]
    assert [o.noise_is_known for o in (blur, known, behind, both)] == [True, True, False, False]
    x = np.zeros(SHAPE, np.float32)
    assert behind.noise_level(x) == 0
    assert both.noise_level(x) == pytest.approx(float(denoise.noise_level(x)))
    y = measured(both, x)
    assert both.squared_error(x, y) > 1.01 * both.noise_level(x)


def test_noise_inside_of_rounding_is_known():
    few = ops.composition(
        ops.dead_pixels(ops.photon_counts(SHAPE, 50.0), 0.1), ops.quantization(SHAPE, 4)
    )
    assert few.noise_is_known
    assert few.noise_variance == pytest.approx(2 / 50 + (2 / 15) ** 2 / 12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ops.denoising(SHAPE, 20.0),
        lambda: ops.photon_counts(SHAPE, 50.0),
        lambda: ops.identity(SHAPE),
    ],
)
@pytest.mark.parametrize("step", [2 / 255, 2 / 15, 0.0])
def test_a_stored_measurement_has_rounding_noise_too(make, step):
    operator, y = make(), np.zeros(SHAPE, np.float32)
    stored = ops.as_stored(operator, y, step)
    expected = operator.noise_variance + step**2 / 12
    assert stored.noise_variance == pytest.approx(float(expected))
    assert ops.noiseless(stored) == ops.identity(SHAPE)


def test_unknown_noise_is_estimated_where_it_is_the_last():
    unknown = ops.composition(ops.gaussian_blur(SHAPE, 1.0), ops.unknown_noise(SHAPE))
    assert isinstance(unknown, ops.Noise)
    assert unknown.is_unknown
    y = measured(ops.denoising(SHAPE, 30.0), np.zeros(SHAPE, np.float32))
    dead = ops.dead_pixels(unknown, 0.1)
    for known in (unknown.known(y), dead.known(y)):
        assert known.noise_variance == pytest.approx((30 / 127.5) ** 2, rel=0.2)
        assert not known.is_unknown
    with pytest.raises(InputError, match="operator 1: noise that is to be estimated; expected"):
        ops.composition(ops.identity(SHAPE), ops.unknown_noise(SHAPE), ops.quantization(SHAPE, 8))


@pytest.mark.parametrize(
    ("make", "values", "expected"),
    [
        (
            lambda v: ops.photon_counts(SHAPE, v),
            (0, -1, np.nan, np.inf, 2e6),
            "photons {}: expected more than 0 and at most 1e6",
        ),
        (
            lambda v: ops.dead_pixels(ops.identity(SHAPE), v),
            (-0.1, 1, np.nan),
            "dead {}: expected a fraction of the pixels in [0, 1)",
        ),
        (lambda v: ops.quantization(SHAPE, v), (0, 17), "bits {}: expected 1 to 16"),
        (
            lambda v: ops.dead_pixels(ops.partial_circulant(KEY, SHAPE, v), 0.1),
            (5,),
            "dead pixels: a measurement is ({},); expected an image",
        ),
    ],
)
def test_bad_values_are_refused_by_name(make, values, expected):
    for value in values:
        with pytest.raises(InputError) as raised:
            make(value)
        assert str(raised.value) == expected.format(value)
