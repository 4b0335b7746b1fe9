"""The last step of a reconstruction: to what its measurement says of it."""

import jax
import jax.numpy as jnp

from ilo_jax.ops import (
    Measurement,
    Operator,
    denoised,
    make_batch_consistent,
    sees_pixels,
)
from ilo_jax.priors import Prior
from ilo_jax.solve.batch import each_determined


def consistent(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    image: jax.typing.ArrayLike,
    where: Measurement | None = None,
) -> jax.Array:
    """The nearest images to some of the generator's that were fitted to a measurement, among those
    of exactly this measurement; under noise, on the way there as far as its level says
    (`ops.make_consistent`), and where all pixels are seen to what these say of others that are like
    them (`ops.denoised`). They need not be of the generator any more.

    Args:
      operator: one that `ops.can_be_consistent`.
      measurement: `B` images along the first axis of every leaf.
      image: `[B, H, W, C]`.
      where: `[B, ...]`, 1 at the entries that are to be met; all without.

    Returns:
      `[B, H, W, C]` in [-1, 1].
    """
    facts, image = prior.facts, jnp.asarray(image)
    determined = each_determined(operator, measurement, facts) if operator.is_noisy else None
    met = make_batch_consistent(operator, measurement, image, where, determined, grey=facts.grey)
    if where is None and sees_pixels(operator):
        met = denoised(operator, measurement, met, grey=facts.grey)
    return jnp.clip(met, -1, 1)
