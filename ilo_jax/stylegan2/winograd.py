"""'Same' 3x3 convolution by Winograd's minimal filtering, F(4x4, 3x3) (Lavin & Gray, 2016).

A tile of 4x4 outputs is had from 6x6 inputs by 36 products instead of 144. Over all tiles
and channels these are 36 matrix products, which XLA runs at a CPU's full rate. In float32
its rounding errors are about five times those of the plain convolution.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_TILE = 4
_TAPS = 6


def _transforms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of inputs `[6, 6]`, kernel `[6, 3]` and outputs `[4, 6]`, along one axis: polynomials
    multiplied by their values at six points, the last of them infinity (Toom and Cook)."""
    # Half the rounding errors of the usual points 0, 1, -1, 2, -2.
    points = np.array([0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)])
    others = [np.delete(points, i) for i in range(5)]
    norms = [np.prod(p - roots) for p, roots in zip(points, others, strict=True)]
    inputs = np.zeros((_TAPS, _TAPS))
    for i, roots in enumerate([*others, points]):
        inputs[i, : len(roots) + 1] = np.poly(roots)[::-1]
    kernel = np.vstack([np.vander(points, 3, increasing=True) / np.c_[norms], [0, 0, 1]])
    outputs = np.vstack([np.vander(points, _TILE, increasing=True), [0, 0, 0, 1]]).T
    return inputs.round(12), kernel, outputs


_INPUTS, _KERNEL, _OUTPUTS = _transforms()


def prepare(kernel: jax.Array) -> jax.Array:
    """`[3, 3, I, O]` -> `[36, I, O]`, for `conv`."""
    taps = jnp.einsum("ai,bj,ijco->abco", _KERNEL, _KERNEL, kernel, precision="highest")
    return taps.reshape(_TAPS**2, *kernel.shape[2:])


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[..., H, W, I]`, `[36, I, O]` of `prepare` -> `[..., H, W, O]`."""
    h, w, channels = x.shape[-3:]
    rows, columns = -(-h // _TILE), -(-w // _TILE)
    edges = ((0, 0), (1, _TILE * rows - h + 1), (1, _TILE * columns - w + 1), (0, 0))
    x_pad = jnp.pad(x.reshape(-1, h, w, channels), edges)

    v = jnp.stack(_combine(_INPUTS, _taps(x_pad, rows, 1)))  # [6, N, rows, W + 2, I]
    v = jnp.stack(_combine(_INPUTS, _taps(v, columns, 3)), 1)  # [6, 6, N, rows, columns, I]
    m = jnp.einsum("ktc,kco->kto", v.reshape(_TAPS**2, -1, channels), kernel)
    m = m.reshape(*v.shape[:-1], -1)
    y = [jnp.stack(_combine(_OUTPUTS, row), 3) for row in _combine(_OUTPUTS, m)]
    y = jnp.stack(y, 2)  # [N, rows, 4, columns, 4, O]
    y = y.reshape(-1, _TILE * rows, _TILE * columns, y.shape[-1])[:, :h, :w]
    return y.reshape(*x.shape[:-1], -1)


def _taps(x: jax.Array, tiles: int, axis: int) -> list[jax.Array]:
    """The six inputs of every tile along an axis, each an array over tiles."""
    span = _TILE * (tiles - 1) + 1
    return [lax.slice_in_dim(x, i, i + span, _TILE, axis) for i in range(_TAPS)]


def _combine(matrix: np.ndarray, arrays: jax.Array | Sequence[jax.Array]) -> list[jax.Array]:
    """A small matrix times a vector of arrays, leaving zeros out."""
    terms = ([float(a) * arrays[i] for i, a in enumerate(row) if a] for row in matrix)
    return [sum(t[1:], start=t[0]) for t in terms]
