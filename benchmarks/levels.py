"""Levels of a task in shapes that all of them share, so that they share programs.

Super-resolution has other shapes for each factor, and circulant measurements for each number of
them. Here both are the largest level's, of which the others leave entries out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ilo_jax.ops import Downsample, LinearOperator, Measurement, Operator, PartialCirculant
from ilo_jax.ops.base import align, draw
from ilo_jax.ops.entries import some_of

LEAST_FACTOR = 2


class SomeOf(LinearOperator):
    """`mask * A(x)`, the entries of `A(x)` that are 1 in the mask.

    Attributes:
      operator: `A`.
      mask: broadcasts to one image's measurement.
    """

    operator: LinearOperator
    mask: jax.Array

    def __call__(self, x: jax.Array) -> Measurement:
        y = self.operator(x)
        return align(self.mask, y) * y

    def squared_error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        return super().squared_error(
            predicted, measured, self.mask if where is None else self.mask * where
        )

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        return some_of(draw(jax.random.uniform, key, self.mask.shape), fraction, self.mask)

    @property
    def observed(self) -> jax.Array:
        return self.mask


class Separable(LinearOperator):
    """`D x R^T` of every channel.

    Attributes:
      down: `D`, `[h, H]`.
      across: `R`, `[w, W]`.
    """

    down: jax.Array
    across: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        spec = "hH,...HWc,wW->...hwc"
        return jnp.einsum(spec, self.down, x, self.across, precision="highest")


class Padded(NamedTuple):
    """What is measured of a batch: the operator, and measurements with a 0 where there is none."""

    operator: Operator
    measurement: Measurement


def padded(operator: Operator, measurement: Measurement) -> Padded:
    """In its task's shapes; operators whose levels share them already as they are."""
    match operator:
        case Downsample():
            return _downsampled(operator, measurement)
        case PartialCirculant(image_shape, spectrum, signs, rows):
            every = PartialCirculant(image_shape, spectrum, signs, jnp.arange(signs.size))
            mask = jnp.zeros(signs.shape).at[rows].set(1)
            y = jnp.zeros((len(measurement), signs.size)).at[:, rows].set(measurement)
            return Padded(SomeOf(image_shape, every, mask), y)
        case _:
            return Padded(operator, measurement)


def _downsampled(operator: Downsample, measurement: jax.Array) -> Padded:
    height, width, channels = operator.image_shape
    beyond = [(0, n // LEAST_FACTOR - n // operator.factor) for n in (height, width)]

    def matrix(axis: int) -> jax.Array:
        """Of one axis: what becomes of images that do not change along the other."""
        n = operator.image_shape[axis]
        unit = jnp.expand_dims(jnp.eye(n), (2 - axis, 3))
        image = jnp.broadcast_to(unit, (n, height, width, channels))
        columns = jnp.take(operator(image)[..., 0], 0, 2 - axis)
        return jnp.pad(columns.T, (beyond[axis], (0, 0)))

    mask = jnp.pad(jnp.ones((*operator.measurement_shape[:2], 1)), (*beyond, (0, 0)))
    whole = Separable(operator.image_shape, matrix(0), matrix(1))
    y = jnp.pad(measurement, ((0, 0), *beyond, (0, 0)))
    return Padded(SomeOf(operator.image_shape, whole, mask), y)
