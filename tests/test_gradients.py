"""Derivatives through a whole reconstruction, through a prior, and with respect to weights."""

import functools
from typing import Any

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
    at,
    dense,
    in_numpy,
    measured,
    normal,
    starts,
    stylegan2,
    truth,
)

from ilo_jax.ops import Identity
from ilo_jax.priors import Sequential
from ilo_jax.solve import Method, Round, Variables, csgm, image, reconstruct

Y = measured()
METHOD = Method.create(
    MLP,
    [Round(3, inputs=(0, 3)), Round(4, inputs=(1, 3), deviation=1)],
    keep="last",
    constraint="sphere",
)

many_programs = True


@jax.jit
def loss(measurement, rate, radius):
    v = {1: jnp.stack([jnp.float32(jnp.inf), radius])}
    method = METHOD.replace(
        rate=METHOD.rate * rate, radii=METHOD.radii.replace(v=v), objective=METHOD.objective
    )
    found = reconstruct(MLP, OPERATOR, measurement, KEYS, method).image
    return jnp.mean((found - truth()) ** 2)


gradient_at = in_numpy(jax.grad(loss, argnums=(0, 1, 2)))


@functools.cache
def gradient():
    return gradient_at(*POINT)


POINT = (Y, np.float32(1), np.float32(0.6))


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
    direction: list[Any] = [np.zeros_like(p) for p in POINT]
    direction[which] = normal(4, *Y.shape) if which == 0 else np.float32(1)
    slope = float(np.vdot(gradient()[which], direction[which]))
    assert abs(slope) > 1e-4
    assert slope == pytest.approx(central(loss, POINT, direction, 3e-3), rel=0.05)


def test_balls_that_do_not_bind_have_no_gradient_in_the_radius():
    *_, of_radius = gradient_at(Y, np.float32(1), np.float32(50))
    assert of_radius == 0
    assert gradient()[2] != 0


def test_reverse_mode_keeps_states_and_no_features():
    """What is kept of each step is of the state's size, however wide the generator is."""
    width = 4096

    def narrow(p, x):
        return dense(p, x).reshape(SHAPE)

    params = [
        {"kernel": normal(0, *shape), "bias": np.zeros(shape[0], np.float32)}
        for shape in ((width, LATENT), (16, width))
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
    x = Variables(at(starts(stylegan2(), jax.random.key(3)).inputs, 0), {1: normal(8, 4, 4, 16)})
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (stylegan2(), x))


def some_direction(x):
    rng = np.random.default_rng(9)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), x)


@pytest.mark.slow
def test_stylegan2_has_a_forward_derivative_too():
    with jax.enable_x64(True):
        prior, x = drawn()
        direction = some_direction(x)

        @in_numpy
        def along(prior, x, t):
            """The image and its derivative."""

            def generate(t):
                moved = jax.tree.map(lambda a, d: a + t * d, x, direction)
                return image(prior, moved)

            return jax.jvp(generate, (t,), (jnp.ones_like(t),))

        (ahead, _), (_, slope), (behind, _) = (along(prior, x, t) for t in (1e-6, 0.0, -1e-6))
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
        value_and_slope = in_numpy(jax.value_and_grad(f))
        _, slope = value_and_slope(some)
        for name in some:
            direction = jax.tree.map(np.zeros_like, some)
            direction[name] = some_direction(some[name])
            along = sum(map(np.vdot, jax.tree.leaves(slope), jax.tree.leaves(direction)))
            assert abs(along) > 1e-5
            np.testing.assert_allclose(
                along,
                central(lambda x: value_and_slope(x)[0], (some,), (direction,), 1e-6),
                rtol=1e-5,
            )


def test_a_chain_has_gradients_in_its_parameters():
    z = normal(11, LATENT)

    def chained(params):
        return jnp.sum(image(MLP.replace(params=params), Variables(z, {})) ** 2)

    def written_out(params):
        x = z
        for p in params:
            x = jnp.tanh(p["kernel"] @ x + p["bias"])
        return jnp.sum(x**2)

    @jax.jit
    def both(params):
        return jax.grad(chained)(params), jax.grad(written_out)(params)

    ours, expected = both(MLP.params)
    assert_close(ours, expected, 1e-5)
