"""A part of the entries of a measurement, chosen by scores."""

import jax
import jax.numpy as jnp


def some_of(
    scores: jax.Array, fraction: jax.typing.ArrayLike, available: jax.Array | None = None
) -> jax.Array:
    """1 at the given fraction of the entries available, those of least score, else 0.

    Entries of equal score go together. At least one, and not all of them; none where fewer than two
    scores are available.

    Args:
      fraction: in (0, 1).
      available: of the shape of `scores`, positive where an entry is; everywhere by default.
    """
    there = jnp.ones(scores.shape, bool) if available is None else available > 0
    entries = jnp.sum(there).astype(scores.dtype)
    count = jnp.maximum(jnp.round(jnp.asarray(fraction, scores.dtype) * entries), 1)
    largest = jnp.max(scores, where=there, initial=-jnp.inf)
    ordered = jnp.sort(jnp.where(there, scores, jnp.inf), axis=None)
    limit = ordered[jnp.minimum(count.astype(jnp.int32), scores.size) - 1]
    return (there & (scores <= limit) & (scores < largest)).astype(jnp.float32)


def opposite(scores: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """At every frequency `k` of a Fourier transform, zero first, what was at `-k`."""
    return jnp.roll(jnp.flip(scores, axes), 1, axes)
