"""Compressed sensing with randomly signed partial circulant matrices (Section 3.4)."""

import math

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Option, Shape, Task


class PartialCirculant(LinearOperator):
    """`A(x) = (F D x)[rows]` of the flattened image, m of its n values: Lemma 1.

    `D` has the random signs on its diagonal and `F` is circulant with Gaussian first row
    `g` of variance 1/m. By FFT: O(n) memory, O(n log n) time, no matrix.

    Attributes:
      spectrum: `[n // 2 + 1]` complex, the FFT of `g`.
      signs: `[n]`, +1 or -1.
      rows: `[m]` integers, the rows that are kept.
    """

    spectrum: jax.Array
    signs: jax.Array
    rows: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        n = math.prod(self.image_shape)
        signed = x.reshape(*x.shape[:-3], n) * self.signs
        # Row i of F is g shifted by i: a circular correlation, hence the conjugate.
        full = jnp.fft.irfft(jnp.conj(self.spectrum) * jnp.fft.rfft(signed), n)
        return full[..., self.rows]

    def picture(self, y: jax.Array) -> jax.Array:
        return self.back_projection(y)


def partial_circulant(key: jax.Array, image_shape: Shape, m: int) -> PartialCirculant:
    """Draws `m` random measurements of images of the given shape, `1 <= m <= n`."""
    n = math.prod(image_shape)
    k_filter, k_signs, k_rows = jax.random.split(key, 3)
    g = jax.random.normal(k_filter, (n,)) / jnp.sqrt(m)
    signs = jax.random.rademacher(k_signs, (n,), jnp.float32)
    rows = jnp.sort(jax.random.choice(k_rows, n, (m,), replace=False))
    return PartialCirculant(image_shape, jnp.fft.rfft(g), signs, rows)


MEASUREMENTS = Option(
    "measurements", float, "their number, as a fraction of the image's values, in (0, 1]"
)


def count(image_shape: Shape, measurements: float) -> int:
    """The number of measurements that a fraction of an image's values is, at least 1.

    Raises:
      InputError: not in (0, 1].
    """
    if not 0 < measurements <= 1:
        raise InputError(f"measurements {measurements}: expected a fraction of n in (0, 1]")
    return max(round(measurements * math.prod(image_shape)), 1)


def _build(key: jax.Array, image_shape: Shape, measurements: float) -> PartialCirculant:
    return partial_circulant(key, image_shape, count(image_shape, measurements))


TASK = Task(
    "compress",
    "compressed sensing: random circulant measurements",
    _build,
    forms=((MEASUREMENTS,),),
    examples=({"measurements": 0.1}, {"measurements": 1.0}),
    demo={"measurements": 0.1},
)
