"""The nearest image of the same measurement, for every kind of linear operator."""

import jax
import numpy as np
import pytest
from small import measure

from ilo_jax import ops

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
