"""Terms of the objective, for one image."""

import jax
import jax.numpy as jnp

from ilo_jax.ops import Measurement, euclidean_norm


def measurement_mse(predicted: Measurement, measured: Measurement) -> jax.Array:
    """Mean squared difference over all entries of two measurements of one image."""
    squares = jax.tree.map(lambda p, m: jnp.sum((p - m) ** 2), predicted, measured)
    return jnp.asarray(sum(jax.tree.leaves(squares))) / sum(
        m.size for m in jax.tree.leaves(measured)
    )


def geocross(latents: jax.Array) -> jax.Array:
    """Geodesic distance between latents (PULSE): the mean of `D^2 d / 8` over all pairs, with `D`
    the angle between two of them.

    Args:
      latents: `[L, d]`.
    """
    x, y = latents[:, None], latents[None, :]
    angle = 2 * jnp.arctan2(euclidean_norm(x - y, -1), euclidean_norm(x + y, -1))
    return jnp.mean(angle**2) * latents.shape[-1] / 8
