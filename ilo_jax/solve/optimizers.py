"""Optimizers that methods take instead of Adam; one object each, since programs are found again by
it."""

import jax
import jax.numpy as jnp
import optax

DESCENT = optax.sgd(1.0)
"""The gradient as it is."""

QUICK_ADAM = optax.adam(1.0, b1=0.7, b2=0.95)
"""Adam for rounds of few steps: it forgets sooner how large and where the first gradients were."""


def normalized_descent() -> optax.GradientTransformation:
    """Each code, a vector along the last axis of an array, moves against its gradient by a fixed
    length, so far that the root mean square over its coordinates is 1; not where that is 0
    (Poirier-Ginter & Lalonde, 2023)."""

    return optax.stateless(lambda updates, _: jax.tree.map(_step, updates))


def _step(gradient: jax.Array) -> jax.Array:
    # Of gradients of any size: squares of small ones would be 0.
    largest = jnp.max(jnp.abs(gradient), -1, keepdims=True)
    scaled = gradient / jnp.where(largest > 0, largest, 1)
    square = jnp.mean(scaled**2, -1, keepdims=True)
    return -scaled / jnp.sqrt(jnp.where(square > 0, square, 1))


NORMALIZED = normalized_descent()
