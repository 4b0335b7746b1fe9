"""The derivatives of the synthesis network, of which some are written by hand, by differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from ilo_jax.stylegan2 import (
    Generator,
    GeneratorConfig,
    State,
    apply_layers,
    derive,
    initial_state,
    random_generator,
    synthesize,
)

many_programs = True

CONFIG = GeneratorConfig(channels=(6, 5), w_dim=7, z_dim=7, mapping_layers=1, image_channels=2)


def make(rng: np.random.Generator, config: GeneratorConfig = CONFIG) -> Generator:
    """As `random_generator`, without the time to compile it."""
    shapes = jax.eval_shape(lambda: random_generator(config, jax.random.key(0)))
    arrays = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape) / 3), shapes)
    return arrays.replace(synthesis=derive(arrays.synthesis["params"]))


def is_kernel(path) -> bool:
    """Of a 3x3 convolution."""
    return len(path) == 2 and path[0].key.startswith("layers_") and path[1].key == "kernel"


def with_params(generator: Generator, params: dict) -> Generator:
    """With new weights, but for the derived ones."""
    synthesis = generator.synthesis | {"params": params}
    return dataclasses.replace(generator, synthesis=synthesis)


def test_derivatives_are_slopes():
    """In float64, first and second ones in each mode, of latents, noise maps (one an image, one for
    all, one without batch axis), features and all weights that are not frozen, along a random
    direction for each of them."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        generator = make(rng)
        kernels = jax.tree_util.tree_map_with_path(
            lambda path, a: a if is_kernel(path) else None, generator.synthesis["params"]
        )
        free = jax.tree_util.tree_map_with_path(
            lambda path, a: None if is_kernel(path) else a, generator.synthesis["params"]
        )
        latents = rng.normal(size=(2, CONFIG.num_latents, CONFIG.w_dim))
        noises = [
            rng.normal(size=(*batch, *a.shape))
            for batch, a in zip(((2,), (1,), ()), generator.noises, strict=True)
        ]
        features = rng.normal(size=(2, 4, 4, 6))
        readout = rng.normal(size=(2, *CONFIG.image_shape))

        def f(variables):
            features, latents, noises, free = variables
            params = jax.tree.map(
                lambda a, b: a if b is None else b, free, kernels, is_leaf=lambda a: a is None
            )
            moved = with_params(generator, params)
            state = State(initial_state(moved, (2,)).features + features, None)
            state = apply_layers(moved, state, latents, noises, 0, CONFIG.num_layers)
            assert state.rgb is not None
            return jnp.sum(readout * state.rgb) + jnp.sum(state.rgb**2)

        variables = (features, latents, noises, free)
        leaves, tree = jax.tree.flatten(variables)
        count = len(leaves)
        directions = [np.zeros((count, *np.shape(leaf))) for leaf in leaves]
        for i, leaf in enumerate(leaves):
            directions[i][i] = rng.normal(size=np.shape(leaf))

        @jax.jit
        def results(leaves, directions, t):
            """Value and gradient at `t` along each direction, and their tangents."""

            def along(direction):
                def at(t):
                    moved = [a + t * d for a, d in zip(leaves, direction, strict=True)]
                    return jax.value_and_grad(f)(tree.unflatten(moved))

                return jax.jvp(at, (t,), (jnp.ones_like(t),))

            return jax.vmap(along)(directions)

        (ahead, _), (here, forward), (behind, _) = (
            jax.device_get(results(leaves, directions, t)) for t in (1e-6, 0.0, -1e-6)
        )
        slopes = jax.tree.map(lambda a, b: (a - b) / 2e-6, ahead, behind)
        gradient = jax.tree.map(lambda a: a[0], here[1])
        for a, b in zip(jax.tree.leaves(forward), jax.tree.leaves(slopes), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        for i, leaf in enumerate(jax.tree.leaves(gradient)):
            assert np.abs(leaf).min() > 0
            np.testing.assert_allclose(
                np.vdot(leaf, directions[i][i]), slopes[0][i], rtol=1e-5, atol=1e-5
            )


def test_derivatives_with_respect_to_frozen_kernels_are_refused():
    """Not a silent zero: of the prepared ones, nor of those of which they were prepared."""
    generator = make(np.random.default_rng(0))
    latents = jnp.ones((CONFIG.num_latents, CONFIG.w_dim))
    params = generator.synthesis["params"]

    def of_derived(derived):
        synthesis = {"params": params, "derived": derived}
        return synthesize(dataclasses.replace(generator, synthesis=synthesis), latents)

    def of_params(params):
        return synthesize(with_params(generator, params), latents)

    for f, x in ((of_derived, generator.synthesis["derived"]), (of_params, params)):
        for mode in (jax.jacrev, jax.jacfwd):
            with pytest.raises(TypeError, match="weights of convolutions are frozen"):
                jax.eval_shape(mode(jax.jit(f)), x)


def test_gradient_in_every_transformation_is_the_same():
    rng, devices = np.random.default_rng(0), len(jax.devices())
    generator = make(rng, dataclasses.replace(CONFIG, channels=(6,)))
    latents = jnp.asarray(rng.normal(size=(2 * devices, 2, CONFIG.w_dim)), jnp.float32)
    mesh, spec = Mesh(np.array(jax.devices()), ("batch",)), PartitionSpec("batch")

    def f(latents):
        return jnp.sum(synthesize(generator, latents) ** 2)

    def scanned(latents):
        total, _ = jax.lax.scan(lambda sum, w: (sum + f(w), None), 0.0, latents)
        return total

    @jax.jit
    def gradients(latents):
        g = jax.grad(f)
        return {
            "plain": g(latents),
            "vmap": jax.vmap(g)(latents),
            "scan": jax.grad(scanned)(latents),
            "checkpoint": jax.grad(jax.checkpoint(f))(latents),
            "shard_map": jax.shard_map(g, mesh=mesh, in_specs=spec, out_specs=spec)(latents),
        }

    plain, *others = jax.device_get(gradients(latents)).values()
    size = np.abs(plain).max()
    assert size > 0.1
    for other in others:
        np.testing.assert_allclose(other, plain, rtol=1e-4, atol=1e-4 * size)
