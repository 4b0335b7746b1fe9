"""What a synthesis layer does at every pixel between two convolutions, and its sums over pixels.

On a GPU a step takes the time in which its arrays are read and written, so that what can be
computed from one that is there in any case is not kept. `...` in a shape is any number of batch
axes, none included.
"""

import functools
import math
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.stylegan2 import linear
from ilo_jax.stylegan2.resample import widened

_GAIN = 2**0.5
_SLOPE = 0.2


def activate(x: jax.Array, dtype: Any) -> jax.Array:
    """Leaky ReLU times a gain that keeps the variance. One factor: XLA would take the gain behind
    the product of `mix`, and write the features with it and without."""
    return _scale_by_slope(x, x).astype(dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))
def finish(
    y: jax.Array, demodulation: jax.Array, noise: jax.Array, bias: jax.Array, dtype: Any
) -> jax.Array:
    """A layer's features, of its convolution's result: demodulation, noise, bias, leaky ReLU.

    Args:
      y: `[..., H, W, C]`, float32 in every precision.
      demodulation, bias: `[..., C]`.
      noise: `[..., H, W, 1]`.
      dtype: of the features.
    """
    x = y * over_pixels(demodulation, y) + _over_channels(noise, y) + over_pixels(bias, y)
    return activate(x, dtype)


@finish.defjvp
def _finish_jvp(dtype, primals, tangents):
    """Keeps the result alone, which the next layer keeps too: its sign is that of what was
    activated, which is had back from it."""
    (y, demodulation, noise, bias), (y_dot, demodulation_dot, noise_dot, bias_dot) = (
        primals,
        tangents,
    )
    features = finish(y, demodulation, noise, bias, dtype)
    result = _rounded(features) if dtype == jnp.bfloat16 else features
    kept = jax.lax.stop_gradient(result)
    x = _divide_by_slope(widened(result), kept)
    demodulated = x - _over_channels(noise, y) - over_pixels(bias, y)
    x_dot = y_dot * over_pixels(demodulation, y)
    x_dot += demodulated * over_pixels(demodulation_dot / demodulation, y)
    x_dot += _over_channels(noise_dot, y) + over_pixels(bias_dot, y)
    return features, linear.apply(_scale_by_slope, _scale_by_slope, x_dot, kept).astype(dtype)


@jax.custom_jvp
def _rounded(x: jax.Array) -> jax.Array:
    """As it is: XLA would take what was rounded to it for it, and keep both."""
    return jax.lax.optimization_barrier(x)


_rounded.defjvp(lambda primals, tangents: (_rounded(*primals), *tangents))


def _scale_by_slope(x: jax.Array, features: jax.Array) -> jax.Array:
    return x * jnp.where(features > 0, _GAIN, _SLOPE * _GAIN).astype(x.dtype)


def _divide_by_slope(x: jax.Array, features: jax.Array) -> jax.Array:
    return x * jnp.where(features > 0, 1 / _GAIN, 1 / (_SLOPE * _GAIN)).astype(x.dtype)


@flax.struct.dataclass
class _Size:
    """Static axes of an array."""

    axes: tuple[int, ...] = flax.struct.field(pytree_node=False)


def over_pixels(x: jax.Array, image: jax.Array) -> jax.Array:
    """`[..., C]` -> `[..., H, W, C]`, as many pixels as the image has."""
    return linear.apply(_spread_over_pixels, _sum_pixels, x, _Size(image.shape[-3:-1]))


def _spread_over_pixels(x: jax.Array, size: _Size) -> jax.Array:
    return jnp.broadcast_to(x[..., None, None, :], (*x.shape[:-1], *size.axes, x.shape[-1]))


def _sum_pixels(x: jax.Array, _: _Size) -> jax.Array:
    """`[..., H, W, C]` -> `[..., C]`. On CPU eight slices are added first: of a plain sum XLA makes
    a loop along the pixels for each channel, five times slower than one along the channels."""
    if jax.default_backend() == "cpu":
        slices = jnp.split(x, math.gcd(8, x.shape[-3]), -3)
        x = functools.reduce(jnp.add, slices)
    return jnp.sum(x, (-3, -2))


def _over_channels(x: jax.Array, image: jax.Array) -> jax.Array:
    """`[..., H, W, 1]` -> `[..., H, W, C]`, as many channels as the image has."""
    return linear.apply(_spread_over_channels, _sum_channels, x, _Size(image.shape[-1:]))


def _spread_over_channels(x: jax.Array, size: _Size) -> jax.Array:
    return jnp.broadcast_to(x, (*x.shape[:-1], *size.axes))


def _sum_channels(x: jax.Array, size: _Size) -> jax.Array:
    if jax.default_backend() == "cpu":
        return x @ jnp.ones((*size.axes, 1), x.dtype)  # `sum` is far slower
    return jnp.sum(x, -1, keepdims=True)  # of a product all that is summed would be written first
