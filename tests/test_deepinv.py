"""Operators and adjoints equal deepinv's on the same arrays (`oracle/deepinv_operators.py`)."""

import pathlib

import jax
import numpy as np
import pytest

from ilo_jax import ops

numerics_elsewhere = True

GOLDEN = dict(np.load(pathlib.Path(__file__).parent / "golden" / "deepinv.npz"))
MASK, MAPS = GOLDEN["mask"][..., None], GOLDEN["maps"][..., None]
GREY, COLOUR = MASK.shape, (12, 16, 3)
OPERATORS = {
    "mri": lambda: ops.masked_mri(GREY, MASK),
    "coils": lambda: ops.masked_mri(GREY, MASK, MAPS),
    "inpainting": lambda: ops.inpainting(GREY, MASK),
    "superresolution": lambda: ops.superresolution(COLOUR, 2),
    "blur": lambda: ops.blur(COLOUR, GOLDEN["kernel"]),
}

measure = jax.jit(lambda operator, x: operator(x))
adjoint_of = jax.jit(lambda operator, y: operator.adjoint(y))


def ours(name: str, theirs: np.ndarray) -> np.ndarray:
    """`[2, K, H, W]` -> `[K, H, W, 1, 2]` of k-space, `[C, H, W]` -> `[H, W, C]` of images."""
    if name in ("mri", "coils"):
        return np.moveaxis(theirs, 0, -1)[..., None, :]
    return np.moveaxis(theirs, 0, -1)


@pytest.mark.parametrize("name", OPERATORS)
def test_measurements_and_adjoints_are_deepinvs(name):
    operator = OPERATORS[name]()
    image = GOLDEN["grey"] if operator.image_shape == GREY else GOLDEN["colour"]
    y, other, adjoint = (GOLDEN[f"{name}/{what}"] for what in ("y", "other", "adjoint"))
    measured = measure(operator, np.moveaxis(image, 0, -1))
    assert np.abs(y).max() > 0.5
    np.testing.assert_allclose(measured, ours(name, y), atol=1e-5)
    if name in ("mri", "coils"):  # its images are complex; the adjoint for real ones is this part
        adjoint = adjoint[:1]
    back = adjoint_of(operator, ours(name, other))
    np.testing.assert_allclose(back, np.moveaxis(adjoint, 0, -1), atol=1e-5)
