"""The ILO loop (Algorithm 1 in the form of Section 4).

`start`, `enter_round`, `objective` and `step` work on one image; `solve` maps them over a
batch, with one compiled program a round.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ilo_jax.ops import (
    Measurement,
    Operator,
    euclidean_norm,
    project_l1_ball,
    rescale_to_norm,
)
from ilo_jax.solve.losses import geocross, measurement_mse
from ilo_jax.solve.schedule import Cut, HyperParameters, Schedule, ramp
from ilo_jax.stylegan2 import (
    Generator,
    Noises,
    State,
    apply_layers,
    initial_state,
    sample_noises,
)


class Variables(flax.struct.PyTreeNode):
    """What a round optimizes.

    Attributes:
      latents: `[num_latents, w_dim]`, the input of the mapping proxy.
      noises: noise maps `[h, w, 1]` of the layers from the cut up to the round's `noise_maps`.
      features: `[h, w, c]`, the input of the first layer after the cut; None in CSGM's round.
    """

    latents: jax.Array
    noises: Noises
    features: jax.Array | None


class Solution(flax.struct.PyTreeNode):
    """One image's solution between rounds (batch axes in front in what `solve` returns).

    Attributes:
      latents: `[num_latents, w_dim]`.
      noises: all noise maps, one `[h, w, 1]` a layer.
      state: the state of the generator before layer `layer`.
      layer: where the last round cut.
      image: `[H, W, C]`, the generated image with the least measurement error so far.
      error: its measurement MSE.
    """

    latents: jax.Array
    noises: Noises
    state: State
    layer: int = flax.struct.field(pytree_node=False)
    image: jax.Array
    error: jax.Array


class Carry(flax.struct.PyTreeNode):
    """What a step changes: variables, optimizer state, and the best image so far."""

    variables: Variables
    adam: Any
    image: jax.Array
    error: jax.Array


_adam = optax.scale_by_adam()


def start(generator: Generator, key: jax.Array) -> Solution:
    """Random latents and noise maps; no image yet."""
    config = generator.config
    k_latents, k_noises = jax.random.split(key)
    return Solution(
        latents=jax.random.normal(k_latents, (config.num_latents, config.w_dim)),
        noises=sample_noises(k_noises, config),
        state=initial_state(generator),
        layer=0,
        image=jnp.zeros(config.image_shape),
        error=jnp.float32(jnp.inf),
    )


def enter_round(generator: Generator, solution: Solution, cut: Cut) -> Solution:
    """Moves on to the next cut: `z^p = G1(z^k)` (Algorithm 1, line 2).

    The RGB skip summed up below the cut is carried along with the features.
    """
    w = generator.proxy(solution.latents)
    state = apply_layers(generator, solution.state, w, solution.noises, solution.layer, cut.layer)
    return solution.replace(state=state, layer=cut.layer)


def _variables(solution: Solution, cut: Cut) -> Variables:
    return Variables(
        latents=solution.latents,
        noises=solution.noises[cut.layer : cut.noise_maps],
        features=solution.state.features if cut.layer > 0 else None,
    )


def _update(solution: Solution, cut: Cut, variables: Variables) -> Solution:
    features = solution.state.features if variables.features is None else variables.features
    below, above = solution.noises[: cut.layer], solution.noises[max(cut.layer, cut.noise_maps) :]
    return solution.replace(
        latents=variables.latents,
        noises=below + variables.noises + above,
        state=solution.state._replace(features=features),
    )


def objective(
    generator: Generator,
    operator: Operator,
    measurement: Measurement,
    hyper: HyperParameters,
    origin: Solution,
    cut: Cut,
    noise_key: jax.Array | None,
    variables: Variables,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """What a round minimizes, for one image.

    Args:
      hyper: scalars, those of this round.
      origin: the solution at the start of the round.
      noise_key: for SNA: the key of this step's noise; None without.

    Returns:
      The loss, and with it the image and its measurement MSE.
    """
    current = _update(origin, cut, variables)
    w = generator.proxy(current.latents)
    stop = generator.config.num_layers
    image = apply_layers(generator, current.state, w, current.noises, cut.layer, stop).rgb
    assert image is not None
    predicted = operator(image) if noise_key is None else operator.measure(noise_key, image)
    mse = measurement_mse(predicted, measurement)
    loss = hyper.mse * mse + hyper.geocross * geocross(variables.latents[cut.layer :])
    return loss, (image, mse)


def step(
    loss: Callable[[Variables], tuple[jax.Array, tuple[jax.Array, jax.Array]]],
    rate: jax.Array,
    hyper: HyperParameters,
    center: Variables,
    carry: Carry,
) -> tuple[Carry, jax.Array]:
    """One step of projected gradient descent, for one image.

    Args:
      loss: `objective` of the variables.
      rate: learning rate of this step.
      center: the variables at the start of the round, in the middle of the l1 balls.

    Returns:
      The carry, and the measurement MSE before the step.
    """
    gradient, (image, mse) = jax.grad(loss, has_aux=True)(carry.variables)
    updates, adam = _adam.update(gradient, carry.adam)
    variables = jax.tree.map(lambda v, u: v - rate * u, carry.variables, updates)
    better = mse < carry.error
    carry = Carry(
        variables=_constrain(variables, center, hyper),
        adam=adam,
        image=jnp.where(better, image, carry.image),
        error=jnp.where(better, mse, carry.error),
    )
    return carry, mse


def _constrain(variables: Variables, center: Variables, hyper: HyperParameters) -> Variables:
    """Latents and noise maps go back to their spheres (PULSE), then everything into its l1 ball
    around the start of the round (Algorithm 1, line 4)."""

    def sphere(x, x0, axis):
        return rescale_to_norm(x, euclidean_norm(x0, axis), axis)

    def ball(x, x0, radius):
        return x if radius is None else x0 + project_l1_ball(x - x0, radius)

    latents = sphere(variables.latents, center.latents, -1)
    noises = [
        sphere(x, x0, (-3, -2)) for x, x0 in zip(variables.noises, center.noises, strict=True)
    ]
    features = variables.features
    if features is not None and center.features is not None:
        features = ball(features, center.features, hyper.radius_features)
    return Variables(
        latents=ball(latents, center.latents, hyper.radius_latents),
        noises=tuple(
            ball(x, x0, hyper.radius_noises) for x, x0 in zip(noises, center.noises, strict=True)
        ),
        features=features,
    )


def _over_batch(one: Callable, mesh: Mesh | None) -> Callable:
    """`one` image's function over a batch; with a mesh, each device takes its part of it."""
    batched = jax.vmap(one)
    if mesh is None:
        return batched
    spec = PartitionSpec(mesh.axis_names)
    return jax.shard_map(batched, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)


@functools.partial(jax.jit, static_argnames="mesh")
def _start(generator: Generator, keys: jax.Array, mesh: Mesh | None) -> tuple[Solution, jax.Array]:
    def one(key):
        k_start, k_steps = jax.random.split(key)
        return start(generator, k_start), k_steps

    return _over_batch(one, mesh)(keys)


@functools.partial(jax.jit, static_argnames=("cut", "mesh"))
def _begin(
    generator: Generator, solution: Solution, cut: Cut, mesh: Mesh | None
) -> tuple[Solution, Carry]:
    def one(solution):
        solution = enter_round(generator, solution, cut)
        variables = _variables(solution, cut)
        adam = _adam.init(variables)  # pyright: ignore[reportArgumentType]
        return solution, Carry(variables, adam, solution.image, solution.error)

    return _over_batch(one, mesh)(solution)


@functools.partial(jax.jit, static_argnames=("cut", "sna", "count", "mesh"))
def _steps(
    generator: Generator,
    operator: Operator,
    measurement: Measurement,
    hyper: HyperParameters,
    origin: Solution,
    carry: Carry,
    keys: jax.Array,
    index: jax.Array,
    first: jax.Array,
    steps: jax.Array,
    cut: Cut,
    sna: bool,
    count: int,
    mesh: Mesh | None,
) -> tuple[Carry, jax.Array]:
    """`count` steps of round `index`, from step `first` of `steps`."""

    def one(measurement, hyper, origin, carry, key):
        center = _variables(origin, cut)
        hyper = jax.tree.map(lambda leaf: leaf[index], hyper)
        key = jax.random.fold_in(key, index)

        def body(carry, i):
            noise_key = jax.random.fold_in(key, i) if sna else None
            loss = functools.partial(
                objective, generator, operator, measurement, hyper, origin, cut, noise_key
            )
            rate = hyper.learning_rate * ramp(i / steps)
            return step(loss, rate, hyper, center, carry)

        return jax.lax.scan(body, carry, first + jnp.arange(count))

    return _over_batch(one, mesh)(measurement, hyper, origin, carry, keys)


@functools.partial(jax.jit, static_argnames="cut")
def _end(origin: Solution, carry: Carry, cut: Cut) -> Solution:
    solution = _update(origin, cut, carry.variables)
    return solution.replace(image=carry.image, error=carry.error)


def solve(
    generator: Generator,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    schedule: Schedule,
    hyper: HyperParameters,
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
      progress: called as `progress(round, steps_done, mse)` every few steps, `mse` of shape
        `[B]`; without it a round is one program and the whole function can be traced.
      mesh: devices over which the batch is divided evenly; the default device without.

    Returns:
      The solution after each round, with batch axis `B`; the last one's `image` is the
      reconstruction, `[B, H, W, C]`.
    """
    batch = jax.tree.leaves(measurement)[0].shape[0]
    keys = jax.random.split(key, batch) if key.ndim == 0 else key
    hyper = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, len(schedule.rounds))), hyper)
    if mesh is not None:
        generator, operator = jax.device_put(
            (generator, operator), NamedSharding(mesh, PartitionSpec())
        )
        measurement, keys, hyper = jax.device_put(
            (measurement, keys, hyper), NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        )
    solution, keys = _start(generator, keys, mesh)
    solutions = []
    for index, rnd in enumerate(schedule.rounds):
        origin, carry = _begin(generator, solution, rnd.cut, mesh)
        count = rnd.steps if progress is None else _chunk(rnd.steps)
        for first in range(0, rnd.steps, count):
            carry, mse = _steps(
                generator,
                operator,
                measurement,
                hyper,
                origin,
                carry,
                keys,
                jnp.int32(index),
                jnp.int32(first),
                jnp.int32(rnd.steps),
                rnd.cut,
                schedule.sna,
                count,
                mesh,
            )
            if progress is not None:
                progress(index, first + count, mse[:, -1])
        solution = _end(origin, carry, rnd.cut)
        solutions.append(solution)
    return solutions


def batch_mesh(batch: int) -> Mesh | None:
    """The most local devices that a batch can be divided over evenly; None if that is one."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if batch % n == 0)
    return None if count == 1 else Mesh(np.array(devices[:count]), ("batch",))


def _chunk(steps: int, most: int = 10) -> int:
    """Largest divisor of `steps` that is at most `most`: every chunk runs the same program."""
    return max(d for d in range(1, most + 1) if steps % d == 0)
