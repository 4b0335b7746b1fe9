"""Terms on latents and noise maps alone."""

import jax
import jax.numpy as jnp

from ilo_jax.ops import euclidean_norm
from ilo_jax.solve.losses.base import Loss, Target, View


def geodesic_distance(latents: jax.Array) -> jax.Array:
    """Geodesic distance between latents (PULSE; Section 4.1): the mean of `D^2 d / 8` over all
    pairs, with `D` the angle between two of them.

    Args:
      latents: `[L, d]`.
    """
    x, y = latents[:, None], latents[None, :]
    angle = 2 * jnp.arctan2(euclidean_norm(x - y, -1), euclidean_norm(x + y, -1))
    return jnp.mean(angle**2) * latents.shape[-1] / 8


class Geocross(Loss):
    """`geodesic_distance` of the latents that the image depends on."""

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        return geodesic_distance(view.latents)


class GeocrossW(Loss):
    """`geodesic_distance` in W+, as PULSE has it."""

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        return geodesic_distance(view.w)


class NoiseCorrelation(Loss):
    """Correlation of each noise map with itself, shifted by a pixel, at all sizes down to 8
    (Karras et al., 2020, appendix D): it keeps the maps from carrying the picture."""

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        total = jnp.float32(0)
        for noise in view.noises:
            x = noise[..., 0]
            while True:
                total += jnp.mean(x * jnp.roll(x, 1, 0)) ** 2 + jnp.mean(x * jnp.roll(x, 1, 1)) ** 2
                if x.shape[0] <= 8:
                    break
                n = x.shape[0] // 2
                x = x.reshape(n, 2, n, 2).mean((1, 3))
        return total
