"""What shows that an image is of another kind than its generator's."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.app.metrics import loses_colour
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Sample, measurement_error
from ilo_jax.app.units import is_linear
from ilo_jax.ops import Noise, Noisy, Operator

BEYOND = 3.0
"""Times `Facts.reach`: of images of a generator's kind CSGM leaves less, of others more
(benchmarks/reach.py)."""

_FEWEST_STEPS = 50
"""Of CSGM, before what it leaves of an image says something."""


def doubt_of(run: Run, sample: Sample, image: np.ndarray, of_csgm: np.ndarray | None) -> str | None:
    """A few words, or None.

    Args:
      image: the result `[H, W, C]`.
      of_csgm: `[K, H, W, C]`, of the first round of K restarts; None if there was none.
    """
    if sample.truth is not None and loses_colour(sample.truth, image):
        return "in colour, and its reconstruction is grey"
    reach, operator, y = run.prior.facts.reach, sample.operator, sample.measurement
    if not reach or of_csgm is None or not _begins_in_range(run) or not _tells(operator):
        return None
    left = min(float(measurement_error(operator, x, y)) for x in of_csgm)
    noise = float(jnp.asarray(operator.noise_variance))
    # How much of an image is measured: the result's measurement is about the measurement.
    gain = (float(_power(operator, y)) - noise) / float(np.mean(np.square(image)))
    if gain <= 0 or (left - noise) / gain <= BEYOND * reach:
        return None
    return (
        f"CSGM leaves a mean squared error of {(left - noise) / gain:.2g}, and {reach:.2g} of "
        "images of the generator's kind"
    )


def _begins_in_range(run: Run) -> bool:
    """Whether the first round is CSGM's, of enough steps."""
    settings, method = run.settings, run.method
    deviates = any(flags[0] for flags in method.free.v.values())
    steps = int(np.asarray(method.steps)[0])
    elsewhere = settings.start or settings.video or settings.earlier
    return not (elsewhere or deviates) and steps >= _FEWEST_STEPS


def _tells(operator: Operator) -> bool:
    """Whether a squared error less the noise's variance is that of an image, but for a factor."""
    if isinstance(operator, Noise):
        return isinstance(operator, Noisy) and _tells(operator.operator)
    return is_linear(operator)


@jax.jit
def _power(operator: Operator, y: Any) -> jax.Array:
    """Mean square of what is measured."""
    return operator.squared_error(jax.tree.map(jnp.zeros_like, y), y)
