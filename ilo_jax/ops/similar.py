"""What patches of an image that are alike say of each other."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

_PATCH = 6
"""Pixels a side."""
_STRIDE = 2
"""Pixels from one group's patch to the next one's."""
_REACH = 12
"""Pixels, how far away the patches of a group are at most."""
_SIMILAR = 60
"""Patches of a group."""
LEAST_SIDE = _PATCH + math.isqrt(_SIMILAR)
"""Pixels of an image: in its corner a quarter of the window holds a group."""
_ROUNDED = 1e-6
"""Of a trace, by which float32 may take a covariance for less than it is."""


def nonlocal_bayes(pilot: jax.Array, y: jax.Array, variance: jax.Array) -> jax.Array:
    """Denoises `y` with an image that is near to the truth as the guide: the second stage of
    non-local Bayes (Lebrun, Buades & Morel, *A nonlocal Bayesian image denoising algorithm*, 2013).

    To each patch belong those around it that are most like it in the pilot. They are taken for
    draws of one Gaussian, whose covariance `C` is that of the pilot's patches, and whose mean `m`
    is that of the noisy ones; the best estimate of each is `m + C (C + V)^-1 (y - m)`, `V` its
    noise. A pixel is the mean of what the patches that it lies in say, in all groups.

    Args:
      pilot, y: `[H, W, C]`, of `LEAST_SIDE` pixels at least.
      variance: of the noise, above 0, likewise.

    Returns:
      `[H, W, C]`.
    """
    height, width, channels = y.shape
    patch, reach, side = _PATCH, _REACH, 2 * _REACH + 1
    rows, columns = (n - patch + 1 for n in (height, width))
    padding = ((reach, reach), (reach, reach), (0, 0))
    images = [jnp.pad(a, padding) for a in (pilot, y, variance)]
    guide = images[0]
    pixel, window = jnp.arange(patch), jnp.arange(side)
    starts = jnp.asarray(_starts(columns))[:, None]

    def at(i: jax.Array, j: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Pixels of the patches that begin there."""
        return i[..., None, None] + pixel[:, None], j[..., None, None] + pixel

    def group_row(sums: tuple[jax.Array, jax.Array], top: jax.Array) -> tuple:
        """Adds to sums and counts what the groups of one row say."""
        strip = jax.lax.dynamic_slice(guide, (top, 0, 0), (side + patch - 1, *guide.shape[1:]))
        patches = _patches(strip, patch)
        own = patches[reach, starts + reach]

        def distances(line: jax.Array) -> jax.Array:
            """`[groups, side]`, of the patches of a line."""
            return jnp.sum((line[starts + window] - own) ** 2, -1)

        down, right = top + window - reach, starts + window - reach
        inside = ((down >= 0) & (down < rows))[:, None, None] & (right >= 0) & (right < columns)
        distance = jnp.where(inside, jax.lax.map(distances, patches), jnp.inf)
        # Its own is in a group, also where others are just like it: so every pixel is in one.
        distance = jnp.moveaxis(distance, 0, 1).at[:, reach, reach].set(-1)
        nearest = jax.lax.top_k(-distance.reshape(len(starts), -1), _SIMILAR)[1]
        pixels = at(top + nearest // side, starts + nearest % side)
        members = [a[pixels].reshape(*nearest.shape, -1) for a in images]
        estimates = jax.vmap(_estimates)(*members)
        total, count = sums
        estimates = estimates.reshape(*nearest.shape, patch, patch, channels)
        return (total.at[pixels].add(estimates), count.at[pixels].add(1)), None

    zero = jnp.zeros_like(guide)
    (total, count), _ = jax.lax.scan(group_row, (zero, zero[..., :1]), jnp.asarray(_starts(rows)))
    inner = (slice(reach, reach + height), slice(reach, reach + width))
    return total[inner] / count[inner]


def _estimates(pilot: jax.Array, y: jax.Array, variance: jax.Array) -> jax.Array:
    """`[patches, values]`, of one group's."""
    off, noise = pilot - jnp.mean(pilot, 0), jnp.mean(variance, 0)
    product = functools.partial(jnp.matmul, precision="highest")
    covariance = product(off.T, off) / max(len(pilot) - 1, 1)
    noisy = covariance + jnp.diag(noise + _ROUNDED * jnp.trace(covariance))
    kept = jax.scipy.linalg.solve(noisy, jnp.diag(noise), assume_a="pos")
    # `m + C (C + V)^-1 (y - m)`; so it is exactly `y` without noise.
    return y - product(y - jnp.mean(y, 0), kept)


def _patches(a: jax.Array, side: int) -> jax.Array:
    """`[H, W, C]` -> `[H - side + 1, W - side + 1, side side C]`."""
    rows, columns = (n - side + 1 for n in a.shape[:2])
    moved = [a[i : i + rows, j : j + columns] for i in range(side) for j in range(side)]
    return jnp.concatenate(moved, -1)


def _starts(patches: int) -> np.ndarray:
    """Every so many, and the last."""
    return np.unique(np.append(np.arange(0, patches, _STRIDE), patches - 1))
