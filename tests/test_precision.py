"""Half precision: what is bfloat16, what must not be, and that it hardly matters."""

import collections
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operators import OPERATORS, quick_key
from small import normal, once

from ilo_jax import ops
from ilo_jax.app.command import settings_of
from ilo_jax.app.parser import make_parser
from ilo_jax.errors import InputError
from ilo_jax.ops.similar import nonlocal_bayes
from ilo_jax.stylegan2 import (
    Generator,
    GeneratorConfig,
    State,
    StyleGAN2,
    apply_layers,
    derive,
    generator_shapes,
    initial_state,
    linear,
    with_precision,
    zero_styles,
)

numerics_elsewhere = True

CONFIG = GeneratorConfig(channels=(8, 6), w_dim=5, z_dim=5, mapping_layers=2, image_channels=2)
MOVES = {  # data, or changes its type or sign
    "add_any",  # of two cotangents
    "broadcast_in_dim",
    "concatenate",
    "conv_general_dilated",
    "convert_element_type",
    "copy",
    "dot_general",
    "gt",
    "max",  # clips
    "min",
    "optimization_barrier",
    "pad",
    "reshape",
    "rev",
    "select_n",
    "slice",
    "split",
    "stack",
    "squeeze",
    "stop_gradient",
    "transpose",
    "ge",
    "le",
    "lt",
    "and",
}
"""Operations on bfloat16 that round nothing, or whose sums a product keeps in float32."""


def make(**changed: Any) -> Generator:
    config = dataclasses.replace(CONFIG, **changed)
    rng = np.random.default_rng(0)

    def draw(leaf):
        fan_in = max(1, int(np.prod(leaf.shape[:-1]))) if len(leaf.shape) > 1 else 25
        return jnp.asarray(rng.normal(size=leaf.shape, scale=fan_in**-0.5), leaf.dtype)

    drawn = jax.tree.map(draw, generator_shapes(config))
    return drawn.replace(synthesis=derive(drawn.synthesis["params"]))


def inputs_of(generator: Generator) -> Any:
    config = generator.config
    return normal(9, 2, config.num_latents, config.w_dim), generator.noises, zero_styles(config)


def energy(generator: Generator, inputs: Any) -> Any:
    """Of the image, and the image."""
    latents, noises, styles = inputs
    depth = generator.config.num_layers
    state = initial_state(generator, latents.shape[:-2])
    image = apply_layers(generator, state, latents, noises, 0, depth, styles).rgb
    assert image is not None
    return jnp.mean((image - 0.3) ** 2), image


slopes = jax.value_and_grad(energy, 1, has_aux=True)


def distance(a: Any, b: Any) -> Any:
    return np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b)


def test_image_and_gradient_are_those_of_float32_but_for_rounding():
    whole = make(conv_clamp=1.0)
    half, inputs = with_precision(whole, "bfloat16"), inputs_of(whole)
    (_, expected), gradients = once(slopes, whole, inputs)
    (_, image), found = once(slopes, half, inputs)
    assert image.dtype == jnp.float32
    assert 1e-4 < distance(image, expected) < 0.02
    for a, b in zip(*map(jax.tree.leaves, (found, gradients)), strict=True):
        assert a.dtype == jnp.float32
        assert np.isfinite(a).all()
        assert distance(a, b) < 0.1


def operations(jaxpr: Any) -> Any:
    """All, those of the programs inside, too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "linear_map":
            arguments = [v.aval for v in equation.invars]
            call = functools.partial(linear._call, **equation.params)
            yield from operations(jax.make_jaxpr(call)(*arguments).jaxpr)
            continue
        inside = [
            sub
            for value in equation.params.values()
            for sub in jax.tree.leaves(value, is_leaf=lambda v: hasattr(v, "eqns"))
            if hasattr(sub, "eqns") or hasattr(sub, "jaxpr")
        ]
        if not inside:
            yield equation
        for sub in inside:
            yield from operations(getattr(sub, "jaxpr", sub))


def counted(generator: Generator) -> collections.Counter:
    """How often there are which operations on bfloat16 in image and gradient."""
    program = jax.make_jaxpr(slopes)(generator, inputs_of(generator))
    found = collections.Counter()
    for equation in operations(program.jaxpr):
        found["all"] += 1
        kinds = {getattr(v.aval, "dtype", None) for v in (*equation.invars, *equation.outvars)}
        found[equation.primitive.name] += jnp.dtype(jnp.bfloat16) in kinds
    return +found


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_nothing_but_products_is_computed_in_bfloat16(architecture):
    found = counted(with_precision(make(architecture=architecture), "bfloat16"))
    assert found.pop("all") > 50
    assert found["conv_general_dilated"] > 0
    assert set(found) <= MOVES


def test_float32_has_no_bfloat16():
    assert set(counted(make())) == {"all"}


def test_with_conv_clamp_low_resolutions_stay_in_float32():
    channels = (4, 4, 4, 4, 4, 4)
    layers = [GeneratorConfig(channels, conv_clamp=c).half_layer for c in (None, 256.0)]
    assert [[half(i) for i in range(11)] for half in layers] == [
        [True] * 11,
        [False] * 3 + [True] * 8,
    ]
    generator = with_precision(make(channels=channels, conv_clamp=256.0), "bfloat16")
    derived = [generator.synthesis["derived"][f"layers_{i}"]["layer"] for i in (0, 2, 3, 10)]
    kinds = [layer["kernels"].forward[0].dtype for layer in derived]
    assert kinds == [jnp.float32] * 2 + [jnp.bfloat16] * 2
    latents, noises, styles = inputs_of(generator)

    def code(cut: int, start: int, x: jax.Array) -> Any:
        state = State(x, None)
        return apply_layers(generator, state, latents[0], noises, start, cut, styles).features

    for start, cut, size, convolves in ((2, 3, 8, jnp.float32), (4, 5, 16, jnp.bfloat16)):
        program = jax.make_jaxpr(functools.partial(code, cut, start))(normal(0, size, size, 4))
        kernels = [
            equation.invars[1].aval.dtype
            for equation in operations(program.jaxpr)
            if equation.primitive.name == "conv_general_dilated"
        ]
        assert set(kernels) == {jnp.dtype(convolves)}
        assert program.out_avals[0].dtype == jnp.float32


@pytest.mark.slow
def test_derivatives_of_derivatives_and_forward_mode():
    generator = with_precision(make(), "bfloat16")
    inputs = inputs_of(generator)

    def slope_along(inputs):
        return jax.jvp(lambda x: energy(generator, x)[0], (inputs,), (inputs,))[1]

    value, second = once(jax.value_and_grad(slope_along), inputs)
    _, gradient = once(slopes, generator, inputs)
    expected = sum(
        np.vdot(a, b) for a, b in zip(*map(jax.tree.leaves, (gradient, inputs)), strict=True)
    )
    np.testing.assert_allclose(value, expected, rtol=0.1)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(second))


def test_a_generator_goes_back_to_float32_to_the_bit():
    generator = make()
    prior = StyleGAN2(generator).with_precision("bfloat16")
    assert prior.generator.precision == "bfloat16"
    again = prior.with_precision("float32").generator
    assert jax.tree.structure(again) == jax.tree.structure(generator)
    jax.tree.map(np.testing.assert_array_equal, again, generator)


def test_another_precision_is_refused():
    with pytest.raises(InputError, match="precision 'float16': expected float32 or bfloat16"):
        with_precision(make(), "float16")


def test_the_command_line_chooses():
    line = ["invert", "--images", "a", "--out", "b"]
    parser = make_parser()
    found = [
        settings_of(parser.parse_args([*line, *more])).precision
        for more in ((), ("--precision", "bfloat16"))
    ]
    assert found == ["float32", "bfloat16"]


def _estimate(operator, y, x):
    """What is not optimized, but computed."""
    of_one = jax.tree.map(lambda leaf: leaf[0], y)
    determined = ops.determined_share(operator, jnp.float32(0.1))
    if ops.can_be_consistent(operator):
        return ops.make_consistent(operator, of_one, x[0], determined=determined)
    return determined


@pytest.mark.parametrize("name", [n for n in OPERATORS if n != "classifier"])
def test_what_an_operator_multiplies_is_float32_on_a_gpu_too(name):
    """JAX's own precision of products is ten bits there."""

    def program(key, x):
        operator = OPERATORS[name](key)
        y = operator.measure(key, x)
        back = jax.grad(lambda x: operator.error(operator(x), y))(x)
        return back, operator.picture(y), _estimate(operator, y, x)

    made = jax.make_jaxpr(program)(quick_key(0), normal(0, 1, *OPERATORS[name].shape))
    _expect_highest(made.jaxpr)


def test_covariances_are_float32_on_a_gpu_too():
    y = normal(0, 16, 16, 1)
    found = _expect_highest(jax.make_jaxpr(nonlocal_bayes)(y, y, 0.1 * jnp.ones_like(y)).jaxpr)
    assert found >= 2


def _expect_highest(jaxpr) -> int:
    """How many products there are."""
    products = [e for e in operations(jaxpr) if e.primitive.name == "dot_general"]
    for product in products:
        assert product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2, product
    return len(products)
