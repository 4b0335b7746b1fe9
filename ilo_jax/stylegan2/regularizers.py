"""StyleGAN2's own terms of an objective, on latents and noise maps."""

from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.ops.projections import euclidean_norm


def geodesic_distance(latents: jax.Array, in_use: jax.Array) -> jax.Array:
    """Geodesic distance between latents (PULSE; Section 4.1): the mean of `D^2 d / 8` over all
    pairs in use, with `D` the angle between two of them.

    Args:
      latents: `[L, d]`.
      in_use: `[L]` booleans; 0 is returned where none is.
    """
    x, y = latents[:, None], latents[None, :]
    angle = 2 * jnp.arctan2(euclidean_norm(x - y, -1), euclidean_norm(x + y, -1))[..., 0]
    pairs = (in_use[:, None] & in_use[None, :]).astype(latents.dtype)
    mean = jnp.sum(pairs * angle**2) / jnp.maximum(jnp.sum(pairs), 1)
    return mean * (latents.shape[-1] / 8)


def geocross(prior: Any, inputs: Any, free: Any) -> jax.Array:
    """`geodesic_distance` of the latents that are searched."""
    del prior
    return geodesic_distance(inputs.latents, _rows(free.latents, inputs.latents))


def geocross_w(prior: Any, inputs: Any, free: Any) -> jax.Array:
    """The same in W+, as PULSE has it."""
    return geodesic_distance(prior.w(inputs), _rows(free.latents, inputs.latents))


def noise_correlation(prior: Any, inputs: Any, free: Any) -> jax.Array:
    """Correlation of each noise map with itself, shifted by a pixel, at all sizes down to 8
    (Karras et al., 2020, appendix D): it keeps the maps from carrying the picture."""
    del prior, free
    total = jnp.float32(0)
    for noise in inputs.noises:
        x = noise[..., 0]
        while True:
            total += jnp.mean(x * jnp.roll(x, 1, 0)) ** 2 + jnp.mean(x * jnp.roll(x, 1, 1)) ** 2
            if x.shape[0] <= 8:
                break
            n = x.shape[0] // 2
            x = jnp.mean(x.reshape(n, 2, n, 2), (1, 3))
    return total


def squared_norm(prior: Any, inputs: Any, free: Any) -> jax.Array:
    """`|z|^2` of the latents that are searched: the negative log of their density, but for a
    half."""
    del prior
    return jnp.sum(jnp.where(free.latents, inputs.latents**2, 0))


def w_gaussian(prior: Any, inputs: Any, free: Any) -> jax.Array:
    """Mean squared distance of W+ from the mean of W, in units of W's spread (Marinescu et al.,
    2020): the Gaussian prior of BRGM."""
    del free
    generator = prior.generator
    return jnp.mean(((prior.w(inputs) - generator.w_avg) / generator.proxy.spread()) ** 2)


def w_cosine(prior: Any, inputs: Any, free: Any) -> jax.Array:
    """Sum of `1 - cos` of the angles between the `w` of all pairs of layers, BRGM's, too."""
    del free
    w = prior.w(inputs)
    w = w / jnp.maximum(euclidean_norm(w, -1), 1e-12)
    return jnp.sum(jnp.abs(1 - w @ w.T))


def _rows(free: Any, latents: jax.Array) -> jax.Array:
    return jnp.broadcast_to(free, (latents.shape[0], 1))[:, 0]


BY_NAME = {
    "geocross": geocross,
    "geocross_w": geocross_w,
    "noise_correlation": noise_correlation,
    "w_gaussian": w_gaussian,
    "w_cosine": w_cosine,
    "squared_norm": squared_norm,
}
