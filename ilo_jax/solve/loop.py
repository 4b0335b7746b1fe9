"""The ILO loop (Algorithm 1).

`start`, `objective`, `range_distance` and `step` work on one image; `solve` maps them over a
batch, with one compiled program a round.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ilo_jax.ops import Measurement, Operator, project_l1_ball
from ilo_jax.solve.cuts import Cut, RangeProjection, Solution, Variables, get_code, run
from ilo_jax.solve.losses import LOSSES, Data, Loss, Target, View, choose
from ilo_jax.solve.schedule import HyperParameters, Schedule, Search
from ilo_jax.solve.spaces import Sphere
from ilo_jax.stylegan2 import Generator, initial_state

T = TypeVar("T")


class Problem(flax.struct.PyTreeNode):
    """What all images of a batch share: prior, forward operator `A`, and terms of the objective."""

    generator: Generator
    operator: Operator
    losses: dict[str, Loss]


class Carry(flax.struct.PyTreeNode):
    """What a step changes: variables, optimizer state, and the best image so far."""

    variables: Variables
    adam: Any
    image: jax.Array
    error: jax.Array
    found_at: jax.Array


_adam = optax.scale_by_adam()


def start(generator: Generator, space: Sphere, key: jax.Array) -> Solution:
    """Where a run starts from; no image yet."""
    latents, noises = space.start(generator, key)
    return Solution(
        latents=latents,
        noises=noises,
        states={0: initial_state(generator)},
        image=jnp.zeros(generator.config.image_shape),
        error=jnp.float32(jnp.inf),
        found_at=jnp.int32(0),
    )


def objective(
    problem: Problem,
    search: Search,
    cut: Cut,
    hyper: HyperParameters,
    data: Data,
    targets: dict[str, Target],
    origin: Solution,
    key: jax.Array,
    t: jax.Array,
    variables: Variables,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """What a round minimizes, for one image (Section 4.2): the weighted sum of the losses.

    Args:
      hyper: scalars, those of this round.
      targets: what the losses prepared, by name.
      origin: the solution at the start of the round.
      key: of this step's noise.
      t: fraction of the round that is done.

    Returns:
      The loss, and with it the image and its measurement error, where there are any over the
      entries held out.
    """
    generator, operator, space = problem.generator, problem.operator, search.space
    k_explore, k_noise = jax.random.split(key)
    latents = space.explore(generator, variables.latents, k_explore, t)
    current = cut.update(generator, space, origin, variables.replace(latents=latents))
    stop = generator.config.num_layers
    image = run(generator, space, current, current.state, cut.layer, stop).rgb
    assert image is not None
    predicted = operator.measure(k_noise, image) if search.sna else operator(image)
    view = View(
        operator=operator,
        data=data,
        image=image,
        predicted=predicted,
        latents=cut.latents_in_use(variables.latents),
        w=cut.latents_in_use(space.to_w(generator, latents)),
        noises=current.noises,
    )
    terms = [
        weight * problem.losses[name](targets[name], view) for name, weight in hyper.weights.items()
    ]
    error = operator.error(predicted, data.measurement, data.held_out)
    return sum(terms, start=jnp.float32(0)), (image, error)


def range_distance(
    generator: Generator,
    space: Sphere,
    cut: RangeProjection,
    origin: Solution,
    variables: Variables,
) -> tuple[jax.Array, None]:
    """What a projection back to the range minimizes, for one image: the mean of
    `(G1(z^k) - z^p)^2` (Algorithm 1, line 5)."""
    found = cut.update(generator, space, origin, variables)
    code = get_code(generator, cut.layer, found.state)
    return jnp.mean((code - get_code(generator, cut.layer, origin.state)) ** 2), None


def step(
    loss: Callable[[Variables], tuple[jax.Array, tuple[jax.Array, jax.Array] | None]],
    rate: jax.Array,
    hyper: HyperParameters,
    space: Sphere,
    center: Variables,
    taken: jax.Array,
    carry: Carry,
) -> tuple[Carry, jax.Array]:
    """One step of projected gradient descent, for one image.

    Args:
      loss: `objective` or `range_distance` of the variables.
      rate: learning rate of this step.
      center: the variables at the start of the round, in the middle of the l1 balls.
      taken: steps before this one, counted over all rounds.

    Returns:
      The carry, and the error before the step: of the measurement, or the distance to the range.
    """
    (value, seen), gradient = jax.value_and_grad(loss, has_aux=True)(carry.variables)
    updates, adam = _adam.update(gradient, carry.adam)
    variables = jax.tree.map(lambda v, u: v - rate * u, carry.variables, updates)
    carry = carry.replace(variables=_constrain(variables, center, hyper, space), adam=adam)
    if seen is None:
        return carry, value
    image, error = seen
    better = error < carry.error
    if hyper.stop is not None:
        better &= taken < hyper.stop
    best = jax.tree.map(
        lambda new, old: jnp.where(better, new, old),
        (image, error, taken),
        (carry.image, carry.error, carry.found_at),
    )
    return carry.replace(image=best[0], error=best[1], found_at=best[2]), error


def _constrain(
    variables: Variables, center: Variables, hyper: HyperParameters, space: Sphere
) -> Variables:
    """Latents and noise maps go back to where they may be, then everything into its l1 ball
    around the start of the round (Algorithm 1, line 4)."""

    def ball(x, x0, radius):
        return x if radius is None else x0 + project_l1_ball(x - x0, radius)

    latents = space.constrain_latents(variables.latents, center.latents)
    noises = map(space.constrain_noise, variables.noises, center.noises)
    code = variables.code
    if code is not None and center.code is not None:
        code = ball(code, center.code, hyper.radius_code)
    return Variables(
        latents=ball(latents, center.latents, hyper.radius_latents),
        noises=tuple(
            ball(x, x0, hyper.radius_noises) for x, x0 in zip(noises, center.noises, strict=True)
        ),
        code=code,
    )


def _over_batch(one: Callable, mesh: Mesh | None) -> Callable:
    """`one` image's function over a batch; with a mesh, each device takes its part of it."""
    return _over_devices(jax.vmap(one), mesh)


def _over_devices(batched: Callable, mesh: Mesh | None) -> Callable:
    """A batch's function; with a mesh, each device takes its part of the batch."""
    if mesh is None:
        return batched
    spec = PartitionSpec(mesh.axis_names)
    return jax.shard_map(batched, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)


@functools.partial(jax.jit, static_argnames=("space", "mesh"))
def _start(
    generator: Generator, space: Sphere, keys: jax.Array, mesh: Mesh | None
) -> tuple[Solution, jax.Array]:
    def one(key):
        k_start, k_steps = jax.random.split(key)
        return start(generator, space, k_start), k_steps

    return _over_batch(one, mesh)(keys)


@functools.partial(jax.jit, static_argnames="mesh")
def _prepare(problem: Problem, data: Data, mesh: Mesh | None) -> dict[str, Target]:
    def one(data):
        return {name: loss.prepare(problem.operator, data) for name, loss in problem.losses.items()}

    return _over_batch(one, mesh)(data)


@functools.partial(jax.jit, static_argnames=("space", "cut", "mesh"))
def _begin(
    generator: Generator, space: Sphere, solution: Solution, cut: Cut, mesh: Mesh | None
) -> tuple[Solution, Carry]:
    def one(solution):
        solution = cut.enter(generator, space, solution)
        variables = cut.variables(generator, solution)
        adam = _adam.init(variables)  # pyright: ignore[reportArgumentType]
        carry = Carry(variables, adam, solution.image, solution.error, solution.found_at)
        return solution, carry

    return _over_batch(one, mesh)(solution)


@jax.jit
def _of_round(hyper: HyperParameters, index: jax.Array) -> HyperParameters:
    """`[B, rounds]` -> `[B]`: the number of rounds is not in the program of one."""
    return jax.tree.map(lambda leaf: leaf[:, index], hyper)


@functools.partial(jax.jit, static_argnames=("search", "cut", "count", "mesh"))
def _steps(
    problem: Problem,
    data: Data,
    targets: dict[str, Target],
    hyper: HyperParameters,
    origin: Solution,
    carry: Carry,
    keys: jax.Array,
    index: jax.Array,
    first: jax.Array,
    steps: jax.Array,
    before: jax.Array,
    search: Search,
    cut: Cut,
    count: int,
    mesh: Mesh | None,
) -> tuple[Carry, jax.Array]:
    """`count` steps of round `index`, whose `hyper` are `[B]`, from step `first` of `steps`;
    `before` in earlier rounds. The carry, and the batch's errors before the last of them."""

    def one(data, targets, hyper, origin, center, key, carry, i):
        t = i / steps
        if isinstance(cut, RangeProjection):
            loss = functools.partial(range_distance, problem.generator, search.space, cut, origin)
        else:
            k_step = jax.random.fold_in(key, i)
            loss = functools.partial(
                objective, problem, search, cut, hyper, data, targets, origin, k_step, t
            )
        rate = hyper.learning_rate * search.ramp(t)
        return step(loss, rate, hyper, search.space, center, before + i, carry)

    def scan(data, targets, hyper, origin, carry, keys):
        center = jax.vmap(functools.partial(cut.variables, problem.generator))(origin)
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
        # The scan around the map, not in it: a scan's body is traced once more to be mapped.
        mapped = jax.vmap(one, in_axes=(0, 0, 0, 0, 0, 0, 0, None))
        body = functools.partial(mapped, data, targets, hyper, origin, center, keys)
        carry, error = jax.lax.scan(body, carry, first + jnp.arange(count))
        return carry, error[-1]

    return _over_devices(scan, mesh)(data, targets, hyper, origin, carry, keys)


@functools.partial(jax.jit, static_argnames=("space", "cut", "mesh"))
def _end(
    generator: Generator, space: Sphere, origin: Solution, carry: Carry, cut: Cut, mesh: Mesh | None
) -> Solution:
    def one(origin, carry):
        solution = cut.update(generator, space, origin, carry.variables)
        return solution.replace(image=carry.image, error=carry.error, found_at=carry.found_at)

    return _over_batch(one, mesh)(origin, carry)


def solve(
    generator: Generator,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    schedule: Schedule,
    hyper: HyperParameters,
    *,
    losses: Mapping[str, Loss] | None = None,
    reference: jax.Array | None = None,
    held_out: Measurement | None = None,
    initial: Solution | None = None,
    progress: Callable[[int, int, jax.Array], None] | None = None,
    mesh: Mesh | None = None,
) -> list[Solution]:
    """Reconstructs a batch of images from their measurements (Section 4).

    Args:
      generator: the prior.
      operator: the forward operator, the same for the whole batch.
      measurement: what it measured; `B` images along the first axis of every leaf.
      key: one key, or `[B]` of them; an image's result depends on its own key alone.
      schedule: static.
      hyper: arrays `[rounds]`, or `[B, rounds]`.
      losses: terms of the objective by the names of `hyper.weights`; by default those of `LOSSES`.
      reference: `[B, H, W, C]`, for the loss `reference`.
      held_out: entries that no loss sees and that judge the images instead, `Operator.hold_out`;
        `B` along the first axis of every leaf.
      initial: where to start from instead of at random, such as the last frame's solution.
      progress: called as `progress(round, steps_done, error)` every few steps, `error` of shape
        `[B]`; without it a round is one program and the whole function can be traced.
      mesh: devices over which the batch is divided evenly; the default device without.

    Returns:
      The solution after each round, with batch axis `B`; the last one's `image` is the
      reconstruction, `[B, H, W, C]`.

    Raises:
      InputError: a loss that is not there, or not defined for this operator.
    """
    batch = jax.tree.leaves(measurement)[0].shape[0]
    keys = image_keys(key, batch)
    hyper = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, len(schedule.rounds))), hyper)
    if losses is None:
        losses = {name: make() for name, make in choose(hyper.weights, LOSSES).items()}
    problem = Problem(generator, operator, choose(hyper.weights, losses))
    data = Data(measurement, reference, held_out)
    if mesh is not None:
        problem = jax.device_put(problem, NamedSharding(mesh, PartitionSpec()))
        data, keys, hyper, initial = jax.device_put(
            (data, keys, hyper, initial), NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        )
    generator, space = problem.generator, schedule.search.space
    solution, keys = _start(generator, space, keys, mesh)
    if initial is not None:
        solution = initial.replace(error=solution.error, found_at=solution.found_at)
    targets = _prepare(problem, data, mesh)
    solutions = []
    before = 0
    for index, rnd in enumerate(schedule.rounds):
        origin, carry = _begin(generator, space, solution, rnd.cut, mesh)
        of_round = _of_round(hyper, jnp.int32(index))
        if not rnd.cut.has_code:
            of_round = of_round.replace(radius_code=None)
        count = rnd.steps if progress is None else _chunk(rnd.steps)
        for first in range(0, rnd.steps, count):
            carry, error = _steps(
                problem,
                data,
                targets,
                of_round,
                origin,
                carry,
                keys,
                jnp.int32(index),
                jnp.int32(first),
                jnp.int32(rnd.steps),
                jnp.int32(before),
                schedule.search,
                rnd.cut,
                count,
                mesh,
            )
            if progress is not None:
                progress(index, first + count, error)
        solution = _end(generator, space, origin, carry, rnd.cut, mesh)
        before += rnd.steps
        solutions.append(solution)
    return solutions


def image_keys(key: jax.Array, images: int) -> jax.Array:
    """`[images]` keys, of one key or of as many."""
    return jax.random.split(key, images) if key.ndim == 0 else key


def stack(trees: Iterable[T]) -> T:
    """A batch of equal pytrees: their arrays along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def batch_mesh(batch: int) -> Mesh | None:
    """The most local devices that a batch can be divided over evenly; None if that is one."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if batch % n == 0)
    return None if count == 1 else Mesh(np.array(devices[:count]), ("batch",))


def _chunk(steps: int, most: int = 10) -> int:
    """Largest divisor of `steps` that is at most `most`: every chunk runs the same program."""
    return max(d for d in range(1, most + 1) if steps % d == 0)
