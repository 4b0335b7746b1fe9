"""Super-resolution: antialiased down-sampling (Section 4.2; Keys, 1981)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape


class Filter(NamedTuple):
    """A kernel of so many small pixels, and its value at distances in small pixels."""

    width: int
    kernel: Callable[[np.ndarray], np.ndarray]


def _cubic(t: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Keys's cubic convolution kernel."""
    t = np.abs(t)
    inner = (a + 2) * t**3 - (a + 3) * t**2 + 1
    outer = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))


FILTERS: Mapping[str, Filter] = {
    "bicubic": Filter(4, _cubic),
    "average": Filter(1, np.ones_like),
    "bilinear": Filter(2, lambda t: 1 - np.abs(t)),
    "lanczos": Filter(6, lambda t: np.sinc(t) * np.sinc(t / 3)),
}
"""By name."""


def _downsample_axis(x: jax.Array, axis: int, factor: int, filter: Filter) -> jax.Array:
    # The kernel spans `width` blocks of `factor` samples: all its taps on every block at once,
    # then as many shifted adds.
    width, kernel = filter
    taps = kernel((np.arange(width * factor) - width * factor / 2 + 0.5) / factor)
    taps = jnp.asarray((taps / taps.sum()).reshape(width, factor), jnp.float32)
    n = x.shape[axis] // factor
    beyond = (width - 1) * factor
    x = jnp.moveaxis(x, axis, -1)
    padding = (beyond // 2, beyond - beyond // 2)
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [padding], mode="reflect")
    blocks = x.reshape(*x.shape[:-1], n + width - 1, factor)
    sums = jnp.einsum("...bt,jt->j...b", blocks, taps, precision="highest")
    y = sum(sums[j, ..., j : j + n] for j in range(width))
    return jnp.moveaxis(jnp.asarray(y), -1, axis)


class Downsample(LinearOperator):
    """`A(x)`: `[..., H, W, C]` -> `[..., H / factor, W / factor, C]`.

    Antialiased, with reflected borders; bicubic as PULSE has it: `4 * factor` taps. With an odd
    factor that puts the kernel half a pixel beyond the middle of its block.

    Attributes:
      factor: divides H and W.
      filter: one of `FILTERS`; `average` is the mean of each block of `factor x factor` pixels.
    """

    factor: int = flax.struct.field(pytree_node=False)
    filter: str = flax.struct.field(pytree_node=False, default="bicubic")

    def __call__(self, x: jax.Array) -> jax.Array:
        for axis in (-3, -2):
            x = _downsample_axis(x, axis, self.factor, FILTERS[self.filter])
        return x


def superresolution(image_shape: Shape, factor: int, filter: str = "bicubic") -> Downsample:
    """Small images, `[..., H / factor, W / factor, C]`.

    Args:
      filter: one of `FILTERS`.

    Raises:
      InputError: `factor` does not divide H and W, or there is no such filter.
    """
    height, width, _ = image_shape
    if factor < 1 or height % factor or width % factor:
        raise InputError(f"factor {factor}: expected a divisor of the image size {height}x{width}")
    if filter not in FILTERS:
        raise InputError(f"filter {filter}: expected one of {', '.join(FILTERS)}")
    return Downsample(image_shape, factor, filter)
