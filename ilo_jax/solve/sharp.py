"""The image of least LPIPS: by which method, says what the measurement determines."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.ops import Determined, Identity, Inpaint, Jpeg, Measurement, Operator, noiseless
from ilo_jax.priors import Prior
from ilo_jax.solve.batch import each_determined
from ilo_jax.solve.candidates import NEAR_MEAN, divided_steps, shortened, with_usual_radii
from ilo_jax.solve.choice import Choice, radii_in_use
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods import NARROW, map_estimate
from ilo_jax.solve.reconstruct import TakeSteps, reconstruct

BY_TRIAL, PLAIN = "the mean of restarts", "as it is"
"""What the automatic choice without `sharp` makes, one whole run of the method; and `NEAR_MEAN`,
one of `map_estimate`."""

SCARCE, HIDDEN = 0.02, 0.09
"""Near the mean of W are images of which less than so much is determined, or less than such a part
of what would be without noise."""

LEFT = 0.02
"""Of what would be determined without noise; with less hardly anything tells deviations apart."""


def sharpest(prior: Prior, operator: Operator, determined: Determined) -> np.ndarray:
    """`[B]`, the name of a way for each image, as the 31 rows of docs/restoration.md have it: where
    pixels are seen, the mean of restarts has their texture; where only mixtures of them are, that
    mean is smooth; and where next to nothing is, all texture but a likely one is wrong."""
    share, without_noise = map(np.asarray, determined)
    few = (share < SCARCE) | (share < HIDDEN * without_noise)
    sees = isinstance(noiseless(operator), Identity | Inpaint) and not isinstance(operator, Jpeg)
    return np.where(few & ("w_plus" in prior.spaces), NEAR_MEAN, BY_TRIAL if sees else PLAIN)


def likely(prior: Prior, method: Method, determined: Determined) -> Method:
    """`map_estimate` of a batch, in as many steps: its balls by the size of the generator's codes
    where that has no radii, and narrower in proportion where noise leaves less than `LEFT`."""
    rounds = 1 + len(prior.usual_cuts[:2])
    found = map_estimate(prior, divided_steps(method, rounds))
    (found,) = with_usual_radii(prior, [found], NARROW)
    share, without_noise = map(np.asarray, determined)
    left = share / np.maximum(without_noise, np.finfo(np.float32).tiny)
    narrower = np.minimum(left / LEFT, 1).astype(np.float32)[:, None]
    found = found.for_images(len(share))

    def scaled(radius: Any) -> Any:
        return jnp.where(jnp.isfinite(radius), radius * narrower, radius)

    return found.replace(radii=found.radii.replace(v=jax.tree.map(scaled, found.radii.v)))


def reconstruct_sharp(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    method: Method,
    length: float,
    by_trial: Callable[[], Choice],
    progress: Callable[[int, int], None] | None = None,
    take_steps: TakeSteps | None = None,
) -> Choice:
    """Each image by the way that `sharpest` says; arguments otherwise as for `reconstruct_auto`.

    Args:
      length: of the method's steps, how many a run has.
      by_trial: makes all images by trial.
    """
    determined = each_determined(operator, measurement, prior.facts)
    ways, plain = sharpest(prior, operator, determined), shortened(method, length)

    def once(way: str, method: Method) -> Choice:
        problem = (prior, operator, measurement, key, method)
        return _once(*problem, determined, way, progress, take_steps)

    makers = {
        BY_TRIAL: by_trial,
        PLAIN: lambda: once(PLAIN, plain),
        NEAR_MEAN: lambda: once(NEAR_MEAN, likely(prior, plain, determined)),
    }
    return _merged(ways, {way: makers[way]() for way in np.unique(ways)})


def _once(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    method: Method,
    determined: Determined,
    way: str,
    progress: Callable[[int, int], None] | None,
    take_steps: TakeSteps | None,
) -> Choice:
    """A run of each image, as a choice that had no other."""
    images, total = operator.check_measurement(measurement), method.max_steps or 0

    def report(steps: int, error: jax.Array) -> None:
        del error
        if progress is not None:
            progress(steps, total)

    run = reconstruct(
        prior, operator, measurement, key, method, progress=report, take_steps=take_steps
    )
    image = np.asarray(jnp.clip(run.image, -1, 1))
    return Choice(
        image=image,
        spread=np.zeros_like(image),
        samples=tuple(image[:, None]),
        moved=np.zeros(images, bool),
        status=np.asarray(run.status),
        method=(way,) * images,
        restarts=({way: 1},) * images,
        radii=radii_in_use(method, determined),
        round=np.full(images, method.rounds - 1),
        steps=np.full(images, total),
        held_out_error=np.full(images, np.nan),
        trials=({},) * images,
    )


def _merged(ways: np.ndarray, found: Mapping[str, Choice]) -> Choice:
    """Of each image what its way has made."""
    rounds = max(choice.radii.shape[1] for choice in found.values())

    def of_image(field: str, i: int) -> Any:
        value = getattr(found[ways[i]], field)[i]
        if field != "radii":
            return value
        return np.pad(value, (0, rounds - len(value)), constant_values=np.inf)

    first, merged = next(iter(found.values())), {}
    for field in Choice._fields:
        values = [of_image(field, i) for i in range(len(ways))]
        is_tuple = isinstance(getattr(first, field), tuple)
        merged[field] = tuple(values) if is_tuple else np.stack(values)
    return Choice(**merged)
