"""Compressed sensing with randomly signed partial circulant matrices (Section 3.4)."""

import math

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, align, array, random_signs


class PartialCirculant(LinearOperator):
    """`A(x) = (F D x)[rows]` of the flattened image, m of its n values: Lemma 1.

    `D` has the random signs on its diagonal and `F` is circulant with Gaussian first row
    `g` of variance 1/m. By FFT: O(n) memory, O(n log n) time, no matrix.

    Attributes:
      spectrum: `[n // 2 + 1]` complex, the FFT of `g`.
      signs: `[n]`, +1 or -1.
      rows: `[m]` integers, the rows that are kept.
    """

    spectrum: jax.Array = flax.struct.field(metadata=array(1))
    signs: jax.Array = flax.struct.field(metadata=array(1))
    rows: jax.Array = flax.struct.field(metadata=array(1))

    def __call__(self, x: jax.Array) -> jax.Array:
        n = math.prod(self.image_shape)
        flat = x.reshape(*x.shape[:-3], n)
        transformed = jnp.fft.rfft(flat * align(self.signs, flat))
        # Row i of F is g shifted by i: a circular correlation, hence the conjugate.
        full = jnp.fft.irfft(align(jnp.conj(self.spectrum), flat) * transformed, n)
        return full[..., self.rows]

    def picture(self, y: jax.Array) -> jax.Array:
        return self.back_projection(y)


def partial_circulant(key: jax.Array, image_shape: Shape, m: int) -> PartialCirculant:
    """Draws `m` random measurements of images of the given shape, n = H W C.

    Raises:
      InputError: `m` is not from 1 to n.
    """
    n = math.prod(image_shape)
    if not 1 <= m <= n:
        raise InputError(f"m {m}: expected 1 to {n} measurements")
    k_filter, k_signs, k_rows = jax.random.split(key, 3)
    g = jax.random.normal(k_filter, (n,), jnp.float32) / math.sqrt(m)
    signs = random_signs(k_signs, (n,))
    rows = jnp.sort(jax.random.choice(k_rows, n, (m,), replace=False))
    return PartialCirculant(image_shape, jnp.fft.rfft(g), signs, rows)
