"""Denoising: additive Gaussian noise on another operator's measurement (Section 4.3)."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Measurement, Operator, Shape, array, draw, mean_where
from ilo_jax.ops.inversion import Identity
from ilo_jax.ops.likelihood import censored, expected_censored


class Noisy(Operator):
    """`A(x) + sigma * n`, `n` standard normal.

    Attributes:
      operator: `A`.
      sigma: standard deviation, in the units of the measurement ([-1, 1] for images).
      clip: whether noisy values are clipped to [-1, 1], as the paper does.
    """

    operator: Operator
    sigma: jax.Array = flax.struct.field(metadata=array(0))
    clip: bool = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> Measurement:
        return self.operator(x)

    def measure(self, key: jax.Array, x: jax.Array) -> Measurement:
        leaves, treedef = jax.tree.flatten(self.operator(x))
        keys = jax.random.split(key, len(leaves))
        noisy = [
            y + self.sigma * draw(jax.random.normal, k, y.shape)
            for k, y in zip(keys, leaves, strict=True)
        ]
        if self.clip:
            noisy = [jnp.clip(y, -1, 1) for y in noisy]
        return treedef.unflatten(noisy)

    def error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        """The squared error; under clipping that of `likelihood.censored`."""
        if not self.clip:
            return self.squared_error(predicted, measured, where)
        losses = jax.tree.map(lambda p, m: censored(p, m, self.sigma), predicted, measured)
        return mean_where(losses, where)

    @property
    def noise_is_clipped(self) -> bool:
        return self.clip

    def noise_level(self, predicted: Measurement) -> jax.typing.ArrayLike:
        if not self.clip:
            return self.noise_variance
        levels = jax.tree.map(lambda p: expected_censored(p, self.sigma), predicted)
        return mean_where(levels, None)

    def hold_out(self, key: jax.Array, fraction: float) -> Measurement:
        return self.operator.hold_out(key, fraction)

    @property
    def measures_k_space(self) -> bool:
        return self.operator.measures_k_space

    @property
    def is_noisy(self) -> bool:
        return True

    @property
    def noise_variance(self) -> jax.Array:
        return self.sigma**2 + self.operator.noise_variance

    def picture(self, y: Measurement) -> jax.Array:
        return self.operator.picture(y)

    def restrict(self, y: Measurement) -> Measurement:
        return self.operator.restrict(y)


def denoising(image_shape: Shape, sigma: float | np.ndarray) -> Noisy:
    """Images with Gaussian noise, clipped to [-1, 1].

    Args:
      sigma: standard deviation on the scale of 0-255 pixels, from 0 to 1000; `[B]` for a batch,
        one for each image.

    Raises:
      InputError: out of range, or of another shape.
    """
    of_pixels = np.asarray(sigma, np.float64)
    if of_pixels.ndim > 1 or not np.all((of_pixels >= 0) & (of_pixels <= 1000)):
        raise InputError(f"sigma {sigma}: expected 0 to 1000, on the scale of 0-255 pixels")
    scaled = jnp.asarray(of_pixels / 127.5, jnp.float32)
    return Noisy(image_shape, Identity(image_shape), scaled, clip=True)
