"""Factors on the learning rate, at the fraction `t` in [0, 1) of a round."""

import jax
import jax.numpy as jnp


def ilo_ramp(t: jax.Array) -> jax.Array:
    """Linear ramp-up over the first 5 %, cosine ramp-down over the last 75 %."""
    return _ramp(t, 0.75)


def projector_ramp(t: jax.Array) -> jax.Array:
    """The same with a ramp-down over the last 25 % (Karras et al., 2020, appendix D)."""
    return _ramp(t, 0.25)


def pulse_ramp(t: jax.Array) -> jax.Array:
    """PULSE's: from a tenth up to 1 at 45 %, back at 90 %, then down to a thousandth."""
    cycle = 0.1 + 0.9 * (1 - jnp.abs(2 * t / 0.9 - 1))
    return jnp.where(t < 0.9, cycle, 0.1 + (t - 0.9) / 0.1 * (0.001 - 0.1))


def constant(t: jax.Array) -> jax.Array:
    """No ramp."""
    return jnp.ones_like(t)


def _ramp(t: jax.Array, rampdown: float) -> jax.Array:
    down = 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.minimum(1.0, (1.0 - t) / rampdown))
    return jnp.minimum(t / 0.05, 1.0) * down
