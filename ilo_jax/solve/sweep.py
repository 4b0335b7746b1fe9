"""Many settings at once: hyper-parameters x restarts x images in the batch of one program."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import Measurement, Operator
from ilo_jax.solve.loop import batch_mesh, image_keys, solve, stack
from ilo_jax.solve.losses import LOSSES, Loss
from ilo_jax.solve.schedule import HyperParameters, Schedule, of_rounds
from ilo_jax.stylegan2 import Generator

_LEAVES = {
    "lr": "learning_rate",
    "radii": "radius_code",
    "radii_latents": "radius_latents",
    "radii_noises": "radius_noises",
}


class Runs(NamedTuple):
    """What came of a sweep: arrays with axes `[settings, restarts, images]` in front.

    Attributes:
      image: `[S, K, B, H, W, C]`, the one with the least `error`.
      error: the measurement error, over the entries held out if there are any.
      found_at: its step, counted over all rounds.
    """

    image: np.ndarray
    error: np.ndarray
    found_at: np.ndarray


def grid(
    schedule: Schedule,
    hyper: HyperParameters,
    values: Mapping[str, Sequence[Sequence[float]]],
) -> tuple[list[dict[str, Sequence[float]]], HyperParameters]:
    """All combinations of values.

    Args:
      hyper: arrays `[rounds]`, for what is not in `values`.
      values: for `lr`, `radii`, `radii_latents`, `radii_noises` or a loss (its weight) the values
        to try, each one number, or one a round (`radii`: one for each round that has a code).

    Returns:
      The settings in order, and their hyper-parameters `[S, rounds]`.

    Raises:
      InputError: a name that is none of these, among them what is static; numbers that do not go
        with the rounds; no values.
    """
    for name, tried in values.items():
        if name not in _LEAVES and name not in LOSSES:
            raise InputError(
                f"grid {name}: expected numbers that one program can vary: "
                f"{', '.join([*_LEAVES, *LOSSES])}; for anything else run the command again"
            )
        if not tried:
            raise InputError(f"grid {name}: no values; expected one or more")
    settings = [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]
    rows = []
    for setting in settings:
        leaves, weights = {}, dict(hyper.weights)
        for name, chosen in setting.items():
            coded = [has_code or name != "radii" for has_code in schedule.coded]
            if len(chosen) not in (1, sum(coded)):
                raise InputError(
                    f"grid {name} {':'.join(f'{v:g}' for v in chosen)}: expected one number, or "
                    f"one for each of {sum(coded)} rounds"
                )
            leaf = of_rounds(chosen, coded)
            if name in _LEAVES:
                leaves[_LEAVES[name]] = leaf
            else:
                weights[name] = leaf
        rows.append(hyper.replace(weights=weights, **leaves))
    return settings, stack(rows)


def sweep(
    generator: Generator,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    schedule: Schedule,
    hyper: HyperParameters,
    *,
    losses: Mapping[str, Loss] | None = None,
    held_out: Measurement | None = None,
    restarts: int = 1,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Runs:
    """Solves every image with every setting from every start.

    Args:
      measurement: `B` images along the first axis of every leaf.
      key: one key, or `[B]` of them. Restart k of an image starts at the same place under all
        settings, that of `solve` with the image's key folded with k + 1.
      hyper: arrays `[S, rounds]`, as from `grid`, or `[S, B, rounds]` where settings differ by
        image.
      losses, held_out: as for `solve`; `held_out` is that of one image, for all.
      restarts: `K`.
      batch_size: runs in a program, filled up with the last one; all of them without.
      progress: called as `progress(runs_done, runs)` after every program.

    Raises:
      InputError: as `solve`.
    """
    images = jax.tree.leaves(measurement)[0].shape[0]
    keys = image_keys(key, images)
    count = jax.tree.leaves(hyper)[0].shape[0]
    if hyper.learning_rate.ndim == 2:
        hyper = jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], images, 1), hyper)
    shape = (count, restarts, images)
    runs = count * restarts * images
    size = batch_size or runs
    found: list[Runs] = []
    for first in range(0, runs, size):
        these = np.minimum(np.arange(first, first + size), runs - 1)
        s, k, b = np.unravel_index(these, shape)
        last = solve(
            generator,
            operator,
            jax.tree.map(lambda y, b=b: y[b], measurement),
            jax.vmap(jax.random.fold_in)(keys[b], jnp.asarray(k + 1)),
            schedule,
            jax.tree.map(lambda leaf, s=s, b=b: leaf[s, b], hyper),
            losses=losses,
            held_out=_repeated(held_out, size),
            mesh=batch_mesh(size),
        )[-1]
        found.append(Runs(*map(np.asarray, (last.image, last.error, last.found_at))))
        if progress is not None:
            progress(min(first + size, runs), runs)
    joined = (np.concatenate(parts)[:runs] for parts in zip(*found, strict=True))
    return Runs(*(a.reshape(*shape, *a.shape[1:]) for a in joined))


def _repeated(held_out: Measurement | None, size: int) -> Measurement | None:
    return jax.tree.map(lambda h: jnp.broadcast_to(h, (size, *h.shape)), held_out)
