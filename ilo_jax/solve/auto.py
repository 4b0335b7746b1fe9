"""The choice of radii, learning rate, depth and steps for each image, from its measurement alone.

Part of the measurement is held out of the loss; every setting of a grid is tried, and the image
that meets the held-out part best tells the setting and, by the step at which it was found, the
round and the number of steps to stop at (early stopping). That setting is then run again on all of
the measurement. The paper leaves all of it to the user ("can be particularly toilsome").
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import LinearOperator, Measurement, Operator, make_batch_consistent
from ilo_jax.solve.loop import image_keys
from ilo_jax.solve.losses import Loss, Mse
from ilo_jax.solve.methods import Plan
from ilo_jax.solve.schedule import HyperParameters
from ilo_jax.solve.sweep import sweep
from ilo_jax.stylegan2 import Generator


@dataclasses.dataclass(frozen=True)
class Auto:
    """What is tried.

    Attributes:
      scales: factors on the plan's radii of the code.
      rates: factors on the plan's learning rate.
      fraction: of the measurement, held out while settings are tried.
      restarts: of the chosen setting, whose mean is the result.
    """

    scales: tuple[float, ...] = (0.3, 1.0, 3.0)
    rates: tuple[float, ...] = (0.5, 1.0)
    fraction: float = 0.2
    restarts: int = 4

    def around(self, hyper: HyperParameters) -> tuple[np.ndarray, np.ndarray, HyperParameters]:
        """The settings around a plan's numbers: `[S]` factors on radii and learning rate, and
        hyper-parameters `[S, rounds]`.

        Raises:
          InputError: there are no radii.
        """
        if hyper.radius_code is None:
            raise InputError("auto: the plan has no radii of the code; expected some, to scale")
        scale, rate = (a.ravel() for a in np.meshgrid(self.scales, self.rates, indexing="ij"))
        return (
            scale,
            rate,
            jax.tree.map(lambda leaf: jnp.repeat(leaf[None], len(scale), 0), hyper).replace(
                radius_code=hyper.radius_code * scale[:, None],
                learning_rate=hyper.learning_rate * rate[:, None],
            ),
        )

    @property
    def runs(self) -> int:
        """Of each image, over both parts."""
        return len(self.scales) * len(self.rates) + self.restarts


class Choice(NamedTuple):
    """What was chosen for each of `B` images, and what came of it.

    Attributes:
      image: `[B, H, W, C]`, the mean of the restarts; for linear operators without noise moved to
        the nearest image of the same measurement.
      spread: `[B, H, W, C]`, standard deviation of the restarts.
      scale, rate: factors on radii and learning rate, `[B]`.
      round: the last round in use, from 0 (CSGM's) on, `[B]`.
      steps: over all rounds, `[B]`.
      held_out_error: mean squared error on what was held out, `[B]`.
    """

    image: np.ndarray
    spread: np.ndarray
    scale: np.ndarray
    rate: np.ndarray
    round: np.ndarray
    steps: np.ndarray
    held_out_error: np.ndarray

    def of_image(self, i: int) -> dict[str, float]:
        """What was chosen for one image, without pictures."""
        return {name: getattr(self, name)[i].item() for name in Choice._fields[2:]}


def solve_auto(
    generator: Generator,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    plan: Plan,
    auto: Auto = Auto(),
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Choice:
    """Reconstructs a batch of images, each with the setting that suits it.

    Where the noise is known, the squared error counts as met at its variance (the discrepancy
    principle of Morozov).

    Args:
      measurement: `B` images along the first axis of every leaf.
      key: one key, or `[B]` of them.
      plan: rounds, numbers and losses around which settings are tried; `radius_code` is scaled.
      batch_size: runs in a program.
      progress: called as `progress(runs_done, runs)`, over both parts.

    Raises:
      InputError: nothing can be held out, a loss looks at all entries at once, or the plan has no
        radii.
    """
    images = jax.tree.leaves(measurement)[0].shape[0]
    keys = image_keys(key, images)
    k_held_out = jax.random.fold_in(keys[0], 0)
    losses = known_noise(plan.losses, operator)
    scale, rate, hyper = auto.around(plan.hyper)
    size = batch_size or images * auto.restarts
    tried, total = len(scale) * images, auto.runs * images

    def report(before: int, done: int, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    trial = sweep(
        generator,
        operator,
        measurement,
        keys,
        plan.schedule,
        hyper,
        losses=losses,
        held_out=operator.hold_out(k_held_out, auto.fraction),
        batch_size=size,
        progress=functools.partial(report, 0),
    )
    best = trial.error[:, 0].argmin(0)
    steps = trial.found_at[best, 0, np.arange(images)] + 1
    rounds = len(plan.schedule.rounds)
    chosen = jax.tree.map(lambda leaf: leaf[best][None], hyper)
    chosen = chosen.replace(stop=jnp.repeat(jnp.asarray(steps)[None, :, None], rounds, -1))
    found = sweep(
        generator,
        operator,
        measurement,
        keys,
        plan.schedule,
        chosen,
        losses=losses,
        restarts=auto.restarts,
        batch_size=size,
        progress=functools.partial(report, tried),
    ).image[0]
    image = np.clip(found, -1, 1).mean(0)
    if isinstance(operator, LinearOperator):
        image = np.clip(make_batch_consistent(operator, measurement, image), -1, 1)
    ends = np.cumsum([r.steps for r in plan.schedule.rounds])
    return Choice(
        image,
        found.std(0),
        scale[best],
        rate[best],
        np.searchsorted(ends, steps),
        steps,
        trial.error[best, 0, np.arange(images)],
    )


def known_noise(losses: Mapping[str, Loss], operator: Operator) -> dict[str, Loss]:
    """Losses whose squared error has the variance of the operator's noise as its floor."""
    return {
        name: loss.replace(floor=operator.noise_variance) if isinstance(loss, Mse) else loss
        for name, loss in losses.items()
    }
