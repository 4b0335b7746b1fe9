"""The choice of method, radii, learning rate, depth and steps for each image, from its measurement
alone.

Part of the measurement is held out of the objective; every candidate is tried, and the image that
meets the held-out part best tells the method and, by the step at which it was found, the round and
the number of steps to stop at (early stopping). That method is then run again on all of the
measurement. The paper leaves all of it to the user ("can be particularly toilsome").
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import (
    Measurement,
    Operator,
    can_be_consistent,
    can_hold_out,
    map_images,
)
from ilo_jax.priors import Prior
from ilo_jax.solve.batch import each_determined
from ilo_jax.solve.candidates import (
    NEAR_MEAN,
    candidates,
    knowing_noise,
    near_mean,
    quickened,
    shortened,
    suited,
    with_usual_radii,
)
from ilo_jax.solve.checks import image_keys
from ilo_jax.solve.choice import FULL, Auto, Choice, radii_in_use
from ilo_jax.solve.combine import combined
from ilo_jax.solve.consistent import consistent
from ilo_jax.solve.losses import FOR_ERROR
from ilo_jax.solve.method import Method
from ilo_jax.solve.reconstruct import NOT_FINITE, OK, TakeSteps
from ilo_jax.solve.restarts import divided, exponential_weights
from ilo_jax.solve.sharp import reconstruct_sharp
from ilo_jax.solve.sweep import Grid, align, stack, sweep_runs

_NO_WORSE = 1 + 1e-4


def reconstruct_auto(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    method: Method,
    auto: Auto = FULL,
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    take_steps: TakeSteps | None = None,
) -> Choice:
    """Reconstructs a batch of images, each with the numbers that suit it.

    Where fewer than two entries are independent, nothing can be held out, and the method is run as
    it is. Where the noise is known, the error counts as met at its level (Morozov's discrepancy
    principle).

    Args:
      measurement: `B` images along the first axis of every leaf.
      key: one key, or `[B]` of them; what is held out of an image depends on its own alone.
      method: around which methods are tried; without radii, those of `with_usual_radii`.
      batch_size: runs in a program.
      progress: called as `progress(done, total)`, over both parts, in runs of all steps.
      take_steps: as for `reconstruct`.

    Raises:
      InputError: a term looks at all entries at once, or no round has a deviation.
    """
    if auto.sharp:
        problem = (prior, operator, measurement, key, method)
        by_trial = functools.partial(
            reconstruct_auto,
            *problem,
            dataclasses.replace(auto, sharp=False),
            batch_size=batch_size,
            progress=progress,
            take_steps=take_steps,
        )
        return reconstruct_sharp(*problem, auto.length, by_trial, progress, take_steps)
    images = operator.check_measurement(measurement)
    can_judge = can_hold_out(operator, images)
    keys = image_keys(key, images)
    # Neither a run's key, nor one that anything is measured with.
    k_held_out = jax.vmap(jax.random.fold_in, (0, None))(keys, 2**31)
    held_out = jax.jit(_held_out, static_argnums=2)(operator, k_held_out, auto.fraction)
    if not method.cuts:
        raise InputError("auto: no round has a deviation; expected a method with rounds at a cut")
    tried = candidates(prior, method, auto.candidates, noise=operator.is_noisy)
    names, methods = list(tried), with_usual_radii(prior, list(tried.values()))
    methods = [shortened(knowing_noise(m), auto.length) for m in methods]
    methods = [quickened(m) for m in methods] if auto.sparing else methods
    may_be_hidden = operator.is_noisy and "w_plus" in prior.spaces
    if may_be_hidden:
        methods.append(near_mean(prior, methods[0]))
    methods = align(methods)  # those of the trial and of the restarts, which share a program
    total_steps = methods[0].max_steps or 0
    size = batch_size or images * auto.restarts
    determined = each_determined(operator, measurement, prior.facts)
    each, suits = np.arange(images), suited(prior, names, determined, auto.sparing)
    runs = int(suits.sum())
    total = runs + auto.restarts * images

    def report(before: int, share: int, done: int, of: int) -> None:
        if progress is not None:
            progress(before + share * done // of, total)

    error = np.full((len(names), images), np.inf, np.float32)  # on what is held out
    error[0] = np.nan
    steps, moves = np.full(error.shape, total_steps), np.zeros(images, bool)
    trials: list[dict[str, list[tuple[int, float]]]] = [{} for _ in each]
    if can_judge.any():
        which = np.nonzero(suits)
        trial = sweep_runs(
            prior,
            operator,
            measurement,
            keys,
            methods,
            Grid(which[0], np.zeros_like(which[0]), which[1]),
            held_out=held_out,
            batch_size=size,
            progress=functools.partial(report, 0, runs),
            take_steps=take_steps,
        )
        run_of = np.full(suits.shape, -1)
        run_of[suits] = np.arange(runs)
        judged = suits & can_judge
        error[judged], steps[judged] = trial.error[judged[suits]], trial.found_at[judged[suits]] + 1
        for j, i in np.argwhere(judged):
            trials[i][names[j]] = _curve(methods[j], trial.round_error[run_of[j, i]])
        if can_be_consistent(operator):
            tried_image = jnp.clip(trial.image[run_of[error.argmin(0), each]], -1, 1)
            if prior.facts.grey:  # but for rounding, which is more than a step may change
                tried_image = jnp.mean(tried_image, -1, keepdims=True) * jnp.ones_like(tried_image)
            kept = jax.tree.map(lambda h: 1 - h, held_out)
            moved = consistent(prior, operator, measurement, tried_image, kept)
            before, after = (
                _errors(operator, measurement, x, held_out) for x in (tried_image, moved)
            )
            # Many operators leave what is held out as it was: that is no harm.
            moves = can_judge & (np.asarray(after) <= _NO_WORSE * np.asarray(before))
    best = np.where(can_judge, error.argmin(0), 0)
    shares = np.eye(len(names), dtype=np.float32)[best].T
    if can_judge.any() and (operator.is_noisy or auto.sparing):
        weights = exponential_weights(
            *(operator, measurement, held_out, jnp.asarray(error)),
            grey=prior.facts.grey,
            least=auto.sparing,
        )
        shares = np.where(np.isfinite(error).any(0), np.asarray(weights), shares)
    if may_be_hidden:
        hidden = np.asarray(jax.jit(FOR_ERROR)(determined)) >= 1
        names = [*names, NEAR_MEAN]
        shares = np.stack([*(shares * np.where(hidden, 0.5, 1)), np.where(hidden, 0.5, 0)])
        steps = np.stack([*steps, np.full(images, total_steps)])
    again = divided(shares, steps, auto.restarts, total_steps, auto.most)
    found = sweep_runs(
        prior,
        operator,
        measurement,
        keys,
        [m.for_images(images).replace(stop=s) for m, s in zip(methods, steps, strict=True)],
        again,
        held_out=jax.tree.map(jnp.zeros_like, held_out) if can_judge.any() else None,
        batch_size=size,
        progress=functools.partial(report, runs, total - runs),
        take_steps=take_steps,
    )
    of_image = [again.image == i for i in range(images)]
    samples = tuple(np.clip(found.image[mine], -1, 1) for mine in of_image)
    spread = np.stack([found.image[mine].std(0) for mine in of_image])
    finite = np.stack([np.isfinite(found.error[mine]).all() for mine in of_image])
    held_out_error = error[best, each]
    finite &= np.isfinite(held_out_error) | ~can_judge
    chosen, steps = stack([methods[i] for i in best]), steps[best, each]
    counts = [np.bincount(again.method[mine], minlength=len(names)) for mine in of_image]
    return Choice(
        image=combined(prior, operator, measurement, samples, moves, auto.combine),
        spread=spread,
        samples=samples,
        moved=moves,
        status=np.where(finite, OK, NOT_FINITE),
        method=tuple(names[i] for i in best),
        restarts=tuple(dict(zip(names, n.tolist(), strict=True)) for n in counts),
        radii=radii_in_use(chosen, determined),
        round=(np.cumsum(np.asarray(chosen.steps), 1) < steps[:, None]).sum(1),
        steps=steps,
        held_out_error=held_out_error,
        trials=tuple(trials),
    )


def _curve(method: Method, errors: np.ndarray) -> list[tuple[int, float]]:
    """Of the rounds that have steps, where they end, and finite errors `[rounds]`."""
    steps = np.asarray(method.steps)
    ends = np.cumsum(steps)
    kept = (steps > 0) & np.isfinite(errors)
    return [(end.item(), error.item()) for end, error in zip(ends[kept], errors[kept], strict=True)]


@jax.jit
def _errors(
    operator: Operator, measurement: Measurement, x: jax.Array, where: Measurement
) -> jax.Array:
    """`[B]`, how far images are from what was held out of them."""
    return map_images(
        lambda operator, y, x, where: operator.held_out_error(operator(x), y, where),
        *(operator, measurement, x, where),
    )


def _held_out(operator: Operator, keys: jax.Array, fraction: float) -> Measurement:
    return map_images(lambda operator, key: operator.hold_out(key, fraction), operator, keys)
