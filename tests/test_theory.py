import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.flatten_util import ravel_pytree
from small import (
    LATENT,
    MLP,
    OPERATOR,
    SHAPE,
    WIDTHS,
    assert_close,
    at,
    measure,
    normal,
    render,
    starts,
    stylegan2,
)

from ilo_jax import theory
from ilo_jax.errors import InputError
from ilo_jax.ops import Identity
from ilo_jax.solve import Variables
from ilo_jax.stylegan2 import synthesize
from ilo_jax.theory import __main__ as command

numerics_elsewhere = True

INPUTS = starts(MLP, jax.random.key(1), 3).inputs

# L1 L2 r1 / delta = 100 = p, L2 r2 / delta = K = 4.
ARGUMENTS = {"k": 10, "p": 100, "n": 1000, "L1": 2.0, "L2": 3.0, "L": 6.0, "r1": 5.0, "r2": 0.4}
ARGUMENTS |= {"delta": 0.3, "gamma": 0.5, "K": 4.0, "best": 2.0, "m": 8.0}
ARGUMENT_NAMES = {
    theory.additive_error: "p delta gamma K",
    theory.circulant_measurements: "k p n L1 L2 r1 delta gamma K",
    theory.csgm_intermediate_measurements: "k p L1 L2 r1 r2 delta gamma",
    theory.csgm_measurements: "k L r1 delta gamma",
    theory.deviation_radius: "L2 delta K",
    theory.failure_probability: "m gamma",
    theory.ilo_error: "best p delta gamma K",
    theory.ilo_measurements: "k p L1 L2 r1 delta gamma K",
    theory.scaling: "k p",
}


def call(bound, **changes):
    arguments = ARGUMENTS | changes
    return bound(**{name: arguments[name] for name in ARGUMENT_NAMES[bound].split()})


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (theory.additive_error, 3.8107),
        (theory.circulant_measurements, 478.938 * 2276.87),
        (theory.csgm_intermediate_measurements, 184.207 + 554.518),
        (theory.csgm_measurements, 184.207),
        (theory.deviation_radius, 0.4),
        (theory.failure_probability, 0.135335),
        (theory.ilo_error, 9 * 2 + 3.8107),
        (theory.ilo_measurements, 184.207 + 294.731),
    ],
)
def test_the_formulas_at_numbers_worked_out_by_hand(bound, expected):
    assert call(bound) == pytest.approx(expected, rel=1e-4)


@given(st.floats(1, 9.9), st.floats(1, 9.9))
def test_a_larger_ball_needs_more_measurements_and_errs_less(a, b):
    """Remark 1."""
    small, large = sorted((a, b))
    assert call(theory.ilo_measurements, K=small) <= call(theory.ilo_measurements, K=large)
    assert call(theory.deviation_radius, K=small) <= call(theory.deviation_radius, K=large)
    assert call(theory.ilo_error, K=small) >= call(theory.ilo_error, K=large)


@given(st.integers(2, 1000), st.integers(0, 10**6))
def test_a_small_ball_in_a_wide_layer_needs_fewer_measurements_than_csgm_there(k, spare):
    """Remark 2 with Remark 3's parameters: the l1 ball costs log p, not p."""
    p = 30 * k + spare
    delta, K = theory.scaling(k, p)
    r2 = theory.deviation_radius(ARGUMENTS["L2"], delta, K)
    assert r2 == pytest.approx(math.sqrt(k / p) / ARGUMENTS["L2"])
    ours = call(theory.ilo_measurements, k=k, p=p, delta=delta, K=K)
    changed = {"k": k, "p": p, "delta": delta, "r2": r2}
    assert ours < call(theory.csgm_intermediate_measurements, **changed)


def test_the_constant_multiplies():
    once = theory.csgm_measurements(10, 6.0, 5.0, 0.3, 0.5)
    assert theory.csgm_measurements(10, 6.0, 5.0, 0.3, 0.5, constant=3.0) == 3 * once
    assert theory.failure_probability(8, 0.5, constant=2.0) == pytest.approx(math.exp(-4))


OUT_OF_DOMAIN = {
    "gamma": (0.0, 1.0, math.nan),
    "delta": (0.0, math.inf),
    "L2": (-1.0,),
    "k": (0,),
    "p": (0,),
    "n": (0,),
    "r1": (0.0,),
    "r2": (0.09,),
    "m": (0.0,),
    "best": (-1.0,),
    "K": (0.0,),
}
NETS = (
    theory.circulant_measurements,
    theory.csgm_intermediate_measurements,
    theory.csgm_measurements,
    theory.ilo_measurements,
)
WITH_K = (
    theory.additive_error,
    theory.circulant_measurements,
    theory.ilo_error,
    theory.ilo_measurements,
)


@pytest.mark.parametrize(
    ("bound", "name", "value"),
    [
        (bound, name, value)
        for bound, names in ARGUMENT_NAMES.items()
        for name in names.split()
        for value in OUT_OF_DOMAIN.get(name, ())
    ]
    + [(bound, "K", value) for bound in WITH_K for value in (0.25, 10.1)]
    + [(bound, "r1", 0.04) for bound in NETS]  # L1 L2 r1 / delta = 0.8
    + [(theory.scaling, "k", 101)],
)
def test_arguments_out_of_their_domain_are_refused_in_one_line(bound, name, value):
    with pytest.raises(InputError, match=r"^.*: expected .*$"):
        call(bound, **{name: value})


@functools.partial(jax.jit, static_argnums=1)
def norm_of_matrix(matrix, iterations=20):
    x = jnp.ones(matrix.shape[1])
    return theory.spectral_norm(lambda x: matrix @ x, x, jax.random.key(0), iterations)


@given(
    st.sampled_from([(1, 1), (2, 4), (4, 3)]).flatmap(
        lambda shape: hnp.arrays(np.float32, shape, elements=st.integers(-3, 3))
    )
)
def test_the_spectral_norm_of_a_linear_map_is_its_largest_singular_value(matrix):
    found = norm_of_matrix(matrix)
    np.testing.assert_allclose(found, np.linalg.norm(matrix, 2), rtol=1e-4, atol=1e-5)


def test_fewer_iterations_bound_the_spectral_norm_from_below():
    matrix = normal(0, 60, 60)
    found = [norm_of_matrix(matrix, n) for n in (1, 20)]
    assert found[0] < 0.9 * found[1]
    np.testing.assert_allclose(found[-1], np.linalg.norm(matrix, 2), rtol=1e-3)


def test_the_spectral_norm_at_a_point_of_functions_of_pytrees():
    def f(x):
        return {"product": x[0] * x[1], "sum": x[0] + x[1]}

    found = theory.spectral_norm(f, (jnp.float32(3.0), jnp.array([1.0, 2.0])), jax.random.key(0))
    jacobian = [[1, 3, 0], [2, 0, 3], [1, 1, 0], [1, 0, 1]]
    np.testing.assert_allclose(found, np.linalg.norm(jacobian, 2), rtol=1e-5)


def jacobians(f, points):
    """Dense, of flattened values."""

    def one(x):
        flat, unravel = ravel_pytree(x)
        return jax.jacrev(lambda v: ravel_pytree(f(unravel(v)))[0])(flat)

    return jax.vmap(one)(points)


def test_the_norms_of_both_parts_and_of_the_whole_are_those_of_their_jacobians():
    cut = 2

    @jax.jit
    def dense(inputs):
        first, second, whole = (
            functools.partial(theory.g1, MLP, cut),
            functools.partial(theory.g2, MLP, cut, None),
            functools.partial(theory.g1, MLP, MLP.depth),
        )
        states = jax.vmap(first)(inputs)
        return jacobians(first, inputs), jacobians(second, states), jacobians(whole, inputs)

    of_g1, of_g2, of_g = dense(INPUTS)
    found = theory.cut_norms(MLP, cut, INPUTS, jax.random.key(2))
    assert of_g1.shape == (3, WIDTHS[cut - 1], LATENT)
    np.testing.assert_allclose(found.g1, np.linalg.norm(of_g1, 2, (1, 2)), rtol=1e-3)
    np.testing.assert_allclose(found.g2, np.linalg.norm(of_g2, 2, (1, 2)), rtol=1e-3)
    whole = theory.generator_norms(MLP, INPUTS, jax.random.key(2))
    assert of_g.shape == (3, math.prod(SHAPE), LATENT)
    np.testing.assert_allclose(whole, np.linalg.norm(of_g, 2, (1, 2)), rtol=1e-3)


@pytest.mark.slow
def test_the_norms_of_stylegan2_are_those_of_its_latents():
    """Of latents to features and RGB, and of those to the image, with noise maps held fixed."""
    prior = stylegan2()
    inputs = command.draw_latents(prior, jax.random.key(1), 1)
    noises = prior.generator.noises
    assert_close(at(inputs.noises, 0), noises, 0)

    def g1(latents):
        return theory.g1(prior, 1, prior.inputs(latents, noises))

    found = theory.cut_norms(prior, 1, inputs, jax.random.key(2), command.latents_alone(prior))
    of_g1 = jax.jit(functools.partial(jacobians, g1))(inputs.latents)
    assert of_g1.shape == (1, 4 * 4 * (16 + 3), 4 * 16)
    np.testing.assert_allclose(found.g1[0], np.linalg.norm(of_g1[0], 2), rtol=1e-3)
    state = g1(inputs.latents[0])
    second = functools.partial(theory.g2, prior, 1, at(inputs, 0))
    (of_g2,) = jax.jit(functools.partial(jacobians, second))(jax.tree.map(lambda x: x[None], state))
    np.testing.assert_allclose(found.g2[0], np.linalg.norm(of_g2, 2), rtol=1e-3)


def test_inputs_that_are_not_free_are_held_fixed():
    none = theory.generator_norms(MLP, INPUTS, jax.random.key(2), np.zeros(LATENT, bool))
    np.testing.assert_array_equal(none, 0)
    first = np.arange(LATENT) < 1
    found = theory.generator_norms(MLP, INPUTS, jax.random.key(2), first)
    whole = functools.partial(theory.g1, MLP, MLP.depth)
    columns = np.asarray(jax.jit(lambda x: jacobians(whole, x))(INPUTS))[..., 0]
    np.testing.assert_allclose(found, np.linalg.norm(columns, axis=-1), rtol=1e-3)


@pytest.mark.parametrize("cut", range(4))
def test_the_parts_make_up_the_generator(cut):
    z = INPUTS[0]
    found = jax.jit(lambda z: theory.g2(MLP, cut, z, theory.g1(MLP, cut, z)))(z)
    np.testing.assert_allclose(found, expected_image(), atol=1e-5)


def test_the_parts_make_up_stylegan2():
    prior = stylegan2()
    inputs = at(command.draw_latents(prior, jax.random.key(1), 1), 0)

    @jax.jit
    def both(x):
        whole = synthesize(prior.generator, prior.generator.proxy(x.latents))
        return theory.g2(prior, 2, x, theory.g1(prior, 2, x)), whole

    image, expected = both(inputs)
    np.testing.assert_allclose(image, expected, atol=1e-5)


@functools.cache
def expected_image():
    return render(MLP, Variables(INPUTS, {}))[0]


@pytest.mark.parametrize("cut", [-1, 0, 3])
def test_cuts_with_nothing_on_a_side_are_refused(cut):
    with pytest.raises(InputError, match=f"cut {cut}: expected a layer from 1 to 2"):
        theory.cut_norms(MLP, cut, INPUTS, jax.random.key(2))
    with pytest.raises(InputError, match=f"cut {cut}: expected a layer from 1 to 2"):
        theory.draw_differences(MLP, cut, 1.0, INPUTS, INPUTS, jax.random.key(2))


def test_no_samples_are_refused():
    with pytest.raises(InputError, match="samples 0: expected 1 or more"):
        theory.draw_inputs(MLP, jax.random.key(1), 0)
    with pytest.raises(InputError, match="samples 0: expected 1 or more"):
        command.draw_latents(stylegan2(), jax.random.key(1), 0)


def test_draws_from_the_l1_ball_are_uniform():
    radius, shape = 5.0, (2, 2)
    keys = jax.random.split(jax.random.key(3), 4000)
    x = jax.jit(jax.vmap(lambda key: theory.draw_l1_ball(key, shape, radius)))(keys)
    x = np.asarray(x).reshape(4000, 4)
    norms = np.abs(x).sum(1) / radius
    assert norms.max() <= 1
    # A ball of t times the radius has t^4 of the volume; a coordinate x exceeds t in (1 - t)^4.
    assert scipy.stats.kstest(norms**4, "uniform").pvalue > 0.01
    for i in range(4):
        tail = (1 - np.abs(x[:, i]) / radius) ** 4
        assert scipy.stats.kstest(tail, "uniform").pvalue > 0.01
        assert abs(np.mean(x[:, i] > 0) - 0.5) < 0.03


def test_the_extended_range_without_deviation_is_the_range():
    draw = jax.jit(lambda z: theory.extended_image(MLP, 1, 0.0, z, jax.random.key(4)))
    image = draw(INPUTS[0])
    np.testing.assert_allclose(image, expected_image(), atol=1e-5)


def test_differences_of_one_image_are_those_that_the_deviations_make():
    @jax.jit
    def draw(radius):
        others = INPUTS[::-1] + 1
        return theory.draw_differences(MLP, 1, radius, INPUTS, others, jax.random.key(5))

    without, small, large = jax.device_get([draw(radius) for radius in (0.0, 1e-2, 1e-1)])
    np.testing.assert_allclose(without.near, 0, atol=1e-5)
    assert large.near.shape == large.far.shape == (3, *SHAPE)
    size = [np.linalg.norm(d.near) for d in (small, large)]
    assert size[1] == pytest.approx(10 * size[0], rel=0.1)  # differentiable
    assert np.linalg.norm(large.far) > size[1]


def test_the_ratios_are_those_of_the_norms():
    differences = normal(6, 5, *SHAPE)
    ratios = theory.isometry_ratios(Identity(SHAPE), differences)
    np.testing.assert_allclose(ratios, 1, rtol=1e-6)
    measured = measure(OPERATOR, differences)
    expected = [
        np.linalg.norm(y) / np.linalg.norm(d) for y, d in zip(measured, differences, strict=True)
    ]
    found = jax.jit(theory.isometry_ratios)(OPERATOR, differences)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.slow
def test_the_report_has_a_row_a_cut():
    constants, bounds = command.report(stylegan2(), 3, 0.5, jax.random.key(8))
    columns = [list(column.cells) for column in constants.columns]
    assert columns[:3] == [["none", "1"], ["-", "4x4x16"], ["-", "304"]]
    assert [list(column.cells) for column in bounds.columns][:2] == [["1"], ["0.057"]]


def test_the_bounds_of_a_cut_are_those_of_the_same_parameters():
    found = command.bounds_at(k=9, p=100, n=1000, L=6.0, L1=2.0, L2=3.0, r1=5.0, gamma=0.5)
    arguments = {"k": 9, "K": 3.0, "delta": 0.1, "r2": found.r2}
    assert (found.delta, found.r2) == pytest.approx((0.1, 0.1))
    assert found[2:] == pytest.approx(
        (
            call(theory.csgm_measurements, **arguments),
            call(theory.csgm_intermediate_measurements, **arguments),
            call(theory.ilo_measurements, **arguments),
            call(theory.circulant_measurements, **arguments),
            call(theory.additive_error, **arguments),
        )
    )


@pytest.mark.parametrize(
    "arguments",
    [["--gamma", "2", "--samples", "3"], ["--samples", "0"], ["--generator", "no such folder"]],
)
def test_the_command_says_what_is_wrong_in_one_line(arguments, monkeypatch):
    norms = theory.CutNorms(jnp.ones(3), jnp.ones(3))
    monkeypatch.setattr(theory, "generator_norms", lambda *_: norms.g1)
    monkeypatch.setattr(theory, "cut_norms", lambda *_: norms)  # of what is refused behind them
    load = command.load
    monkeypatch.setattr(command, "load", lambda at: stylegan2() if at == "chest64" else load(at))
    monkeypatch.setattr("sys.argv", ["theory", *arguments])
    with pytest.raises(SystemExit, match=r"^error: .*$"):
        command.main()
