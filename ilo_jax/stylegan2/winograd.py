"""'Same' 3x3 convolution by Winograd's minimal filtering, F(4x4, 3x3) (Lavin & Gray, 2016).

A tile of 4x4 outputs is had from 6x6 inputs by 36 products instead of 144. Over all tiles
and channels these are 36 matrix products, which XLA runs at a CPU's full rate. In float32
its rounding errors are about five times those of the plain convolution.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_TILE = 4
_TAPS = 6


# Polynomials are multiplied by their values at six points, the last of them infinity (Toom and
# Cook). These have half the rounding errors of the usual 0, 1, -1, 2, -2.
_A, _B = 0.5**0.5, 2**0.5
_POINTS = np.array([0, _A, -_A, _B, -_B])
_NORMS = np.array([[1], [-1.5], [-1.5], [6], [6]])  # products of a point's distances to the others
_KERNEL = np.vstack([np.vander(_POINTS, 3, increasing=True) / _NORMS, [0, 0, 1]])


def _transform(d: Sequence[jax.Array]) -> list[jax.Array]:
    """Of six inputs in a row."""
    even_a, odd_a = d[4] - 2 * d[2], _A * (d[3] - 2 * d[1])
    even_b, odd_b = d[4] - 0.5 * d[2], _B * (d[3] - 0.5 * d[1])
    first, last = d[0] - 2.5 * d[2] + d[4], d[1] - 2.5 * d[3] + d[5]
    return [first, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, last]


def _outputs(m: Sequence[jax.Array]) -> list[jax.Array]:
    """Four in a row, of six products."""
    even_a, odd_a = m[1] + m[2], _A * (m[1] - m[2])
    even_b, odd_b = m[3] + m[4], _B * (m[3] - m[4])
    return [
        m[0] + even_a + even_b,
        odd_a + odd_b,
        0.5 * even_a + 2 * even_b,
        0.5 * odd_a + 2 * odd_b + m[5],
    ]


def prepare(kernel: jax.Array) -> jax.Array:
    """`[3, 3, I, O]` -> `[36, I, O]`, for `conv`."""
    values = jnp.asarray(_KERNEL, kernel.dtype)
    taps = jnp.einsum("ai,bj,ijco->abco", values, values, kernel, precision="highest")
    return taps.reshape(_TAPS**2, *kernel.shape[2:])


@functools.partial(jax.jit, inline=True)
def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[..., H, W, I]`, `[36, I, O]` of `prepare` -> `[..., H, W, O]`."""
    h, w, channels = x.shape[-3:]
    rows, columns = -(-h // _TILE), -(-w // _TILE)
    edges = ((0, 0), (1, _TILE * rows - h + 1), (1, _TILE * columns - w + 1), (0, 0))
    x_pad = jnp.pad(x.reshape(-1, h, w, channels), edges)

    v = jnp.stack(_transform(_taps(x_pad, rows, 1)))  # [6, N, rows, W + 2, I]
    v = jnp.stack(_transform(_taps(v, columns, 3)), 1)  # [6, 6, N, rows, columns, I]
    m = jnp.einsum("ktc,kco->kto", v.reshape(_TAPS**2, -1, channels), kernel)
    m = m.reshape(*v.shape[:-1], -1)
    y = [jnp.stack(_outputs(jnp.unstack(row)), 3) for row in _outputs(jnp.unstack(m))]
    y = jnp.stack(y, 2)  # [N, rows, 4, columns, 4, O]
    y = y.reshape(-1, _TILE * rows, _TILE * columns, y.shape[-1])[:, :h, :w]
    return y.reshape(*x.shape[:-1], -1)


def _taps(x: jax.Array, tiles: int, axis: int) -> list[jax.Array]:
    """The six inputs of every tile along an axis, each an array over tiles."""
    span = _TILE * (tiles - 1) + 1
    return [lax.slice_in_dim(x, i, i + span, _TILE, axis) for i in range(_TAPS)]
