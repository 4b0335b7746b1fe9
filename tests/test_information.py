"""How much of an image a measurement determines, and the radii that grow with it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operators import OPERATORS, quick_key
from small import KEYS, MASKED, MLP, OPERATOR, SHAPE, measure, measured, normal, truth

from ilo_jax import ops
from ilo_jax.priors import Facts, growth_factor
from ilo_jax.solve import Method, Round, reconstruct
from ilo_jax.solve.batch import each_determined

numerics_elsewhere = True

determined = jax.jit(ops.determined_share, static_argnames="grey")


def share_of(*args, **options):
    return determined(*args, **options).share


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(
    ("operator", "rank", "of_grey"),
    [
        (ops.identity((16, 16, 3)), 1, 1),
        (ops.random_inpainting(quick_key(0), (16, 16, 3), 0.25), 0.25, 0.25),
        (ops.superresolution((16, 16, 3), 4), 1 / 16, 1 / 16),
        (ops.partial_circulant(quick_key(0), (16, 16, 3), 154), 0.2, 0.6),
        (ops.gaussian_matrix(quick_key(0), (16, 16, 3), 77), 0.1, 0.3),
        (ops.grey((16, 16, 3)), 1 / 3, 1),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, ops.Operator) else "",
)
def test_without_noise_it_is_the_rank(operator, rank, of_grey, grey):
    values, expected = (256, of_grey) if grey else (768, rank)
    chance = 3 * np.sqrt(2 * expected * (1 - expected) / values)
    assert share_of(operator, 0.01, grey=grey) == pytest.approx(expected, abs=0.01 + chance)


@pytest.mark.parametrize("sigma", [5.0, 25.0, 100.0])
def test_noise_hides_what_is_measured(sigma):
    ratio = (sigma / 127.5) ** 2 / 0.01
    noisy = ops.denoising((16, 16, 3), sigma)
    assert share_of(noisy, 0.01) == pytest.approx(1 / (1 + ratio), rel=1e-3)
    # A grey value is measured three times.
    assert share_of(noisy, 0.01, grey=True) == pytest.approx(1 / (1 + ratio / 3), rel=1e-3)


def test_noise_that_a_grey_file_repeats_hides_more():
    """As it would in the one channel that it is of."""
    noisy = ops.denoising((16, 16, 3), 25.0)
    grey = np.repeat(normal(0, 16, 16, 1), 3, -1)
    facts = Facts(grey=True)
    found = each_determined(noisy, np.stack([grey, normal(1, 16, 16, 3)]), facts)
    of_one = share_of(ops.denoising((16, 16, 1), 25.0), 0.01)
    expected = [of_one, share_of(noisy, 0.01, grey=True)]
    np.testing.assert_allclose(found.share, expected, rtol=1e-3)
    assert found.share[0] < 0.6 * found.share[1]
    coloured = each_determined(noisy, grey[None], Facts())
    np.testing.assert_allclose(coloured.share, of_one, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_has_one(name):
    share = share_of(jax.jit(OPERATORS[name])(quick_key(0)), 0.01)
    assert 0 <= share <= 1


def test_of_an_operator_that_is_not_linear_it_is_its_derivative_s():
    half = ops.custom((16, 16, 3), lambda x: jnp.tanh(x[..., ::2, :]))
    assert share_of(half, 0.01) == pytest.approx(0.5, abs=0.06)


def test_the_more_is_known_the_wider_a_ball():
    share: Any = np.linspace(0, 1, 11, dtype=np.float32)
    factor = np.asarray(growth_factor(jnp.float32(10), ops.Determined(share, share)))
    assert factor[0] == 1
    assert (np.diff(factor) > 0).all()
    assert factor[5] == pytest.approx(11)
    assert factor[-1] > 1e6
    assert (np.asarray(growth_factor(jnp.float32(0), ops.Determined(share, share))) == 1).all()


def test_the_more_noise_hides_the_narrower_a_ball():
    known = jnp.linspace(0.01, 1, 11)
    factor = np.asarray(
        growth_factor(jnp.float32(2), ops.Determined(0.4 * known, jnp.full(11, 0.4)))
    )
    assert (np.diff(factor) > 0).all()
    assert factor[0] < 0.02
    assert factor[-1] == pytest.approx(1 + 2 * 0.4 / 0.6)


@pytest.mark.parametrize("sigma", [0.0, 25.0, 100.0])
def test_without_noise_as_much_is_determined_as_if_it_were_not_there(sigma):
    mask = np.arange(256, dtype=np.float32).reshape(16, 16, 1) < 64
    operator = ops.inpainting((16, 16, 3), mask.astype(np.float32))
    noisy = ops.composition(operator, ops.denoising((16, 16, 3), sigma))
    found, plain = determined(noisy, 0.01), float(determined(operator, 0.01).share)
    assert found.noiseless == pytest.approx(plain, rel=1e-3)
    assert found.share == pytest.approx(plain / (1 + (sigma / 127.5) ** 2 / 0.01), rel=1e-3)


def method_of(radius, growth):
    rounds = [Round(3, inputs=(0, 3)), Round(5, deviation=1, radius=radius, growth=growth)]
    return Method.create(MLP, rounds, keep="last").with_growth()


def deviations(operator, y, method):
    found = reconstruct(MLP, operator, y, KEYS, method)
    return np.abs(np.asarray(found.x.v[1])).reshape(len(KEYS), -1).sum(1)


def test_radii_grow_with_what_is_measured():
    shares = determined(OPERATOR, MLP.facts.residual)
    radius = 0.05 * float(growth_factor(jnp.float32(2), shares))
    grown = deviations(OPERATOR, measured(), method_of(0.05, 2.0))
    np.testing.assert_allclose(grown, radius, rtol=1e-4)
    np.testing.assert_allclose(
        deviations(OPERATOR, measured(), method_of(radius, 0.0)), grown, rtol=1e-4
    )


def test_of_images_with_a_mask_each_by_its_own():
    y = measure(MASKED, truth())
    observed = np.asarray(MASKED.mask).reshape(len(KEYS), -1).mean(1)
    assert len(set(observed.tolist())) > 1
    of_one = functools.partial(ops.determined_share, variance=MLP.facts.residual)
    shares = np.asarray(ops.map_images(lambda o, _: of_one(o), MASKED, KEYS).share)
    expected = 0.02 * (1 + 2 * shares / (1 - shares))
    np.testing.assert_allclose(deviations(MASKED, y, method_of(0.02, 2.0)), expected, rtol=1e-4)
    assert MASKED.image_shape == SHAPE
