"""Derivatives through a whole reconstruction, through a prior, and with respect to weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import (
    KEYS,
    LATENT,
    MLP,
    OPERATOR,
    SHAPE,
    assert_close,
    dense,
    starts,
    stylegan2,
    truth,
)

from ilo_jax.ops import Identity
from ilo_jax.priors import Sequential
from ilo_jax.solve import Method, Round, Variables, csgm, image, reconstruct

Y = OPERATOR(truth())
METHOD = Method.create(
    MLP,
    [Round(3, inputs=(0, 3)), Round(4, inputs=(1, 3), deviation=1)],
    keep="last",
    constraint="sphere",
)


@jax.jit
def loss(measurement, rate, radius):
    v = {1: jnp.stack([jnp.float32(jnp.inf), radius])}
    method = METHOD.replace(
        rate=METHOD.rate * rate, radii=METHOD.radii.replace(v=v), objective=METHOD.objective
    )
    found = reconstruct(MLP, OPERATOR, measurement, KEYS, method).image
    return jnp.mean((found - truth()) ** 2)


@functools.cache
def gradient():
    return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*POINT)


POINT = (Y, jnp.float32(1), jnp.float32(0.6))


def central(f, point, direction, h):
    ahead, behind = (
        f(
            *(
                jax.tree.map(lambda x, d, t=t: x + t * d, p, d)
                for p, d in zip(point, direction, strict=True)
            )
        )
        for t in (h, -h)
    )
    return (float(ahead) - float(behind)) / (2 * h)


@pytest.mark.parametrize("which", [0, 1, 2], ids=["measurement", "rate", "radius"])
def test_a_reconstruction_has_a_gradient(which):
    direction = [jnp.zeros_like(p) for p in POINT]
    direction[which] = (
        jax.random.normal(jax.random.key(4), Y.shape) if which == 0 else jnp.float32(1)
    )
    slope = float(jnp.vdot(gradient()[which], direction[which]))
    assert abs(slope) > 1e-4
    assert slope == pytest.approx(central(loss, POINT, direction, 3e-3), rel=0.05)


def test_balls_that_do_not_bind_have_no_gradient_in_the_radius():
    wide = (Y, jnp.float32(1), jnp.float32(50))
    *_, of_radius = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*wide)
    assert of_radius == 0
    assert gradient()[2] != 0


def test_reverse_mode_keeps_states_and_no_features():
    """What is kept of each step is of the state's size, however wide the generator is."""
    width = 4096

    def narrow(p, x):
        return dense(p, x).reshape(SHAPE)

    keys = jax.random.split(jax.random.key(0), 2)
    params = [
        {"kernel": jax.random.normal(key, shape), "bias": jnp.zeros(shape[0])}
        for key, shape in zip(keys, ((width, LATENT), (16, width)), strict=True)
    ]
    prior = Sequential.create((dense, narrow), tuple(params), LATENT)

    def kept(steps):
        def pull(y):
            method = csgm(prior, steps)
            return jax.vjp(lambda y: reconstruct(prior, Identity(SHAPE), y, KEYS, method).image, y)[
                1
            ]

        shapes = jax.eval_shape(pull, jax.ShapeDtypeStruct((3, *SHAPE), jnp.float32))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    each = (kept(20) - kept(10)) / 10
    state = 3 * (8 * LATENT + 4 * 16)
    assert 3 * LATENT <= each < 3 * state
    assert each < width / 2


@functools.cache
def drawn():
    """In float64, for exact differences."""
    inputs = starts(stylegan2(), jax.random.key(3)).inputs
    v = {1: jax.random.normal(jax.random.key(8), (4, 4, 16))}
    x = Variables(jax.tree.map(lambda leaf: leaf[0], inputs), v)
    with jax.enable_x64(True):
        return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (stylegan2(), x))


def test_stylegan2_has_a_forward_derivative_too():
    with jax.enable_x64(True):
        prior, x = drawn()
        keys = iter(jax.random.split(jax.random.key(9), 99))
        direction = jax.tree.map(lambda a: jax.random.normal(next(keys), a.shape), x)
        generate = jax.jit(functools.partial(image, prior))
        _, slope = jax.jit(lambda x, d: jax.jvp(generate, (x,), (d,)))(x, direction)
        ahead, behind = (
            generate(jax.tree.map(lambda a, d, t=t: a + t * d, x, direction)) for t in (1e-6, -1e-6)
        )
        np.testing.assert_allclose((ahead - behind) / 2e-6, slope, rtol=1e-5, atol=1e-5)


def of_weights(change):
    """The mean square of the image, of some of the synthesis network's parameters."""
    prior, x = drawn()
    generator = prior.generator
    params = generator.synthesis["params"]

    def f(some):
        synthesis = {**generator.synthesis, "params": change(params, some)}
        return jnp.mean(
            image(prior.replace(generator=generator.replace(synthesis=synthesis)), x) ** 2
        )

    return f, params


@pytest.mark.parametrize("layer", ["layers_0", "layers_1", "layers_2"])
def test_kernels_of_convolutions_are_frozen(layer):
    with jax.enable_x64(True):
        f, params = of_weights(lambda p, kernel: {**p, layer: {**p[layer], "kernel": kernel}})
        with pytest.raises(TypeError, match="weights of convolutions are frozen"):
            jax.grad(f)(params[layer]["kernel"])


def test_the_other_weights_have_gradients():
    def change(params, some):
        return {**params, "layers_1": {**params["layers_1"], **some}}

    with jax.enable_x64(True):
        f, params = of_weights(change)
        some = {name: params["layers_1"][name] for name in ("affine", "bias", "noise_strength")}
        keys = iter(jax.random.split(jax.random.key(10), 9))
        f = jax.jit(f)
        slope = jax.jit(jax.grad(f))(some)
        for name in some:
            direction = jax.tree.map(jnp.zeros_like, some)
            direction[name] = jax.tree.map(
                lambda a: jax.random.normal(next(keys), a.shape), some[name]
            )
            along = sum(map(jnp.vdot, jax.tree.leaves(slope), jax.tree.leaves(direction)))
            assert abs(along) > 1e-5
            np.testing.assert_allclose(along, central(f, (some,), (direction,), 1e-6), rtol=1e-5)


def test_a_chain_has_gradients_in_its_parameters():
    z = jax.random.normal(jax.random.key(11), (LATENT,))

    def chained(params):
        return jnp.sum(image(MLP.replace(params=params), Variables(z, {})) ** 2)

    def written_out(params):
        x = z
        for p in params:
            x = jnp.tanh(p["kernel"] @ x + p["bias"])
        return jnp.sum(x**2)

    assert_close(jax.grad(chained)(MLP.params), jax.grad(written_out)(MLP.params), 1e-5)
