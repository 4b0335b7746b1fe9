"""A batch of images from their measurements: the door of the library.

`reconstruct` is all of it; `init` and `steps` are for those who log, resume, or look inside.
"""

import functools
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import Mesh

from ilo_jax.errors import InputError
from ilo_jax.ops import Measurement, Operator
from ilo_jax.priors import Prior
from ilo_jax.solve.batch import each_determined, init_batch, put, run_steps, scan_steps
from ilo_jax.solve.checks import (
    check_images,
    check_method,
    check_problem,
    check_variables,
    image_keys,
)
from ilo_jax.solve.loop import Problem, Search, Solution
from ilo_jax.solve.losses import Data
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods import ilo, usual
from ilo_jax.solve.variables import Variables

CHUNK = 10
"""Steps between two reports of progress."""

OK, NOT_FINITE = 0, 1
"""What `Result.status` says of an image."""


class Result(flax.struct.PyTreeNode):
    """What came of `B` images.

    Attributes:
      image: `[B, H, W, C]`, the reconstructions, not clipped; 0 where none was finite.
      error: `[B]`, their measurement errors; infinite where none was finite.
      found_at: `[B]`, the steps at which they were found.
      status: `[B]`, `OK` or `NOT_FINITE`: no image had a finite error.
      x: leaves `[B, ...]`, the variables that give the images back: `image(prior, x)`.
      rounds: the best images at the end of each round; of CSGM's, `rounds[0]`.
    """

    image: jax.Array
    error: jax.Array
    found_at: jax.Array
    status: jax.Array
    x: Variables
    rounds: tuple[Solution, ...]


class Run(flax.struct.PyTreeNode):
    """A search under way, between two steps.

    Attributes:
      problem: leaves of `data`, `targets`, `center` and `determined` have the batch axis in front;
        those of `operator` and `method` may.
      search: leaves `[B, ...]`.
      t: steps taken, over all rounds.
    """

    problem: Problem
    search: Search
    t: jax.Array


TakeSteps = Callable[[Run, int, Mesh | None], Run]
"""As `steps`."""


def reconstruct(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    method: Method | None = None,
    *,
    reference: jax.Array | None = None,
    held_out: Measurement | None = None,
    initial: Variables | None = None,
    center: Variables | None = None,
    progress: Callable[[int, jax.Array], None] | None = None,
    mesh: Mesh | None = None,
    take_steps: TakeSteps | None = None,
) -> Result:
    """Reconstructs a batch of images from their measurements (Section 4).

    It may be traced (`jit`, `vmap`, `grad` and `jvp`), where it is one `scan` of
    `method.max_steps` steps; else all runs of a kind share a program, whatever their steps.

    Args:
      prior: the generator.
      operator: the forward operator; its leaves may have a batch axis.
      measurement: what it measured; `B` images along the first axis of every leaf.
      key: one key, or `[B]` of them; an image's result depends on its own key alone.
      method: by default `usual(prior, operator)`: ILO with the generator's radii, from the mean of
        W where next to nothing is measured; `ilo(prior)` from `initial`.
      reference: `[B, H, W, C]`, for the term `Reference`.
      held_out: entries that no term sees and that judge the images instead (`Operator.hold_out`);
        `B` along the first axis of every leaf.
      initial: leaves `[B, ...]`, where to start from instead of where the method says.
      center: leaves `[B, ...]`, in the middle of all balls instead of where a round begins.
      progress: called as `progress(steps, error)` after every program, `error` `[B]` the least so
        far; not when traced.
      mesh: devices over which the batch is divided evenly; the default device without.
      take_steps: instead of `steps`, such as what finds their program where it was kept; not when
        traced.

    Raises:
      InputError: shapes, types or keys that do not go together, or a term that is not defined for
        this generator, operator or measurement.
    """
    if method is None and initial is not None:
        method = ilo(prior)  # begins there
    elif method is None:
        method = usual(prior, operator, check_problem(prior, operator, measurement))
    run = init(
        prior,
        operator,
        measurement,
        key,
        method,
        reference=reference,
        held_out=held_out,
        initial=initial,
        center=center,
        mesh=mesh,
    )
    if method.max_steps is None:
        raise InputError("method: max_steps None; expected the number of steps")
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(run)):
        search = scan_steps(run.problem, run.search, method.max_steps)
        return finish(run.replace(search=search, t=run.t + method.max_steps))
    while (taken := int(run.t)) < method.max_steps:
        run = (take_steps or steps)(run, CHUNK, mesh)
        if progress is not None:
            progress(min(taken + CHUNK, method.max_steps), run.search.best.error)
    return finish(run)


def init(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    method: Method,
    *,
    reference: jax.Array | None = None,
    held_out: Measurement | None = None,
    initial: Variables | None = None,
    center: Variables | None = None,
    mesh: Mesh | None = None,
) -> Run:
    """Before the first step; arguments as for `reconstruct`."""
    batch = check_problem(prior, operator, measurement)
    keys = image_keys(key, batch)
    check_method(method, batch)
    if reference is not None:
        check_images("reference", reference, (batch, *prior.image_shape))
    given = {name: x for name, x in (("initial", initial), ("center", center)) if x is not None}
    for name, x in given.items():
        check_variables(name, x, prior, batch)
    cuts = sorted({cut for x in given.values() for cut in x.v})
    known = not (method.by_image or isinstance(method.start, Tracer))
    at = int(method.start) if known else None
    # The number of steps is not in the program.
    method = method.with_cuts(cuts).replace(max_steps=None)
    data = Data(measurement, reference, held_out)
    asked = method.growth is not None or method.objective.asks_what_is_determined
    shares = each_determined(operator, measurement, prior.facts) if asked else None
    problem = Problem(prior, operator, method, data, (), center, shares)
    problem = problem.replace(method=method.replace(sna=problem.sna))  # asked for or not, as one
    problem, keys, initial = put(problem, keys, initial, mesh)
    targets, search = init_batch(problem, keys, initial, at, mesh)
    return Run(problem.replace(targets=targets), search, jnp.int32(0))


def step(run: Run, mesh: Mesh | None = None) -> Run:
    """One step of every image."""
    return steps(run, 1, mesh)


def steps(run: Run, count: int, mesh: Mesh | None = None) -> Run:
    """`count` steps; nothing changes any more after the last of the method's."""
    search = run_steps(run.problem, run.search, run.t, jnp.int32(count), mesh)
    return run.replace(search=search, t=run.t + count)


def finish(run: Run) -> Result:
    """What came of it."""
    return _finish(run.problem.method, run.search)


@jax.jit
def _finish(method: Method, search: Search) -> Result:
    best = search.best
    batch = best.error.shape[0]
    ran = functools.partial(_last_round, rounds=method.rounds)
    # A round that had no step ends where the one before it did.
    last = (
        jax.vmap(ran)(method.steps, method.stop)
        if method.by_image
        else jnp.broadcast_to(ran(method.steps, method.stop), (batch, method.rounds))
    )
    rounds = jax.tree.map(lambda leaf: jax.vmap(lambda a, i: a[i])(leaf, last), search.rounds)
    return Result(
        image=best.image,
        error=best.error,
        found_at=best.found_at,
        status=jnp.where(jnp.isfinite(best.error), OK, NOT_FINITE).astype(jnp.int32),
        x=search.best_x,
        rounds=tuple(
            jax.tree.map(lambda leaf, r=r: leaf[:, r], rounds) for r in range(method.rounds)
        ),
    )


def _last_round(steps: jax.Array, stop: jax.Array, rounds: int) -> jax.Array:
    """For each round the last one up to it that had a step."""
    ends = jnp.cumsum(steps, dtype=jnp.int32)
    ran = (steps > 0) & (ends - steps < stop)
    return jax.lax.cummax(jnp.where(ran, jnp.arange(rounds, dtype=jnp.int32), 0))
