"""Scaled features or a scaled kernel, and other forms that save bytes, against the plain ones."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import normal

from ilo_jax.stylegan2 import pixels, resample
from ilo_jax.stylegan2.modulation import mix, modulated

many_programs = True

CONVOLUTIONS = [
    (resample.conv, functools.partial(resample.prepare_conv, resolution=8)),
    (resample.upsample_conv, resample.prepare_phases),
]
convolutions = pytest.mark.parametrize(("convolve", "prepare"), CONVOLUTIONS)


def inputs(*batch: int) -> tuple[Any, Any]:
    """Features with more values than twice the kernel's, and styles."""
    return normal(0, *batch, 12, 12, 4), normal(1, *batch, 4)


def products(jaxpr: Any) -> list[Any]:
    """The shapes of the two sides of each product, and the groups of each convolution."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            assert equation.params["feature_group_count"] == 1
        if equation.primitive.name == "mul":
            found.append(equation.outvars[0].aval.shape)
        for value in equation.params.values():
            for sub in jax.tree.leaves(value, is_leaf=lambda v: hasattr(v, "eqns")):
                inside = getattr(sub, "jaxpr", sub)
                if hasattr(inside, "eqns"):
                    found += products(inside)
    return found


@convolutions
def test_one_image_has_a_scaled_kernel_and_several_have_scaled_features(convolve, prepare):
    kernels = prepare(normal(2, 3, 3, 4, 5) / 6)

    def run(x, style):
        return modulated(convolve, x, style, kernels)

    ways = {
        "plain": (run, ()),
        "an axis of one": (run, (1,)),
        "mapped over one": (jax.vmap(run), (1,)),
        "mapped over one twice": (jax.vmap(jax.vmap(run)), (1, 1)),
        "several": (run, (2,)),
        "mapped over several": (jax.vmap(run), (2,)),
        "mapped over one and several": (jax.vmap(jax.vmap(run)), (1, 2)),
        "mapped over several and one": (jax.vmap(jax.vmap(run)), (2, 1)),
    }
    for name, (f, batch) in ways.items():
        x, style = inputs(*batch)
        scales_features = x.shape in products(jax.make_jaxpr(f)(x, style).jaxpr)
        assert scales_features == (2 in batch), name


@convolutions
@pytest.mark.parametrize("batch", [1, 2])
def test_value_and_derivatives_are_those_of_scaled_features(convolve, prepare, batch):
    kernels = prepare(normal(2, 3, 3, 4, 5) / 6)
    x, style = inputs(batch)

    def plain(x, style):
        return convolve(x * style[:, None, None], kernels)

    def mapped(x, style):
        return jax.vmap(lambda x, s: modulated(convolve, x, s, kernels))(x, style)

    @functools.partial(jax.jit, static_argnums=0)
    def results(f, x, style):
        y, pull = jax.vjp(f, x, style)
        return y, pull(jnp.sin(y)), jax.jvp(f, (x, style), (x[::-1], style[::-1]))[1]

    ours, expected = results(mapped, x, style), results(plain, x, style)
    for a, b in zip(*map(jax.tree.leaves, (ours, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_a_shared_style_scales_the_features_of_a_batch():
    """Where only one of the two has the mapped axis, and where the kernels have one."""
    (x, _), (_, style) = inputs(2), inputs()
    kernel = normal(2, 2, 3, 3, 4, 5) / 6
    one, two = resample.prepare_phases(kernel[0]), jax.vmap(resample.prepare_phases)(kernel)
    run = jax.jit(functools.partial(modulated, resample.upsample_conv))
    for axes, arguments in (
        ((0, None, None), (x, style, one)),
        ((None, 0, None), (x[0], np.stack([style, 2 * style]), one)),
        ((0, None, 0), (x, style, two)),
    ):
        found = jax.vmap(run, axes)(*arguments)
        for i in range(2):
            own = [
                a if axis is None else jax.tree.map(lambda leaf, i=i: leaf[i], a)
                for a, axis in zip(arguments, axes, strict=True)
            ]
            np.testing.assert_allclose(found[i], run(*own), atol=1e-4)


def test_forms_for_accelerators_are_those_of_a_cpu(monkeypatch):
    x, size = normal(0, 2, 8, 6, 5), pixels._Size((5,))
    forms = {
        "over pixels": lambda: pixels._sum_pixels(x, size),
        "over channels": lambda: pixels._sum_channels(x, size),
        "filter": lambda: resample._filter(x, 1),
    }
    expected = {name: form() for name, form in forms.items()}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for name, form in forms.items():
        np.testing.assert_allclose(form(), expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_mix_is_a_product_of_matrices_in_every_derivative():
    x, kernel = normal(0, 2, 4, 4, 3), normal(1, 2, 3, 2)

    def results(f):
        def square(x, kernel):
            return jnp.sum(f(x, kernel) ** 3)

        slopes = jax.grad(square, (0, 1))
        return slopes(x, kernel), jax.jvp(slopes, (x, kernel), (x[::-1], kernel[::-1]))[1]

    def plain(x, kernel):
        return jnp.einsum("bhwi,bio->bhwo", x, kernel)

    ours, expected = (jax.tree.leaves(jax.jit(results, static_argnums=0)(f)) for f in (mix, plain))
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
