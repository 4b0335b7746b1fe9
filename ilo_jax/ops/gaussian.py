"""Compressed sensing with a dense matrix, such as a Gaussian one (Theorem 1)."""

import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, array, draw

LARGEST_MATRIX = 2**30
"""Bytes. Drawing a matrix takes a few times its size, and every device in use keeps a copy."""


class DenseMatrix(LinearOperator):
    """`A(x) = M x` of the flattened image.

    Attributes:
      matrix: `[m, n]`, n = H W C, the channel fastest.
    """

    matrix: jax.Array = flax.struct.field(metadata=array(2))

    def __call__(self, x: jax.Array) -> jax.Array:
        flat = x.reshape(*x.shape[:-3], -1)
        return jnp.einsum("mn,...n->...m", self.matrix, flat, precision="highest")

    def picture(self, y: jax.Array) -> jax.Array:
        return self.back_projection(y)


def dense_matrix(image_shape: Shape, matrix: np.ndarray) -> DenseMatrix:
    """A known matrix `[m, n]`, n = H W C, whose rows are as images that are flattened: by rows, the
    channel fastest.

    Raises:
      InputError: another shape, or more than `LARGEST_MATRIX` bytes.
    """
    n = math.prod(image_shape)
    if matrix.ndim != 2 or matrix.shape[1] != n or not len(matrix):
        raise InputError(
            f"matrix of shape {matrix.shape}: expected (m, {n}), the values of an image in a row"
        )
    check_size(len(matrix), n)
    return DenseMatrix(image_shape, jnp.asarray(matrix, jnp.float32))


def gaussian_matrix(key: jax.Array, image_shape: Shape, m: int) -> DenseMatrix:
    """Draws `m >= 1` random measurements of images of the given shape, the entries of the matrix
    independent N(0, 1/m): Theorem 1.

    Raises:
      InputError: no measurement, or a matrix of more than `LARGEST_MATRIX` bytes.
    """
    n = math.prod(image_shape)
    if m < 1:
        raise InputError(f"m {m}: expected one measurement or more")
    check_size(m, n)
    matrix = draw(jax.random.normal, key, (m, n)) / math.sqrt(m)
    return DenseMatrix(image_shape, matrix)


def check_size(m: int, n: int) -> None:
    """Raises `InputError` for a matrix of more than `LARGEST_MATRIX` bytes."""
    if 4 * m * n > LARGEST_MATRIX:
        raise InputError(
            f"gaussian: a matrix of {m} x {n} takes {4 * m * n} bytes; expected at most "
            f"{LARGEST_MATRIX}: fewer measurements, or compress, which needs no matrix"
        )
