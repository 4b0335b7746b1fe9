"""The choice of radii, learning rate, depth and steps for each image, from its measurement alone.

Part of the measurement is held out of the objective; every method of a grid is tried, and the image
that meets the held-out part best tells the method and, by the step at which it was found, the
round and the number of steps to stop at (early stopping). That method is then run again on all of
the measurement. The paper leaves all of it to the user ("can be particularly toilsome").
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import (
    Measurement,
    Operator,
    can_be_consistent,
    check_hold_out,
    make_batch_consistent,
    map_images,
)
from ilo_jax.priors import Prior
from ilo_jax.solve.checks import image_keys
from ilo_jax.solve.method import Method
from ilo_jax.solve.reconstruct import NOT_FINITE, OK
from ilo_jax.solve.sweep import stack, sweep
from ilo_jax.solve.terms import Mse


@dataclasses.dataclass(frozen=True)
class Auto:
    """What is tried.

    Attributes:
      scales: factors on the method's radii.
      rates: factors on the method's learning rates.
      fraction: of the measurement, held out while methods are tried.
      restarts: of the chosen method, whose mean is the result.
    """

    scales: tuple[float, ...] = (0.3, 1.0, 3.0)
    rates: tuple[float, ...] = (0.5, 1.0)
    fraction: float = 0.2
    restarts: int = 4

    def around(self, method: Method) -> tuple[np.ndarray, np.ndarray, list[Method]]:
        """`[S]` factors on a method's radii, `[S]` on its rates, and the `S` methods."""
        scale, rate = (a.ravel() for a in np.meshgrid(self.scales, self.rates, indexing="ij"))
        radii = method.radii
        return (
            scale,
            rate,
            [
                method.replace(
                    radii=radii.replace(v=jax.tree.map(lambda r, s=s: r * np.float32(s), radii.v)),
                    rate=method.rate * np.float32(f),
                )
                for s, f in zip(scale, rate, strict=True)
            ],
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
      status: `[B]`, `OK` or `NOT_FINITE`: no image of a trial or of a restart had a finite error.
      radii: l1 radii of the deviations, infinite in rounds without one, `[B, rounds]`.
      scale, rate: factors on radii and learning rate, `[B]`.
      round: the last round in use, from 0 (CSGM's) on, `[B]`.
      steps: over all rounds, `[B]`.
      held_out_error: mean squared error on what was held out, `[B]`.
    """

    image: np.ndarray
    spread: np.ndarray
    status: np.ndarray
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
            **{name: getattr(self, name)[i].item() for name in Choice._fields[4:]},
        }


PARTS = (3.0, 1.0, 0.1)
"""Radii one after the other, as parts of the mean l1 distance of two images' codes: about what
those chosen for `chest64` are."""


def with_usual_radii(prior: Prior, method: Method) -> Method:
    """The method with l1 radii by the size of the generator's codes, where it has none.

    Raises:
      InputError: no round has a deviation.
    """
    if not method.cuts:
        raise InputError("auto: no round has a deviation; expected a method with rounds at a cut")
    radii = method.radii.v
    if any(np.isfinite(np.asarray(r)).any() for r in radii.values()):
        return method
    distances = jax.jit(lambda prior: prior.spread(method.cuts))(prior)
    parts = PARTS + PARTS[-1:] * len(distances)
    return method.replace(
        radii=method.radii.replace(
            v={
                cut: jnp.where(method.free.v[cut], part * distance, radii[cut])
                for cut, part, distance in zip(method.cuts, parts, distances, strict=False)
            }
        )
    )


def reconstruct_auto(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    method: Method,
    auto: Auto = Auto(),
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Choice:
    """Reconstructs a batch of images, each with the numbers that suit it.

    Where the noise is known, the error counts as met at its level (the discrepancy principle of
    Morozov).

    Args:
      measurement: `B` images along the first axis of every leaf.
      key: one key, or `[B]` of them; what is held out of an image depends on its own alone.
      method: around which methods are tried; radii are those of `with_usual_radii`.
      batch_size: runs in a program.
      progress: called as `progress(runs_done, runs)`, over both parts.

    Raises:
      InputError: nothing can be held out, a term looks at all entries at once, or no round has a
        deviation.
    """
    images = operator.check_measurement(measurement)
    check_hold_out(operator, images)
    keys = image_keys(key, images)
    # Neither a run's key, nor one that anything is measured with.
    k_held_out = jax.vmap(jax.random.fold_in, (0, None))(keys, 2**31)
    held_out = jax.jit(_held_out, static_argnums=2)(operator, k_held_out, auto.fraction)
    method = knowing_noise(with_usual_radii(prior, method))
    scale, rate, methods = auto.around(method)
    size = batch_size or images * auto.restarts
    tried, total = len(methods) * images, auto.runs * images

    def report(before: int, done: int, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    trial = sweep(
        prior,
        operator,
        measurement,
        keys,
        methods,
        held_out=held_out,
        batch_size=size,
        progress=functools.partial(report, 0),
    )
    best = trial.error[:, 0].argmin(0)
    steps = trial.found_at[best, 0, np.arange(images)] + 1
    chosen = stack([methods[i] for i in best]).replace(stop=jnp.asarray(steps, jnp.int32))
    restarts = sweep(
        prior,
        operator,
        measurement,
        keys,
        [chosen],
        restarts=auto.restarts,
        batch_size=size,
        progress=functools.partial(report, tried),
    )
    found, held_out_error = restarts.image[0], trial.error[best, 0, np.arange(images)]
    finite = np.isfinite(held_out_error) & np.isfinite(restarts.error[0]).all(0)
    image = np.clip(found, -1, 1).mean(0)
    if can_be_consistent(operator):
        image = np.clip(make_batch_consistent(operator, measurement, image), -1, 1)
    radii = jnp.min(jnp.stack([chosen.radii.v[cut] for cut in chosen.cuts]), 0)
    return Choice(
        np.asarray(image),
        found.std(0),
        np.where(finite, OK, NOT_FINITE),
        np.asarray(radii),
        scale[best],
        rate[best],
        np.searchsorted(np.cumsum(np.asarray(method.steps)), steps),
        steps,
        held_out_error,
    )


def knowing_noise(method: Method) -> Method:
    """With the variance of the operator's noise as the floor of the squared error."""
    terms = method.objective.terms
    known = tuple(t.replace(discrepancy=True) if isinstance(t, Mse) else t for t in terms)
    return method.replace(objective=method.objective.replace(terms=known))


def _held_out(operator: Operator, keys: jax.Array, fraction: float) -> Measurement:
    return map_images(lambda operator, key: operator.hold_out(key, fraction), operator, keys)
