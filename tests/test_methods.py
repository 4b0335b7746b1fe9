"""The presets of the loop, on a tiny generator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilo_jax.errors import InputError
from ilo_jax.ops import Identity
from ilo_jax.solve import METHODS, Cut, ExtendedRange, RangeProjection, solve
from ilo_jax.solve.losses import Mse
from ilo_jax.solve.schedule import projector_ramp, pulse_ramp
from ilo_jax.stylegan2 import GeneratorConfig, map_latents, random_generator, synthesize

CONFIG = GeneratorConfig(channels=(16, 16, 8), w_dim=16, z_dim=16, mapping_layers=2)
GENERATOR = jax.jit(random_generator, static_argnums=0)(CONFIG, jax.random.key(0))
IMAGES = 2

# Steps of a quick run, and the cuts that they are spent at.
RUNS = {
    "ilo": ((10, 10, 10), [Cut(0, 5), Cut(1, 5), Cut(3, 5)]),
    "ilo-range": ((10, 10, 10), [Cut(0, 5), Cut(3, 5), RangeProjection(3, 5)]),
    "csgm": ((20,), [Cut(0, 5)]),
    "pulse": ((20,), [Cut(0, 5)]),
    "dhar": ((10, 10), [Cut(0, 5), ExtendedRange(5, 5)]),
    "projector": ((20,), [Cut(0, 5)]),
}


def truth():
    z = jax.random.normal(jax.random.key(3), (IMAGES, CONFIG.z_dim))
    return jax.jit(synthesize)(GENERATOR, map_latents(GENERATOR, z))


def run(method, **settings):
    # LPIPS is tested by itself.
    weights = {n: [w] for n, w in METHODS[method].weights.items() if n != "lpips"}
    weights.setdefault("mse", [1.0])
    steps, _ = RUNS[method]
    plan = METHODS[method].plan(CONFIG, steps, weights=weights, **settings)
    operator, y = Identity(CONFIG.image_shape), truth()
    key = jax.random.key(1)
    return solve(GENERATOR, operator, y, key, plan.schedule, plan.hyper, losses=plan.losses)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_improves_on_where_it_starts(method):
    found = run(method)
    errors = np.array([solution.error for solution in found])
    assert (np.diff(errors, axis=0) <= 0).all()
    image = found[-1].image
    np.testing.assert_allclose(np.mean((image - truth()) ** 2, (1, 2, 3)), errors[-1], rtol=1e-4)
    assert (errors[-1] < np.mean(truth() ** 2, (1, 2, 3))).all()


@pytest.mark.parametrize("method", METHODS)
def test_cuts_of_every_method(method):
    steps, cuts = RUNS[method]
    rounds = METHODS[method].plan(CONFIG, steps).schedule.rounds
    assert [(type(r.cut), r.cut) for r in rounds] == [(type(c), c) for c in cuts]
    assert [r.steps for r in rounds] == list(steps)
    assert METHODS[method].plan(CONFIG_64).schedule.rounds


CONFIG_64 = GeneratorConfig(channels=(8, 8, 8, 8, 8), w_dim=16, z_dim=16, mapping_layers=2)


def test_radii_are_of_the_rounds_that_have_a_code():
    def radii(method, *given):
        found = METHODS[method].plan(CONFIG, RUNS[method][0], radii=given or None).hyper.radius_code
        return found if found is None else found.tolist()

    inf = np.inf
    assert radii("ilo") is None
    assert radii("ilo", 3) == [inf, 3, 3]
    assert radii("ilo", 3, 4) == [inf, 3, 4]
    assert radii("ilo-range", 3) == [inf, 3, inf]
    assert radii("dhar", 3) == [inf, 3]
    assert radii("ilo-range") == [inf, METHODS["ilo-range"].radius, inf]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("ilo", {"radii": (1, 2, 3)}, "radii 1,2,3: expected one number, or one for each of 2"),
        ("ilo", {"learning_rate": (1, 2)}, "lr 1,2: expected one number, or one a round: 3"),
        ("ilo", {"weights": {"mse": (1, 2)}}, "weight of mse 1,2: expected one number"),
        ("ilo", {"weights": {"mess": (1,)}}, "loss mess: expected one of mse"),
        ("ilo", {"layers": (0, 1)}, "layers 0,1: expected numbers from 0 to 5, 3 of them"),
        ("csgm", {"layers": (0,)}, "layers 0: csgm has none to choose"),
        ("csgm", {"steps": (1, 2)}, "steps 1,2: expected one number"),
        ("projector", {"steps": (1, 2)}, "steps 1,2: expected one number"),
        ("dhar", {"steps": (1,)}, "steps 1: expected two numbers"),
        ("ilo-range", {"steps": (1, 2)}, "steps 1,2: expected one number, then two"),
    ],
)
def test_what_does_not_go_with_the_rounds_is_refused(method, settings, message):
    with pytest.raises(InputError, match=message):
        METHODS[method].plan(CONFIG, **{"steps": RUNS[method][0]} | settings)


def test_pulse_is_silent_in_its_last_layer_and_counts_in_w():
    plan = METHODS["pulse"].plan(CONFIG)
    latents, noises = plan.schedule.search.space.start(GENERATOR, jax.random.key(0))
    assert latents.shape == (CONFIG.num_latents, CONFIG.w_dim)
    assert [bool(np.any(n != 0)) for n in noises] == [True, True, True, True, False]
    # 100 L2 of images in [0, 1], clamped at 2e-3: 25 MSE of images in [-1, 1], clamped at 8e-3.
    assert plan.hyper.weights["mse"].tolist() == [25]
    mse = plan.losses["mse"]
    assert isinstance(mse, Mse)
    assert mse.floor == 4 * 2e-3


def test_the_projector_searches_one_w_from_the_mean_on():
    before = run("projector", learning_rate=[0.0])[0]
    np.testing.assert_array_equal(before.latents, np.tile(GENERATOR.w_avg, (IMAGES, 1, 1)))
    (found,) = run("projector")
    assert found.latents.shape == (IMAGES, 1, CONFIG.w_dim)
    assert (found.latents != before.latents).all()
    for noise in found.noises:
        np.testing.assert_allclose(noise.mean((1, 2, 3)), 0, atol=1e-6)
        np.testing.assert_allclose(noise.var((1, 2, 3)), 1, atol=1e-3)


def test_the_spread_of_the_proxy_is_that_of_its_samples():
    z = jax.random.normal(jax.random.key(0), (20000, CONFIG.w_dim))
    w = GENERATOR.proxy(z)
    sampled = np.sqrt(np.sum(np.var(w, 0)))
    assert float(GENERATOR.proxy.spread()) == pytest.approx(sampled, rel=0.02)


def test_ramps_at_known_points():
    t = jnp.array([0.0, 0.225, 0.45, 0.9, 0.95, 1.0])
    np.testing.assert_allclose(pulse_ramp(t), [0.1, 0.55, 1, 0.1, 0.0505, 0.001], atol=1e-6)
    t = jnp.array([0.0, 0.05, 0.75, 0.875, 1.0])
    np.testing.assert_allclose(projector_ramp(t), [0, 1, 1, 0.5, 0], atol=1e-6)
