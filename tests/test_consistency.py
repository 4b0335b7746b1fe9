"""The nearest image of the same measurement, for every kind of linear operator."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import measure

from ilo_jax import ops
from ilo_jax.app.demo import SAMPLES
from ilo_jax.errors import InputError
from ilo_jax.files.images import from_uint8, read_image, to_uint8

numerics_elsewhere = True

SHAPE = (8, 8, 3)
KEY = jax.random.key(0)
# Each with fewer measurements than pixels.
CASES = {
    "identity": lambda key: ops.identity(SHAPE),
    "inpainting": lambda key: ops.random_inpainting(key, SHAPE, 0.3),
    "superresolution": lambda key: ops.superresolution(SHAPE, 2),
    "circulant": lambda key: ops.partial_circulant(key, SHAPE, 38),
    "gaussian": lambda key: ops.gaussian_matrix(key, SHAPE, 38),
    "grey": lambda key: ops.grey(SHAPE),
    "MRI": lambda key: ops.radial_mri(SHAPE, 3),
}
consistent = jax.jit(ops.make_consistent)
of_many_steps = jax.jit(functools.partial(ops.make_consistent, iterations=400))


def uniform(*shape):
    return np.random.default_rng(1).uniform(-1, 1, (*shape, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_it_meets_the_measurement_by_the_shortest_way(name):
    operator = jax.jit(CASES[name])(KEY)
    assert isinstance(operator, ops.LinearOperator)
    truth, x = uniform(2)
    y = measure(operator, truth)
    found = np.asarray(consistent(operator, y, x))
    size = float(np.mean(np.asarray(y) ** 2))
    assert float(operator.error(measure(operator, found), y)) < 1e-8 * size
    # What was added lies in the range of A^T: orthogonal to what A does not see.
    basis = np.eye(x.size, dtype=np.float32).reshape(-1, *SHAPE)
    matrix = np.asarray(measure(operator, basis), np.float64).reshape(x.size, -1).T
    expected = x.astype(np.float64).ravel()
    expected = expected + np.linalg.pinv(matrix) @ (matrix @ (truth.ravel() - expected))
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-3)
    # The truth is consistent too, and no nearer to x.
    assert np.linalg.norm(found - x) <= np.linalg.norm(truth - x) + 1e-4


def test_each_image_of_a_batch_has_its_own_operator():
    operators = [ops.random_inpainting(key, SHAPE, 0.3) for key in jax.random.split(KEY)]
    truth, x = uniform(2), uniform(2)[::-1]
    together = ops.stack(operators)
    batch_consistent = jax.jit(ops.make_batch_consistent)
    y = measure(together, truth)
    found = np.asarray(batch_consistent(together, y, x))
    for i, operator in enumerate(operators):
        np.testing.assert_allclose(found[i], consistent(operator, y[i], x[i]), atol=1e-5)
    shared = np.asarray(batch_consistent(operators[0], y, x))
    np.testing.assert_allclose(shared[0], found[0], atol=1e-5)


def test_it_needs_no_promotion_of_types_and_ranks():
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        operator = ops.random_inpainting(KEY, SHAPE, 0.3)
        truth, x = uniform(2)
        found = jax.eval_shape(lambda: ops.make_consistent(operator, operator(truth), x))
        assert found.dtype == np.float32


def peak_signal(x, truth):
    return float(-10 * np.log10(np.mean((np.clip(x, -1, 1) - truth) ** 2) / 4))


def test_a_blur_that_was_rounded_is_undone_as_far_as_rounding_allows():
    truth, _ = read_image(SAMPLES / "radiograph_00.png", (64, 64, 3))
    blur = ops.gaussian_blur((64, 64, 3), 2.0)
    y = from_uint8(to_uint8(measure(blur, truth)))
    stored = ops.as_stored(blur, y, 2 / 255)
    knowing, ignorant = (np.asarray(of_many_steps(operator, y, y)) for operator in (stored, blur))
    assert peak_signal(knowing, truth) > peak_signal(y, truth) + 2
    # Who does not know of it has the rounding back, amplified.
    assert peak_signal(ignorant, truth) < peak_signal(y, truth)


@pytest.mark.parametrize(
    "operator", [ops.denoising(SHAPE, 30.0), ops.quantization(SHAPE, 2)], ids=["noise", "rounding"]
)
def test_noise_is_met_as_far_as_the_residual_is_above_it(operator):
    """The estimate of James and Stein; nothing moves where the residual may be noise alone."""
    truth, x = uniform(2)
    y = np.asarray(operator.measure(KEY, truth))
    level, size = float(operator.noise_variance), float(np.mean((y - x) ** 2))
    found = np.asarray(consistent(operator, y, x))
    np.testing.assert_allclose(found, x + (1 - level / size) * (y - x), atol=1e-4)
    near = (y + 0.9 * np.sqrt(level)).astype(np.float32)
    np.testing.assert_array_equal(consistent(operator, y, near), near)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("off", [0.05, 0.2])
def test_it_is_better_than_the_image_and_than_the_measurement(off, grey):
    shape = (32, 32, 3)
    draw = np.random.default_rng(0).standard_normal
    truth = 0.5 * np.tanh(draw((32, 32, 1))) * np.ones(3)
    x = (truth + off * draw((32, 32, 1)) * np.ones(3)).astype(np.float32)
    operator = ops.denoising(shape, 0.1 * 127.5)
    y = (truth + 0.1 * draw(shape)).astype(np.float32)
    found = np.asarray(jax.jit(functools.partial(ops.make_consistent, grey=grey))(operator, y, x))
    noise = 0.1**2 / (3 if grey else 1)
    expected = off**2 * noise / (off**2 + noise)
    assert np.mean((found - truth) ** 2) == pytest.approx(expected, rel=0.1)


def test_what_is_off_in_one_place_moves_there():
    """Better than any one number for the whole image."""
    shape, sigma = (32, 32, 3), 0.1
    draw = np.random.default_rng(0).standard_normal
    off = np.where(np.arange(32) < 16, 0.3, 0.0)[:, None, None]
    truth = np.zeros(shape)
    x = (off * draw(shape)).astype(np.float32)
    operator = ops.denoising(shape, sigma * 127.5)
    y = (sigma * draw(shape)).astype(np.float32)
    found = np.asarray(consistent(operator, y, x))
    of_one_number = min(np.mean((x + g * (y - x) - truth) ** 2) for g in np.linspace(0, 1, 101))
    assert np.mean((found - truth) ** 2) < 0.7 * of_one_number
    assert np.mean((found - x)[20:] ** 2) < 0.05 * sigma**2


@pytest.mark.parametrize("same", [False, True])
def test_noise_that_all_channels_share_counts_once(same):
    """As a noisy grey file has it."""
    shape, off, sigma = (32, 32, 3), 0.1, 0.2
    draw = np.random.default_rng(0).standard_normal
    x = (off * draw((32, 32, 1)) * np.ones(3)).astype(np.float32)
    y = (sigma * draw((32, 32, 1 if same else 3)) * np.ones(3)).astype(np.float32)
    operator = ops.denoising(shape, sigma * 127.5)
    grey = jax.jit(functools.partial(ops.make_consistent, grey=True))
    found = np.asarray(grey(operator, y, x))
    noise = sigma**2 / (1 if same else 3)
    assert np.mean(found**2) == pytest.approx(off**2 * noise / (off**2 + noise), rel=0.15)


def test_an_image_that_was_fitted_has_a_part_of_the_noise_already():
    shape, off, sigma = (32, 32, 3), 0.1, 0.15
    draw = np.random.default_rng(0).standard_normal
    truth, noise = np.zeros(shape), sigma * draw(shape)
    x = (truth + off * draw(shape) + noise * (draw(shape) > 0)).astype(np.float32)
    operator = ops.denoising(shape, sigma * 127.5)
    y = (truth + noise).astype(np.float32)
    one = jnp.float32(1)
    found = np.asarray(consistent(operator, y, x, determined=ops.Determined(one, one)))
    way = np.mean((found - x) / (y - x))
    assert way == pytest.approx(off**2 / (off**2 + 0.5 * sigma**2), abs=0.04)
    errors = [np.mean((x + t * (y - x) - truth) ** 2) for t in (way - 0.1, way, way + 0.1)]
    assert errors[1] == min(errors)


def test_entries_that_a_mask_hides_do_not_count_for_the_level():
    masked = ops.random_inpainting(KEY, SHAPE, 0.25)
    operator = ops.composition(masked, ops.denoising(SHAPE, 30.0))
    assert isinstance(operator, ops.Noise)
    truth, x = uniform(2)
    y = np.asarray(operator.measure(KEY, truth))
    seen = np.broadcast_to(np.asarray(masked.mask) > 0, SHAPE)
    found = np.asarray(consistent(operator, y, x))
    np.testing.assert_array_equal(found[~seen], x[~seen])
    way = 1 - float(operator.noise_variance) / np.mean((y - x)[seen] ** 2)
    # How much of an image a mask sees is estimated, from one probe.
    np.testing.assert_allclose(((found - x) / (y - x))[seen], way, atol=1e-3)


def test_half_of_the_measurements_determine_a_grey_image():
    operator = jax.jit(lambda key: ops.partial_circulant(key, SHAPE, 96))(KEY)
    truth = np.repeat(uniform()[..., :1], 3, -1)
    x = (0.9 * truth + 0.01 * uniform()).astype(np.float32)
    y = measure(operator, truth)
    of_grey = jax.jit(functools.partial(ops.make_consistent, grey=True, iterations=300))
    np.testing.assert_allclose(of_grey(operator, y, x), truth, atol=1e-3)
    assert np.abs(consistent(operator, y, x) - truth).max() > 0.02
    pair = np.stack([x, x])
    both = jax.jit(functools.partial(ops.make_batch_consistent, grey=True))
    found = np.asarray(both(operator, np.stack([y, y]), pair))
    assert (found == found[..., :1]).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ops.photon_counts(SHAPE, 50.0),
        lambda: ops.dead_pixels(ops.identity(SHAPE), 0.1),
        lambda: ops.composition(ops.denoising(SHAPE, 5.0), ops.grey(SHAPE)),
        lambda: ops.custom(SHAPE, jnp.tanh),
    ],
    ids=["photons", "dead pixels", "noise before the end", "not linear"],
)
def test_what_cannot_be_met_is_refused(make):
    operator, x = make(), jnp.asarray(uniform())
    assert not ops.can_be_consistent(operator)
    with pytest.raises(InputError, match="not linear, or with noise that is neither Gaussian nor"):
        ops.make_consistent(operator, x, x)
