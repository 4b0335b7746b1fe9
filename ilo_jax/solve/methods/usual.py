"""What is run where no method is named."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from ilo_jax.ops import Operator, batch_axes, noiseless
from ilo_jax.priors import Prior
from ilo_jax.solve.batch import determined
from ilo_jax.solve.method import Method, align
from ilo_jax.solve.methods.ilo import ilo, ilo_from_mean


def usual(prior: Prior, operator: Operator, images: int = 1, **options: Any) -> Method:
    """ILO; from the mean of W on where the operator measures so little that this is better
    (`is_scarce`). Where the operator is traced both are in the program, and its numbers choose.

    Args:
      images: of the batch, an axis of which the operator's leaves may have.
      options: of both, `steps` among them.
    """
    few = is_scarce(prior, operator, images)
    if isinstance(few, bool):
        return ilo_from_mean(prior, **options) if few else ilo(prior, **options)
    plain, mean = align([ilo(prior, **options), ilo_from_mean(prior, **options)])
    return plain.map(lambda a, b: jnp.where(few, b, a), mean)


def is_scarce(prior: Prior, operator: Operator, images: int = 1) -> bool | jax.Array:
    """Whether what is measured determines, noise aside, at most `Facts.scarce` of an image; not
    where each image has an operator of its own. An array where the operator is traced."""
    facts = prior.facts
    if not facts.scarce or jax.tree.leaves(batch_axes(operator, images)):
        return False
    share = determined(noiseless(operator), facts).share
    return share <= facts.scarce if isinstance(share, Tracer) else float(share) <= facts.scarce
