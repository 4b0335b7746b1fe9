"""Convolutions and up-sampling of the synthesis network, on `[..., H, W, C]` arrays.

Up-sampling filters with [1, 3, 3, 1] in each direction (Karras et al., 2020).
"""

import jax
import jax.numpy as jnp
from jax import lax

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """'Same' convolution: `[..., H, W, I]`, `[k, k, I, O]` -> `[..., H, W, O]`."""
    y = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[-3:]), kernel, (1, 1), "SAME", dimension_numbers=_DIMENSIONS
    )
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def upsample_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Stride-2 transposed 3x3 convolution, then the FIR filter.

    `[..., H, W, I]`, `[3, 3, I, O]` -> `[..., 2H, 2W, O]`.
    """
    t = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[-3:]),
        kernel[::-1, ::-1],
        (1, 1),
        ((3, 3), (3, 3)),
        lhs_dilation=(2, 2),
        dimension_numbers=_DIMENSIONS,
    )
    y = _fir(_fir(t, -3), -2)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def _fir(t: jax.Array, axis: int) -> jax.Array:
    """[1, 3, 3, 1] / 4 along one axis, 'valid': n -> n - 3. Shifted adds: much faster than a
    depthwise convolution, on CPU above all."""
    n = t.shape[axis] - 3
    a, b, c, d = (lax.slice_in_dim(t, i, i + n, axis=axis) for i in range(4))
    return 0.25 * (a + d) + 0.75 * (b + c)


def upsample(x: jax.Array) -> jax.Array:
    """Up-sampling of the RGB skip by the same filter: `[..., H, W, C]` -> `[..., 2H, 2W, C]`."""
    for axis in (-3, -2):
        axis += x.ndim
        n = x.shape[axis]
        pad = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
        p = jnp.pad(x, pad)
        before, after = (
            lax.slice_in_dim(p, 0, n, axis=axis),
            lax.slice_in_dim(p, 2, n + 2, axis=axis),
        )
        pair = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis=axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
    return x
