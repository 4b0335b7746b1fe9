"""What is seen of every pixel under noise, by the patches of an image that are alike."""

from typing import TypeGuard

import jax
import jax.numpy as jnp

from ilo_jax.ops.base import Operator
from ilo_jax.ops.batch import map_images
from ilo_jax.ops.error_variance import Fit
from ilo_jax.ops.inversion import Identity
from ilo_jax.ops.noise import noiseless
from ilo_jax.ops.noise_gaussian import Noisy
from ilo_jax.ops.similar import LEAST_SIDE, nonlocal_bayes

_LEAST = 2 / 255
"""Standard deviation of noise, a grey level, below which a pixel says more than covariances of
patches in float32."""


def sees_pixels(operator: Operator) -> TypeGuard[Noisy]:
    """Whether `denoised` takes it: all pixels of an image that has patches enough are seen, each
    under Gaussian noise or rounding."""
    seen = isinstance(operator, Noisy) and isinstance(noiseless(operator), Identity)
    return seen and min(operator.image_shape[:2]) >= LEAST_SIDE


@jax.jit(static_argnames="grey")
def denoised(
    operator: Noisy, measurement: jax.Array, x: jax.Array, *, grey: bool = False
) -> jax.Array:
    """`nonlocal_bayes` of a batch of measurements, each with an image that is near to the truth.

    The noise is that of clipped values: one step of Fisher's scoring from `x` has the mean of the
    truth, and a variance that is larger where more is clipped. Where the noise is less than a grey
    level, such as the rounding of a file, the image stays.

    Args:
      operator: one that `sees_pixels`; for all images, or with arrays for each.
      measurement, x: `[B, H, W, C]`.
      grey: whether only grey images are allowed.

    Returns:
      `[B, H, W, C]`, not clipped.
    """

    def one(operator: Noisy, measurement: jax.Array, x: jax.Array) -> jax.Array:
        def by_patches(x: jax.Array) -> jax.Array:
            y, variance = _as_if_unclipped(operator, measurement, x, grey=grey)
            return jnp.broadcast_to(nonlocal_bayes(_channels(x, grey), y, variance), x.shape)

        much = jnp.all(operator.noise_variance >= _LEAST**2)
        return jax.lax.cond(much, by_patches, lambda x: x, x)

    return map_images(one, operator, measurement, x)


def _as_if_unclipped(
    operator: Noisy, measurement: jax.Array, x: jax.Array, *, grey: bool
) -> tuple[jax.Array, jax.Array]:
    """A measurement and its variance, `[H, W, C]`, of the one channel of a grey image."""
    fit = Fit(operator, Identity(operator.image_shape), measurement, None, grey, None)
    inside = jnp.broadcast_to(jnp.clip(x, -1, 1), measurement.shape)
    slope = jax.grad(lambda x: jnp.sum(operator.losses(x, measurement)))(inside)
    information = _channels(operator.information(inside), grey)
    score = -_channels(slope, grey) / (2 * operator.noise_variance)
    return _channels(inside, grey) + score / information, 1 / (fit.noises * information)


def _channels(image: jax.Array, grey: bool) -> jax.Array:
    """All, or the mean in their place."""
    return jnp.mean(image, -1, keepdims=True) if grey else image
