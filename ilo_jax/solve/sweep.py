"""Many methods at once: methods x restarts x images in the batch of one program.

Depth, cuts, steps, radii, rates and weights are numbers of a method, so all of them may differ;
where they do, what a `cond` leaves out of a plain run is computed (docs/scale.md).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.ops import Measurement, Operator, batch_axes
from ilo_jax.priors import Prior
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.solve.checks import image_keys
from ilo_jax.solve.method import Method, align
from ilo_jax.solve.reconstruct import reconstruct


class Runs(NamedTuple):
    """What came of a sweep: arrays with axes `[methods, restarts, images]` in front.

    Attributes:
      image: `[S, K, B, H, W, C]`, the one with the least `error`.
      error: the measurement error, over the entries held out if there are any.
      found_at: its step, counted over all rounds.
    """

    image: np.ndarray
    error: np.ndarray
    found_at: np.ndarray


def stack(methods: Sequence[Method]) -> Method:
    """Methods along a new first axis of every number: `[S, rounds]`. The terms of the objective
    are those of the first."""
    first, *others = align(methods)
    return first.map(lambda *leaves: jnp.stack(leaves), *others)


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

    Raises:
      InputError: as `reconstruct` and `align`.
    """
    images = operator.check_measurement(measurement)
    keys = image_keys(key, images)
    method = stack([m.for_images(images) for m in align(methods)])  # [S, B, rounds]
    shape = (len(methods), restarts, images)
    runs = len(methods) * restarts * images
    size = batch_size or runs
    axes = batch_axes(operator, images)
    found: list[Runs] = []
    for first in range(0, runs, size):
        these = np.minimum(np.arange(first, first + size), runs - 1)
        s, k, b = (jnp.asarray(i) for i in np.unravel_index(these, shape))
        result = reconstruct(
            prior,
            _take(operator, axes, b),
            jax.tree.map(lambda y, b=b: y[b], measurement),
            jax.vmap(jax.random.fold_in)(keys[b], k + 1),
            _take(method, method.number_axes(), (s, b)),
            held_out=jax.tree.map(lambda h, b=b: h[b], held_out),
            mesh=batch_mesh(size),
        )
        found.append(Runs(*map(np.asarray, (result.image, result.error, result.found_at))))
        if progress is not None:
            progress(min(first + size, runs), runs)
    joined = (np.concatenate(parts)[:runs] for parts in zip(*found, strict=True))
    return Runs(*(a.reshape(*shape, *a.shape[1:]) for a in joined))


def _take(tree, axes, index):
    """The chosen elements along the leading axis or axes of those leaves that have them."""
    return jax.tree.map(
        lambda axis, leaf: leaf if axis is None else leaf[index],
        axes,
        tree,
        is_leaf=lambda axis: axis is None,
    )
