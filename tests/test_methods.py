"""The methods by name, on a tiny generator: their rounds, and that each does what it should."""

import functools

import jax
import numpy as np
import pytest
from small import (
    CONFIG,
    IMAGES,
    KEYS,
    MLP,
    OPERATOR,
    in_numpy,
    measure,
    normal,
    run,
    shared,
    stylegan2,
    stylegan2_truth,
    truth,
)

from ilo_jax.errors import InputError
from ilo_jax.ops import Identity
from ilo_jax.priors import Facts
from ilo_jax.solve import PRESETS, Mse, Regularizer, algorithm_1, dhar, ilo, reconstruct
from ilo_jax.stylegan2 import GeneratorConfig, StyleGAN2, random_generator

numerics_elsewhere = True

# Steps of a quick run.
STEPS = {
    "ilo": (10, 10),
    "ilo-mean": (10, 5, 5),
    "ilo-range": (10, 10, 10),
    "csgm": (20,),
    "pulse": (20,),
    "dhar": (10, 10),
    "projector": (20,),
    "robust": (10, 5, 5),
    "brgm": (20,),
    "map": (10, 5),
    "sgilo": (10, 10),
    "langevin": (30,),
}
ON_MLP = ("ilo", "ilo-range", "csgm", "dhar", "sgilo", "langevin")
INF = float("inf")


@functools.cache
def of_64_px():
    """Without weights, which nothing here looks at."""
    config = GeneratorConfig(channels=(4,) * 5, w_dim=4, z_dim=4, mapping_layers=1)
    shapes = jax.eval_shape(lambda: random_generator(config, jax.random.key(0)))
    generator = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    return StyleGAN2(generator, Facts(radii=((1, 300.0), (3, 100.0), (5, 30.0))))


def make(name, prior, **settings):
    # LPIPS is tested by itself.
    if name == "projector":
        settings.setdefault("objective", Mse() + 1e5 * Regularizer("noise_correlation"))
    if name in ("robust", "brgm", "sgilo", "langevin"):
        settings.setdefault("objective", Mse())
    return PRESETS[name].make(prior, **{"steps": STEPS[name]} | settings)


@functools.cache
def solved(name, rate=None):
    prior = stylegan2()
    settings = {} if rate is None else {"rate": rate}
    operator = Identity(prior.image_shape)
    method = make(name, prior, **settings)
    return jax.device_get(reconstruct(prior, operator, stylegan2_truth(), KEYS, method))


@pytest.mark.parametrize("name", PRESETS)
def test_every_method_improves_on_where_it_starts(name):
    if name in ON_MLP:
        # A step of 1e-5 moves nothing in thirty.
        moved = {"rate": 0.02, "objective": 100 * Mse()} if name == "langevin" else {}
        found, target = run(shared(make(name, MLP, **moved))), truth()
        image_error = np.mean((measure(OPERATOR, found.image) - measure(OPERATOR, target)) ** 2, -1)
        size = np.mean(measure(OPERATOR, target) ** 2, -1)
    else:
        found, target = solved(name), stylegan2_truth()
        image_error = np.mean((found.image - target) ** 2, (1, 2, 3))
        size = np.mean(target**2, (1, 2, 3))
    if len(STEPS[name]) > 1:
        assert (found.error < found.rounds[0].error).any()
    np.testing.assert_allclose(image_error, found.error, rtol=1e-3)
    assert (found.error < size).all()


def rounds_of(method):
    """`(steps, cut of v, cut of line 5)` of each round."""

    def where(masks, r):
        return next((cut for cut, mask in masks.items() if mask[r]), None)

    return [
        (int(n), where(method.free.v, r), where(method.back, r)) for r, n in enumerate(method.steps)
    ]


@pytest.mark.parametrize(
    ("name", "rounds"),
    [
        ("ilo", [(10, None, None), (10, 1, None)]),
        ("ilo-mean", [(10, None, None), (5, None, None), (5, 1, None)]),
        ("ilo-range", [(10, None, None), (10, 1, None), (10, None, 1)]),
        ("csgm", [(20, None, None)]),
        ("pulse", [(20, None, None)]),
        ("dhar", [(10, None, None), (10, 3, None)]),
        ("projector", [(20, None, None)]),
        ("robust", [(10, None, None), (5, None, None), (5, None, None)]),
        ("brgm", [(20, None, None)]),
        ("map", [(10, None, None), (5, 1, None)]),
        ("sgilo", [(10, None, None), (10, 1, None)]),
        ("langevin", [(30, None, None)]),
    ],
)
def test_rounds_of_every_method(name, rounds):
    assert rounds_of(make(name, stylegan2())) == rounds
    if name not in ("projector", "robust", "brgm", "sgilo"):  # whose defaults have LPIPS
        assert PRESETS[name].make(of_64_px()).max_steps
    assert PRESETS[name].steps


def test_rounds_of_ilo_at_64_px():
    method = ilo(of_64_px(), (1, 2, 3, 4))
    assert [(n, cut) for n, cut, _ in rounds_of(method)] == [(1, None), (2, 1), (3, 3), (4, 5)]
    maps = np.stack(method.free.inputs.noises, 1)
    assert [row.nonzero()[0].tolist() for row in maps] == [
        [*range(5)],
        [*range(1, 7)],
        [*range(3, 9)],
        [*range(5, 9)],
    ]
    assert ilo(of_64_px()).steps.tolist() == [100] * 4
    assert ilo(MLP).steps.tolist() == [100] * 3
    assert ilo(MLP, cuts=(0, 2)).steps.tolist() == [100] * 2


def test_ilo_from_the_mean_searches_w_then_w_plus():
    """At rates in units of a coordinate of W; its radii grow as ILO's."""
    prior = stylegan2()
    method = make("ilo-mean", prior, rate=0.1)
    inputs = method.free.inputs
    assert inputs.w.ravel().tolist() == [True, False, False]
    assert inputs.w_plus.any((1, 2)).tolist() == [False, True, True]
    assert not inputs.latents.any()
    z = normal(5, 4000, prior.generator.config.z_dim)
    spread = np.asarray(prior.generator.proxy(z)).std(0)
    np.testing.assert_allclose(method.rate, 0.1 * np.sqrt(np.mean(spread**2)), rtol=0.05)
    x = solved("ilo-mean").x.inputs
    np.testing.assert_allclose(
        prior.generator.proxy(x.latents[0, 0]), prior.generator.w_avg, atol=1e-5
    )
    assert np.abs(x.w).min() > 0
    growing = of_64_px().with_facts(growth=7.0)
    assert np.asarray(PRESETS["ilo-mean"].make(growing).growth).tolist() == [0, 0, 7, 7]
    assert np.asarray(ilo(growing).growth).tolist() == [0, 7, 7, 7]
    assert ilo(growing, radii=5.0).growth is None
    with pytest.raises(InputError, match="space w: expected one of inputs"):
        PRESETS["ilo-mean"].make(MLP)


def test_algorithm_1_alternates_balls_and_projections():
    method = algorithm_1(of_64_px(), (9, 8, 7, 6, 5))
    assert rounds_of(method) == [
        (9, None, None),
        (8, 3, None),
        (7, None, 3),
        (6, 3, None),
        (5, None, 3),
    ]
    # Line 4 frees no inputs, line 5 those in front of the cut, of ILO's maps in that round.
    assert [row[:, 0].tolist() for row in method.free.inputs.latents] == [
        [True] * 10,
        [False] * 10,
        [True] * 3 + [False] * 7,
        [False] * 10,
        [True] * 3 + [False] * 7,
    ]
    assert rounds_of(algorithm_1(of_64_px(), (1, 1, 1), (5,)))[1:] == [(1, 5, None), (1, None, 5)]


def radii(method):
    return np.min(np.stack(list(method.radii.v.values())), 0).tolist()


def test_radii_are_of_the_rounds_that_have_a_deviation():
    prior = of_64_px()
    assert radii(ilo(prior, (1, 1, 1, 1))) == [INF, 300, 100, 30]
    assert radii(ilo(MLP, (1, 1))) == [INF, INF]
    assert radii(ilo(prior, (1, 1, 1), radii=3)) == [INF, 3, 3]
    assert radii(ilo(prior, (1, 1, 1), radii=(3, 4))) == [INF, 3, 4]
    assert radii(ilo(prior, (1, 1, 1), (0, 3, 1), radii=(3, 4))) == [INF, 3, 4]
    assert radii(algorithm_1(prior, (1, 1, 1), radii=3)) == [INF, 3, INF]
    assert radii(algorithm_1(prior, (1, 1, 1))) == [INF, 1000, INF]
    assert radii(dhar(prior, (1, 1), radii=3)) == [INF, 3]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ilo", {"radii": (1, 2, 3)}, "radii 1,2,3: expected one number, or one for each of 1"),
        ("ilo", {"rate": (1, 2, 3)}, "rate 1,2,3: expected one number, or one for each of 2"),
        ("ilo", {"objective": Mse() * [1.0, 2.0, 3.0]}, "weight of Mse: shape"),
        ("ilo", {"cuts": (0, 4)}, "cuts 0,4: expected numbers from 0 to 3, 2 of them"),
        ("ilo", {"cuts": (0, -1)}, "cuts 0,-1: expected numbers from 0 to 3, 2 of them"),
        ("ilo", {"cuts": (0,)}, "cuts 0: expected numbers from 0 to 3, 2 of them"),
        ("ilo", {"steps": (1,) * 3}, "steps 1,1,1: expected at most 2 numbers"),
        ("ilo", {"steps": ()}, "steps : expected positive numbers"),
        ("ilo", {"steps": (1, -1)}, "steps 1,-1: expected positive numbers"),
        ("ilo", {"steps": (0,)}, "steps 0: expected positive numbers"),
        ("csgm", {"steps": (1, 2)}, "steps 1,2: expected one number"),
        ("projector", {"steps": (1, 2)}, "steps 1,2: expected one number"),
        ("pulse", {"steps": (1, 2)}, "steps 1,2: expected one number"),
        ("dhar", {"steps": (1,)}, "steps 1: expected two numbers"),
        ("ilo-range", {"steps": (1, 2)}, "steps 1,2: expected one number, then two"),
        ("ilo-range", {"cuts": (1, 2)}, "cuts 1,2: expected numbers from 1 to 3, 1 of them"),
        ("ilo-range", {"cuts": (0,)}, "cuts 0: expected numbers from 1 to 3, 1 of them"),
    ],
)
def test_what_does_not_go_with_the_rounds_is_refused(name, settings, message):
    with pytest.raises(InputError, match=message):
        make(name, stylegan2(), **settings)


def test_pulse_is_silent_in_its_last_layer_and_counts_in_w():
    method = PRESETS["pulse"].make(stylegan2())
    assert list(stylegan2().starts())[int(method.start)] == "silent"
    # 100 L2 of images in [0, 1], clamped at 2e-3: 25 MSE of images in [-1, 1], clamped at 8e-3.
    (mse, geocross), weights = method.objective.terms, method.objective.weights
    assert [w.tolist() for w in weights] == [[25], [pytest.approx(0.05)]]
    assert mse == Mse(floor=4 * 2e-3)
    assert geocross == Regularizer("geocross_w")
    np.testing.assert_allclose(solved("pulse").x.inputs.noises[-1], 0, atol=1e-4)


def test_the_projector_searches_one_w_from_the_mean_on():
    prior = stylegan2()
    before, found = solved("projector", 0.0), solved("projector")
    w = np.broadcast_to(prior.generator.w_avg, (IMAGES, CONFIG.num_latents, CONFIG.w_dim))
    explored = in_numpy(jax.vmap(prior.w))(before.x.inputs)
    # Without steps it is the mean of W and the noise that explores, the same in all layers.
    off = np.asarray(explored - w)
    np.testing.assert_allclose(off, off[:, :1].repeat(4, 1), atol=1e-5)
    spread = 0.05 * float(prior.generator.proxy.spread())
    assert (np.sqrt(np.mean(off**2)) < 2 * spread).all()
    assert (found.x.inputs.w != before.x.inputs.w).all()
    np.testing.assert_array_equal(found.x.inputs.latents, before.x.inputs.latents)
    assert not found.x.inputs.w_plus.any()
    for noise in found.x.inputs.noises:
        np.testing.assert_allclose(noise.mean((1, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(noise.var((1, 2, 3)), 1, atol=1e-2)


def test_the_defaults_that_the_command_line_tells_are_those_of_the_functions():
    for name, preset in PRESETS.items():
        method = make(name, of_64_px(), steps=preset.steps)
        spaces = {"ilo-mean": ["w"], "robust": ["w", "w_plus", "styles"]}
        spaces |= {"brgm": ["w_plus"], "map": ["w_plus"]}
        units = np.array([of_64_px().unit(space) for space in spaces.get(name, ["latents"])])
        np.testing.assert_allclose(method.rate, np.broadcast_to(preset.rate * units, method.rounds))
        if preset.radii is not None:
            finite = [r for r in radii(method) if np.isfinite(r)]
            assert set(finite) == {preset.radii}
        assert bool(method.cuts) == (preset.has_radii or preset.cuts)
    assert np.array_equal(ilo(of_64_px()).steps, PRESETS["ilo"].steps)
