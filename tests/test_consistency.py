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
    left = np.mean((measure(blur, knowing) - y) ** 2)
    assert 0.99 < left / float(stored.noise_variance) < 1.5


def test_noise_is_met_at_its_level_and_no_further():
    truth, x = uniform(2)
    for operator in (ops.denoising(SHAPE, 30.0), ops.quantization(SHAPE, 2)):
        y = np.asarray(operator.measure(KEY, truth))
        found = np.asarray(consistent(operator, y, x))
        level = float(operator.noise_variance)
        assert np.mean((found - y) ** 2) == pytest.approx(level, rel=1e-4)
        # On the straight way, and not at all where it is met already.
        way = (found - x) / (y - x)
        np.testing.assert_allclose(way, way.mean(), atol=1e-4)
        near = (y + 0.9 * np.sqrt(level)).astype(np.float32)
        np.testing.assert_array_equal(consistent(operator, y, near), near)


def test_entries_that_a_mask_hides_do_not_count_for_the_level():
    masked = ops.random_inpainting(KEY, SHAPE, 0.25)
    operator = ops.composition(masked, ops.denoising(SHAPE, 30.0))
    assert isinstance(operator, ops.Noise)
    truth, x = uniform(2)
    y = operator.measure(KEY, truth)
    found = consistent(operator, y, x)
    level = float(operator.noise_variance)
    assert operator.squared_error(measure(masked, found), y) == pytest.approx(level, rel=1e-4)


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
