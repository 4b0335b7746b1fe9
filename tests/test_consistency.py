"""The nearest image of the same measurement, for every linear task."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilo_jax.ops import TASKS, LinearOperator, make_consistent
from ilo_jax.solve.options import build_operator

SHAPE = (8, 8, 3)
# Each with fewer measurements than pixels.
CASES = {
    "invert": {},
    "inpaint": {"observed": 0.3},
    "superres": {"factor": 2},
    "compress": {"measurements": 0.2},
    "gaussian": {"measurements": 0.2},
    "colourise": {},
    "mri": {"spokes": 3},
}


@pytest.mark.parametrize("task", CASES)
def test_it_meets_the_measurement_by_the_shortest_way(task):
    operator = build_operator(jax.random.key(0), TASKS[task], CASES[task], SHAPE)
    assert isinstance(operator, LinearOperator)
    truth, x = jax.random.uniform(jax.random.key(1), (2, *SHAPE), minval=-1)
    y = operator(truth)
    found = jax.jit(functools.partial(make_consistent, operator))(y, x)
    size = float(np.mean(np.asarray(y) ** 2))
    assert float(operator.error(operator(found), y)) < 1e-8 * size
    # What was added lies in the range of A^T: orthogonal to what A does not see.
    matrix = np.asarray(jax.jacobian(operator)(x), np.float64).reshape(-1, x.size)
    expected = np.asarray(x, np.float64).ravel()
    expected = expected + np.linalg.pinv(matrix) @ (matrix @ (np.asarray(truth).ravel() - expected))
    np.testing.assert_allclose(np.asarray(found).ravel(), expected, atol=1e-3)
    # The truth is consistent too, and no nearer to x.
    assert jnp.linalg.norm(found - x) <= jnp.linalg.norm(truth - x) + 1e-4
