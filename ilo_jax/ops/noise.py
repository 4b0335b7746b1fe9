"""Denoising: additive Gaussian noise on another operator's measurement (Section 4.3)."""

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Measurement, Operator, Option, Shape, Task
from ilo_jax.ops.identity import Identity


class Noisy(Operator):
    """`A(x) + sigma * n`, `n` standard normal.

    Attributes:
      operator: `A`.
      sigma: standard deviation, in the units of the measurement ([-1, 1] for images).
      clip: whether noisy values are clipped to [-1, 1], as the paper does.
    """

    operator: Operator
    sigma: jax.Array
    clip: bool = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> Measurement:
        return self.operator(x)

    def measure(self, key: jax.Array, x: jax.Array) -> Measurement:
        leaves, treedef = jax.tree.flatten(self.operator(x))
        keys = jax.random.split(key, len(leaves))
        noisy = [
            y + self.sigma * jax.random.normal(k, y.shape)
            for k, y in zip(keys, leaves, strict=True)
        ]
        if self.clip:
            noisy = [jnp.clip(y, -1, 1) for y in noisy]
        return treedef.unflatten(noisy)

    def hold_out(self, key: jax.Array, fraction: float) -> Measurement:
        return self.operator.hold_out(key, fraction)

    @property
    def noise_variance(self) -> jax.Array:
        return self.sigma**2 + self.operator.noise_variance

    def picture(self, y: Measurement) -> jax.Array:
        return self.operator.picture(y)

    def restrict(self, y: Measurement) -> Measurement:
        return self.operator.restrict(y)


def _build(key: jax.Array, image_shape: Shape, sigma: float) -> Noisy:
    del key
    if not 0 <= sigma <= 1000:
        raise InputError(f"sigma {sigma}: expected 0 to 1000, on the scale of 0-255 pixels")
    return Noisy(image_shape, Identity(image_shape), jnp.float32(sigma / 127.5), clip=True)


TASK = Task(
    "denoise",
    "remove Gaussian noise",
    _build,
    forms=((Option("sigma", float, "standard deviation of the noise, on the 0-255 scale"),),),
    examples=({"sigma": 25.0},),
    demo={"sigma": 25.0},
    sna=True,
)
