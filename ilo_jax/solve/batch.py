"""The loop over a batch: a step mapped over images and divided over devices."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ilo_jax.ops import (
    Determined,
    Measurement,
    Operator,
    batch_axes,
    determined_share,
    map_images,
    repeats,
)
from ilo_jax.priors import Facts
from ilo_jax.solve import loop
from ilo_jax.solve.loop import Problem, Search
from ilo_jax.solve.variables import Variables


def batch_mesh(batch: int) -> Mesh | None:
    """The most local devices that a batch can be divided over evenly; None if that is one."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if batch % n == 0)
    return None if count == 1 else Mesh(np.array(devices[:count]), ("batch",))


def put(
    problem: Problem, keys: jax.Array, initial: Variables | None, mesh: Mesh | None
) -> tuple[Problem, jax.Array, Variables | None]:
    """On the devices of a mesh: what has a batch axis in parts, the rest on each of them. The
    method's numbers on the default device without."""
    if mesh is None:
        return problem.replace(method=problem.method.map(jax.device_put)), keys, initial
    of_problem, *_ = shardings_of(problem, mesh)
    return jax.device_put(problem, of_problem), *jax.device_put((keys, initial), over_batch(mesh))


def shardings_of(problem: Problem, mesh: Mesh) -> tuple[Any, ...]:
    """Of the arguments of `run_steps`, each for everything below it."""
    of_problem = _specs(_problem_axes(problem), functools.partial(NamedSharding, mesh))
    whole = NamedSharding(mesh, PartitionSpec())
    return of_problem, over_batch(mesh), whole, whole


def over_batch(mesh: Mesh) -> NamedSharding:
    """An equal part of the batch on each device."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


@functools.partial(jax.jit, static_argnames="facts")
def determined(operator: Operator, facts: Facts, repeats: jax.typing.ArrayLike = 1) -> Determined:
    """Of one image what its measurement determines (`ops.determined_share`); a program for itself,
    whatever the batch."""
    return determined_share(operator, facts.residual, repeats, grey=facts.grey)


@functools.partial(jax.jit, static_argnames="grey")
def each_repeats(operator: Operator, measurement: Measurement, grey: bool) -> jax.Array:
    """`[B]`, `ops.repeats` of each image."""
    return map_images(lambda a, y: repeats(a, y, grey=grey), operator, measurement)


def each_determined(operator: Operator, measurement: Measurement, facts: Facts) -> Determined:
    """`[B]`, of each image."""
    batch = len(jax.tree.leaves(measurement)[0])
    axes = batch_axes(operator, batch)
    channels = operator.image_shape[-1] if facts.grey and operator.measures_image else 1
    may_repeat = operator.is_noisy and channels > 1
    times = each_repeats(operator, measurement, facts.grey) if may_repeat else None
    if jax.tree.leaves(axes):
        times = jnp.ones(batch) if times is None else times
        return jax.vmap(lambda a, n: determined(a, facts, n), (axes, 0))(operator, times)
    once = determined(operator, facts)  # the same for all
    if times is None:
        return jax.tree.map(lambda share: jnp.broadcast_to(share, (batch,)), once)
    often = determined(operator, facts, channels)
    return jax.tree.map(lambda a, b: jnp.where(times > 1, a, b), often, once)


# What is not used is kept, so that the state is committed to the devices of the weights, as it is
# after every step: else the second call of `run_steps` would compile again.
@functools.partial(jax.jit, static_argnames=("at", "mesh"), keep_unused=True)
def init_batch(
    problem: Problem,
    keys: jax.Array,
    initial: Variables | None,
    at: int | None,
    mesh: Mesh | None,
) -> tuple[Any, Search]:
    """What the terms of the objective prepared, and the state before the first step."""

    def one(problem: Problem, key: jax.Array, initial: Variables | None) -> tuple[Any, Search]:
        prior, method = problem.prior, problem.method
        targets = method.objective.prepare(prior, problem.operator, problem.data)
        return targets, loop.start(prior, method, key, initial, at)

    axes = (_problem_axes(problem), 0, None if initial is None else 0)
    return _over_devices(jax.vmap(one, axes), axes, mesh)(problem, keys, initial)


@functools.partial(jax.jit, static_argnames="mesh")
def run_steps(
    problem: Problem, search: Search, first: jax.Array, count: jax.Array, mesh: Mesh | None
) -> Search:
    """`count` steps, which is not in the program, from step `first` on."""

    def run(problem: Problem, search: Search, first: jax.Array, count: jax.Array) -> Search:
        method, last = problem.method, first + count
        if method.by_image:
            body = _mapped(problem, _step_of_image)
            return jax.lax.fori_loop(first, last, lambda t, search: body(search, t), search)
        last = jnp.minimum(last, method.stop)
        begin, step = (_mapped(problem, f) for f in (loop.begin_if_first, loop.step))

        def rest_of_round(carry: tuple[jax.Array, Search]) -> tuple[jax.Array, Search]:
            t, search = carry
            r, i = method.position(t)
            end = jnp.minimum(t + method.steps[r] - i, last)
            search = begin(search, t)
            return end, jax.lax.fori_loop(t, end, lambda t, search: step(search, t), search)

        return jax.lax.while_loop(lambda carry: carry[0] < last, rest_of_round, (first, search))[1]

    axes = (_problem_axes(problem), 0, None, None)
    return _over_devices(run, axes, mesh)(problem, search, first, count)


def scan_steps(problem: Problem, search: Search, count: int) -> Search:
    """The same from the first step on, so that it can be differentiated: a run keeps its states,
    and computes each step again."""
    body = jax.checkpoint(_mapped(problem, _step_of_image), prevent_cse=False)

    def step(search: Search, t: jax.Array) -> tuple[Search, None]:
        return body(search, t), None

    return jax.lax.scan(step, search, jnp.arange(count, dtype=jnp.int32))[0]


def _step_of_image(problem: Problem, search: Search, t: jax.Array) -> Search:
    """A step with whatever belongs to it, nothing if the method has stopped: for images whose
    rounds begin and end at different steps."""
    after = loop.step(problem, loop.begin_if_first(problem, search, t), t)
    return loop.choose(t < problem.method.stop, after, search)


def _mapped(
    problem: Problem, one: Callable[[Problem, Search, jax.Array], Search]
) -> Callable[[Search, jax.Array], Search]:
    """One image's function over a batch. Loops are around the map, not in it, since a loop's body
    is traced once more to be mapped."""
    mapped = jax.vmap(one, (_problem_axes(problem), 0, None))
    return lambda search, t: mapped(problem, search, t)


def _problem_axes(problem: Problem) -> Any:
    """Which leaves of a problem have a batch axis, for `jax.vmap`."""
    batch = jax.tree.leaves(problem.data)[0].shape[0]
    return Problem(
        prior=None,  # pyright: ignore[reportArgumentType]
        operator=batch_axes(problem.operator, batch),
        method=problem.method.axes(),
        data=0,  # pyright: ignore[reportArgumentType]
        targets=0,  # pyright: ignore[reportArgumentType]
        center=None if problem.center is None else 0,  # pyright: ignore[reportArgumentType]
        determined=None if problem.determined is None else 0,  # pyright: ignore[reportArgumentType]
    )


def _specs(axes: Any, make: Callable[[PartitionSpec], Any]) -> Any:
    """Axes of `jax.vmap` as shardings."""
    return jax.tree.map(
        lambda axis: make(PartitionSpec() if axis is None else PartitionSpec("batch")),
        axes,
        is_leaf=lambda axis: axis is None,
    )


def _over_devices(batched: Callable, axes: Any, mesh: Mesh | None) -> Callable:
    """A batch's function; with a mesh, each device takes its part of the batch."""
    if mesh is None:
        return batched
    specs = _specs(axes, lambda spec: spec)
    return jax.shard_map(
        batched, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("batch"), check_vma=False
    )
