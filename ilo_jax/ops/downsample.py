"""Super-resolution: bicubic down-sampling (Section 4.2; Keys, 1981)."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape


def _cubic(t: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Keys's cubic convolution kernel."""
    t = np.abs(t)
    inner = (a + 2) * t**3 - (a + 3) * t**2 + 1
    outer = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))


def _downsample_axis(x: jax.Array, axis: int, factor: int) -> jax.Array:
    # The kernel spans four blocks of `factor` samples: all its taps on every block at once,
    # then four shifted adds.
    taps = _cubic((np.arange(4 * factor) - 2 * factor + 0.5) / factor)
    taps = jnp.asarray((taps / taps.sum()).reshape(4, factor), jnp.float32)
    n = x.shape[axis] // factor
    before = 3 * factor // 2
    x = jnp.moveaxis(x, axis, -1)
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, 3 * factor - before)], mode="reflect")
    blocks = x.reshape(*x.shape[:-1], n + 3, factor)
    sums = jnp.einsum("...bt,jt->j...b", blocks, taps, precision="highest")
    y = sum(sums[j, ..., j : j + n] for j in range(4))
    return jnp.moveaxis(jnp.asarray(y), -1, axis)


class BicubicDownsample(LinearOperator):
    """`A(x)`: `[..., H, W, C]` -> `[..., H / factor, W / factor, C]`.

    Bicubic and antialiased, as PULSE has it: `4 * factor` taps, reflected borders. With an odd
    factor that puts the kernel half a pixel beyond the middle of its block.

    Attributes:
      factor: divides H and W.
    """

    factor: int = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        return _downsample_axis(_downsample_axis(x, -3, self.factor), -2, self.factor)


def superresolution(image_shape: Shape, factor: int) -> BicubicDownsample:
    """Small images, `[..., H / factor, W / factor, C]`.

    Raises:
      InputError: `factor` does not divide H and W.
    """
    height, width, _ = image_shape
    if factor < 1 or height % factor or width % factor:
        raise InputError(f"factor {factor}: expected a divisor of the image size {height}x{width}")
    return BicubicDownsample(image_shape, factor)
