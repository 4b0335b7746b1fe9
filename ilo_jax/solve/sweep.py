"""Many methods at once: methods x restarts x images in the batch of one program.

Depth, cuts, steps, radii, rates and weights are numbers of a method, so all of them may differ;
where they do, what a `cond` leaves out of a plain run is computed (docs/methods.md).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from ilo_jax.ops import Measurement, Operator, batch_axes
from ilo_jax.priors import Prior
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.solve.checks import image_keys
from ilo_jax.solve.method import Method, align, numpy_of
from ilo_jax.solve.reconstruct import TakeSteps, reconstruct


class Runs(NamedTuple):
    """What came of a sweep: arrays with axes `[methods, restarts, images]` in front, `[runs]` of
    chosen ones.

    Attributes:
      image: `[..., H, W, C]`, the one with the least `error`.
      error: the measurement error, over the entries held out if there are any.
      found_at: its step, counted over all rounds.
      round_error: `[..., rounds]`, the least error up to the end of each round.
    """

    image: np.ndarray
    error: np.ndarray
    found_at: np.ndarray
    round_error: np.ndarray


def stack(methods: Sequence[Method]) -> Method:
    """Methods along a new first axis of every number: `[S, rounds]`. The terms of the objective
    are those of the first."""
    first, *others = align(methods)
    return first.map(lambda *leaves: numpy_of(*leaves).stack(leaves), *others)


def sweep(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    methods: Sequence[Method],
    *,
    held_out: Measurement | None = None,
    restarts: int = 1,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    take_steps: TakeSteps | None = None,
) -> Runs:
    """Solves every image with every method from every start.

    Args:
      measurement: `B` images along the first axis of every leaf.
      key: one key, or `[B]` of them. Restart k of an image starts at the same place in all methods,
        that of `reconstruct` with the image's key folded with k + 1.
      methods: `S` of them, each the same for all images or with leaves `[B, rounds]`.
      held_out: `[B, ...]`, as for `reconstruct`.
      restarts: `K`.
      batch_size: runs in a program, filled up with the last one; all of them without.
      progress: called as `progress(runs_done, runs)` after every batch.
      take_steps: as for `reconstruct`.

    Raises:
      InputError: as `reconstruct` and `align`.
    """
    images = operator.check_measurement(measurement)
    shape = (len(methods), restarts, images)
    runs = Grid(*np.unravel_index(np.arange(np.prod(shape)), shape))
    found = sweep_runs(
        prior,
        operator,
        measurement,
        key,
        methods,
        runs,
        held_out=held_out,
        batch_size=batch_size,
        progress=progress,
        take_steps=take_steps,
    )
    return Runs(*(a.reshape(*shape, *a.shape[1:]) for a in found))


class Grid(NamedTuple):
    """Which runs: of each, `[N]`, the numbers of the method, the restart and the image, from 0."""

    method: np.ndarray
    restart: np.ndarray
    image: np.ndarray


def sweep_runs(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    methods: Sequence[Method],
    runs: Grid,
    *,
    held_out: Measurement | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    take_steps: TakeSteps | None = None,
) -> Runs:
    """Any `N` runs of a sweep, in their order; arguments and errors otherwise as for `sweep`.

    A batch takes the steps of the one of its runs that stops last.
    """
    images = operator.check_measurement(measurement)
    keys = image_keys(key, images)
    method = stack([m.for_images(images) for m in align(methods)])  # [S, B, rounds]
    stops = np.asarray(method.stop)
    total = len(runs.image)
    size = batch_size or total
    axes = batch_axes(operator, images)
    found: list[Runs] = []
    for first in range(0, total, size):
        these = np.minimum(np.arange(first, first + size), total - 1)
        s, k, b = (number[these] for number in runs)
        chosen: Method = _take(method, method.number_axes(), (s, b))
        result = reconstruct(
            prior,
            _take(operator, axes, b),
            jax.tree.map(lambda y, b=b: y[b], measurement),
            jax.vmap(jax.random.fold_in)(keys[b], np.uint32(k + 1)),
            chosen.replace(max_steps=int(stops[s, b].max())),
            held_out=jax.tree.map(lambda h, b=b: h[b], held_out),
            mesh=batch_mesh(size),
            take_steps=take_steps,
        )
        round_error = np.stack([best.error for best in result.rounds], -1)
        parts = (result.image, result.error, result.found_at, round_error)
        found.append(Runs(*map(np.asarray, parts)))
        if progress is not None:
            progress(min(first + size, total), total)
    return Runs(*(np.concatenate(parts)[:total] for parts in zip(*found, strict=True)))


def _take(tree, axes, index):
    """The chosen elements along the leading axis or axes of those leaves that have them."""
    return jax.tree.map(
        lambda axis, leaf: leaf if axis is None else leaf[index],
        axes,
        tree,
        is_leaf=lambda axis: axis is None,
    )
