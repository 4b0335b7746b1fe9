"""Compressed sensing with a dense Gaussian matrix (Theorem 1)."""

import math

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, array, draw

LARGEST_MATRIX = 2**30
"""Bytes. Drawing a matrix takes a few times its size, and every device in use keeps a copy."""


class GaussianMatrix(LinearOperator):
    """`A(x) = M x` of the flattened image, the entries of `M` independent N(0, 1/m): Theorem 1.

    Attributes:
      matrix: `[m, n]`.
    """

    matrix: jax.Array = flax.struct.field(metadata=array(2))

    def __call__(self, x: jax.Array) -> jax.Array:
        flat = x.reshape(*x.shape[:-3], -1)
        return jnp.einsum("mn,...n->...m", self.matrix, flat, precision="highest")

    def picture(self, y: jax.Array) -> jax.Array:
        return self.back_projection(y)


def gaussian_matrix(key: jax.Array, image_shape: Shape, m: int) -> GaussianMatrix:
    """Draws `m >= 1` random measurements of images of the given shape.

    Raises:
      InputError: no measurement, or a matrix of more than `LARGEST_MATRIX` bytes.
    """
    n = math.prod(image_shape)
    if m < 1:
        raise InputError(f"m {m}: expected one measurement or more")
    if 4 * m * n > LARGEST_MATRIX:
        raise InputError(
            f"gaussian: a matrix of {m} x {n} takes {4 * m * n} bytes; expected at most "
            f"{LARGEST_MATRIX}: fewer measurements, or compress, which needs no matrix"
        )
    matrix = draw(jax.random.normal, key, (m, n)) / math.sqrt(m)
    return GaussianMatrix(image_shape, matrix)
