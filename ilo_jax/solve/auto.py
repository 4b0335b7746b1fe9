"""The choice of radii, learning rate, depth and steps for each image, from its measurement alone.

Part of the measurement is held out of the loss; every setting of a grid is tried, and the image
that meets the held-out part best tells the setting and, by the step at which it was found, the
round and the number of steps to stop at (early stopping). That setting is then run again on all of
the measurement. The paper leaves all of it to the user ("can be particularly toilsome").
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import LinearOperator, Measurement, Operator, make_batch_consistent
from ilo_jax.solve.cuts import get_code
from ilo_jax.solve.loop import image_keys
from ilo_jax.solve.losses import Loss, Mse
from ilo_jax.solve.methods import Plan
from ilo_jax.solve.schedule import HyperParameters, of_rounds
from ilo_jax.solve.sweep import sweep
from ilo_jax.stylegan2 import Generator, apply_layers, initial_state


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
        """
        assert hyper.radius_code is not None
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
      radii: l1 radii of the code, infinite in rounds without one, `[B, rounds]`.
      scale, rate: factors on radii and learning rate, `[B]`.
      round: the last round in use, from 0 (CSGM's) on, `[B]`.
      steps: over all rounds, `[B]`.
      held_out_error: mean squared error on what was held out, `[B]`.
    """

    image: np.ndarray
    spread: np.ndarray
    radii: np.ndarray
    scale: np.ndarray
    rate: np.ndarray
    round: np.ndarray
    steps: np.ndarray
    held_out_error: np.ndarray

    def of_image(self, i: int) -> dict[str, float | list[float]]:
        """What was chosen for one image, without pictures; radii where there are any."""
        radii = self.radii[i]
        return {
            "radii": radii[np.isfinite(radii)].tolist(),
            **{name: getattr(self, name)[i].item() for name in Choice._fields[3:]},
        }


FRACTIONS = (3.0, 1.0, 0.1)
"""Radii of the rounds that have a code, as parts of the mean l1 distance of two images' codes:
about what those chosen for `chest64` are."""


def with_usual_radii(generator: Generator, plan: Plan) -> Plan:
    """The plan with l1 radii of the code, if it has none, by the size of the generator's codes.

    Raises:
      InputError: no round has a code.
    """
    if plan.hyper.radius_code is not None:
        return plan
    coded = plan.schedule.coded
    if not any(coded):
        raise InputError("auto: no round has a code; expected a method with rounds at a cut")
    layers = [r.cut.layer for r in plan.schedule.rounds]
    distances = _code_distances(generator, tuple(itertools.compress(layers, coded)))
    parts = FRACTIONS + FRACTIONS[-1:] * len(distances)
    radii = [part * float(d) for part, d in zip(parts, distances, strict=False)]
    return dataclasses.replace(plan, hyper=plan.hyper.replace(radius_code=of_rounds(radii, coded)))


@functools.partial(jax.jit, static_argnames="layers")
def _code_distances(generator: Generator, layers: tuple[int, ...]) -> list[jax.Array]:
    """Mean l1 distance of the codes of two random images at each layer, over sixteen pairs."""

    def codes(key: jax.Array) -> list[jax.Array]:
        z = jax.random.normal(key, (generator.config.z_dim,))
        w = jnp.broadcast_to(generator.proxy(z), (generator.config.num_latents, len(z)))
        start, found = initial_state(generator), []
        for layer in layers:
            state = apply_layers(generator, start, w, generator.noises, 0, layer)
            found.append(get_code(generator, layer, state))
        return found

    def distances(keys: jax.Array) -> list[jax.Array]:
        return [jnp.abs(a - b).sum() for a, b in zip(*map(codes, keys), strict=True)]

    pairs = jax.random.split(jax.random.key(0), (16, 2))
    return [d.mean() for d in jax.lax.map(distances, pairs)]


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
      plan: rounds, numbers and losses around which settings are tried; `radius_code` is scaled,
        where it is None those of `with_usual_radii`.
      batch_size: runs in a program.
      progress: called as `progress(runs_done, runs)`, over both parts.

    Raises:
      InputError: nothing can be held out, a loss looks at all entries at once, or no round has a
        code.
    """
    plan = with_usual_radii(generator, plan)
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
        np.asarray(chosen.radius_code)[0],
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
