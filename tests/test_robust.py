"""Poirier-Ginter & Lalonde's loss and optimizer, equal to theirs as tests/oracle/robust.py has run
them; what the method searches, and where."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import MLP, in_numpy, normal, stylegan2

from ilo_jax import lpips, ops
from ilo_jax.errors import InputError
from ilo_jax.lpips import Conv, Stage
from ilo_jax.solve import Data, Mse, PerceptualScales, Variables, View, robust
from ilo_jax.solve.losses.scales import halvings
from ilo_jax.solve.optimizers import NORMALIZED

many_programs = True

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "robust.npz")
SHAPE = (40, 40, 3)


@functools.cache
def network():
    weights = ([GOLDEN["kernel"]], [GOLDEN["bias"]], [GOLDEN["head"]])
    return jax.jit(lambda w: lpips.prepare((Stage((Conv(),)),), *w))(weights)


def value(term, operator, x, target):
    seen = View(stylegan2(), operator, Data(x), x, operator(x), Variables((), {}), ())
    return term(target, seen)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["whole", "masked"])
def test_the_loss_and_its_gradient_equal_theirs(case, monkeypatch):
    mask = GOLDEN["mask"] if case == "masked" else np.ones_like(GOLDEN["mask"])
    operator = ops.Identity(SHAPE) if case == "whole" else ops.Inpaint(SHAPE, jnp.asarray(mask))
    noise = iter([GOLDEN[f"noise_{i}"].ravel() for i in range(2)])
    x, y = (2 * GOLDEN[name] - 1 for name in ("image", "measurement"))  # theirs are in [0, 1]
    term, prior = PerceptualScales(network()), stylegan2()

    @in_numpy
    def loss(x):
        with monkeypatch.context() as patched:
            patched.setattr(jax.random, "normal", lambda *_: jnp.asarray(next(noise)))
            target = term.prepare(prior, operator, Data(mask * y))
        return jax.value_and_grad(lambda x: value(term, operator, x, target))(x)

    found, gradient = loss(x)
    np.testing.assert_allclose(found, GOLDEN[f"loss_{case}"], rtol=1e-5)
    expected = GOLDEN[f"gradient_{case}"] / 2
    np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max())


def test_each_code_moves_by_a_fixed_length_as_theirs():
    codes, goal = GOLDEN["codes_0"], GOLDEN["goal"]
    for step in range(4):
        updates, _ = NORMALIZED.update(4 * (codes - goal) ** 3, NORMALIZED.init(codes))
        codes = codes + GOLDEN["rate"] / np.sqrt(5) * np.asarray(updates)
        np.testing.assert_allclose(codes, GOLDEN[f"codes_{step + 1}"], atol=1e-5)
    np.testing.assert_array_equal(codes[2], GOLDEN["codes_0"][2])  # its gradient is 0


@settings(max_examples=10)
@given(size=st.floats(1e-30, 1e30), length=st.integers(1, 5))
def test_a_length_does_not_depend_on_the_size_of_the_gradient(size, length):
    gradient = np.float32(size) * (1 + np.abs(normal(length, 2, length)))
    found: Any
    found, _ = NORMALIZED.update({"w": gradient}, NORMALIZED.init({}))
    np.testing.assert_allclose(np.mean(found["w"] ** 2, -1), 1, rtol=1e-5)
    assert (np.sign(found["w"]) == -np.sign(gradient)).all()


def test_scales_go_down_to_16_px_and_are_six_at_most():
    def sizes(*shape):
        scales, rest = jax.eval_shape(halvings, jax.ShapeDtypeStruct((*shape, 3), jnp.float32))
        return [s.shape[:2] for s in scales], rest.shape[:2]

    assert sizes(64, 64) == ([(64, 64), (32, 32)], (16, 16))
    assert sizes(33, 47) == ([(33, 47)], (16, 23))
    assert sizes(16, 16) == ([], (16, 16))
    large, rest = sizes(2048, 2048)
    assert (len(large), large[-1], rest) == (6, (64, 64), (32, 32))


def test_of_small_measurements_it_is_their_difference():
    operator = ops.Identity((8, 8, 3))
    x, y = normal(0, 8, 8, 3), normal(1, 8, 8, 3)
    term = PerceptualScales(network())
    found = value(term, operator, x, term.prepare(stylegan2(), operator, Data(y)))
    np.testing.assert_allclose(found, 0.05 * np.mean(np.abs(x - y)), rtol=1e-5)


def test_what_it_cannot_compare_is_refused():
    term, operator = PerceptualScales(network()), ops.Identity((8, 8, 3))
    data = Data(np.zeros((8, 8, 3)), held_out=np.zeros((8, 8, 1)))
    with pytest.raises(InputError, match="loss lpips_scales: looks at all entries"):
        term.prepare(stylegan2(), operator, data)
    entries = ops.partial_circulant(jax.random.key(0), (8, 8, 3), 5)
    with pytest.raises(InputError, match=r"a measurement is \(5,\); expected an image"):
        term.prepare(stylegan2(), entries, Data(np.zeros(5)))


def test_it_searches_w_then_w_plus_then_styles_and_no_noise_map():
    prior = stylegan2()
    method = robust(prior, objective=Mse())
    free = method.free.inputs
    assert free.w.tolist() == [True, False, False]
    assert free.w_plus.all((1, 2)).tolist() == [False, True, False]
    styles = [np.asarray(m).tolist() for m in jax.tree.leaves(free.styles)]
    assert styles == [[False, False, True]] * 5
    assert not any(np.any(m) for m in (free.latents, *free.noises))
    assert method.steps.tolist() == [150] * 3
    assert method.keep == "last"


def test_rates_are_multiples_of_what_random_images_spread():
    prior = stylegan2()
    w = np.asarray(prior.generator.proxy(normal(0, 4000, prior.generator.config.z_dim)))
    params = prior.generator.synthesis["params"]
    affine = [params[n]["affine"]["kernel"] for n in params if n != "const"]
    styles = np.concatenate([w @ np.asarray(kernel) for kernel in affine], -1)
    spread = [np.sqrt(np.mean(x.std(0) ** 2)) for x in (w, w, styles)]
    method = robust(prior, rate=(3.0, 2.0, 1.0), objective=Mse())
    np.testing.assert_allclose(method.rate, np.multiply(spread, [3, 2, 1]), rtol=0.05)
    assert prior.unit() == 1


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"steps": (1, 2)}, "steps 1,2: expected three numbers, of w, W. and styles"),
        ({"rate": (1, 2)}, "rate 1,2: expected one number, or one for each of 3 rounds"),
    ],
)
def test_other_numbers_of_rounds_are_refused(numbers, message):
    with pytest.raises(InputError, match=message):
        robust(stylegan2(), **numbers)
    with pytest.raises(InputError, match="space w: expected one of inputs"):
        robust(MLP)
