import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ilo_jax.errors import InputError
from ilo_jax.ops import Identity, Noisy, Operator, partial_circulant
from ilo_jax.solve.cuts import (
    Cut,
    ExtendedRange,
    RangeProjection,
    Solution,
    Variables,
    get_code,
)
from ilo_jax.solve.images import read_image
from ilo_jax.solve.loop import Problem, objective, solve, start
from ilo_jax.solve.losses import LOSSES, Data
from ilo_jax.solve.schedule import (
    Round,
    Schedule,
    Search,
    algorithm_1,
    hyper_parameters,
    ilo_ramp,
    ilo_schedule,
)
from ilo_jax.solve.spaces import Sphere
from ilo_jax.stylegan2 import (
    GeneratorConfig,
    apply_layers,
    initial_state,
    load,
    map_latents,
    random_generator,
    synthesize,
)

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "ilo.npz")
SAMPLES = pathlib.Path(__file__).parents[1] / "ilo_jax" / "solve" / "samples"

# 8 px: three layers and noise maps, four latents. The first round leaves the last noise map alone.
CONFIG = GeneratorConfig(channels=(16, 8), w_dim=16, z_dim=16, mapping_layers=2)
GENERATOR = jax.jit(random_generator, static_argnums=0)(CONFIG, jax.random.key(0))
FIRST, SECOND = Cut(0, 2), Cut(1, 3)
STEPS = 12
SCHEDULE = Schedule((Round(FIRST, STEPS), Round(SECOND, STEPS)))
OPERATOR = partial_circulant(jax.random.key(1), CONFIG.image_shape, 60)
IMAGES = 3
KEYS = jax.random.split(jax.random.key(2), IMAGES)


@functools.cache
def truth():
    z = jax.random.normal(jax.random.key(3), (IMAGES, CONFIG.z_dim))
    return jax.jit(synthesize)(GENERATOR, map_latents(GENERATOR, z))


def reconstruct(
    measurement: Any = None,
    keys: jax.Array = KEYS,
    schedule: Schedule = SCHEDULE,
    operator: Operator = OPERATOR,
    initial: Solution | None = None,
    **hyper: Any,
) -> tuple[list[Solution], list[tuple[int, int, jax.Array]]]:
    """With progress, so that nearly all tests run the same compiled programs."""
    measurement = operator(truth()) if measurement is None else measurement
    numbers = hyper_parameters(len(schedule.rounds), **hyper)
    calls = []
    found = solve(
        GENERATOR,
        operator,
        measurement,
        keys,
        schedule,
        numbers,
        initial=initial,
        progress=lambda *c: calls.append(c),
    )
    return found, calls


@functools.cache
def reference():
    return reconstruct()


def at(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b, tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


def test_the_same_keys_give_the_same_bytes_and_others_do_not():
    found, _ = reference()
    again, _ = reconstruct()
    assert_same(found, again)
    other, _ = reconstruct(keys=jax.random.split(jax.random.key(9), IMAGES))
    assert (other[-1].latents != found[-1].latents).all()
    one_key = reconstruct(keys=jax.random.key(2))[0]
    assert_same(one_key, found)


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    found, _ = reference()
    y = OPERATOR(truth())
    # Not to the bit: where an image lies in a batch may change how a processor rounds it.
    filled, _ = reconstruct(y[jnp.array([1, 1, 1])], KEYS[jnp.array([1, 1, 1])])
    assert_close(at(filled, 0), at(found, 1), 1e-4)
    turned, _ = reconstruct(y[::-1], KEYS[::-1])
    assert_close(at(turned, slice(None, None, -1)), found, 1e-4)


def test_batches_of_another_size_differ_by_rounding_only():
    alone, _ = reconstruct(OPERATOR(truth())[:1], KEYS[:1])
    assert_close(alone, at(reference()[0], slice(1)), 1e-4)


def test_progress_is_reported_by_round_and_changes_nothing():
    found, calls = reference()
    assert [(r, steps) for r, steps, _ in calls] == [(0, 6), (0, 12), (1, 6), (1, 12)]
    assert all(mse.shape == (IMAGES,) for *_, mse in calls)
    whole = solve(GENERATOR, OPERATOR, OPERATOR(truth()), KEYS, SCHEDULE, hyper_parameters(2))
    assert_close(whole, found, 1e-4)  # another program: rounded otherwise


def test_csgm_is_the_first_round():
    found, _ = reference()
    csgm, _ = reconstruct(schedule=Schedule(SCHEDULE.rounds[:1]))
    assert_close(csgm[0], found[0], 1e-4)  # another program: rounded otherwise
    assert len(csgm) == 1


def test_the_best_image_is_kept_with_its_error():
    found, calls = reference()
    errors = np.array([solution.error for solution in found])
    assert (errors[1] <= errors[0]).all()
    for r, solution in enumerate(found):
        seen = np.min([mse for index, _, mse in calls if index == r], axis=0)
        assert (solution.error <= seen).all()
        kept = jax.vmap(OPERATOR.error)(OPERATOR(solution.image), OPERATOR(truth()))
        np.testing.assert_allclose(kept, solution.error, rtol=1e-4)
    # From nothing, and by much.
    blank = jax.vmap(OPERATOR.error)(0 * OPERATOR(truth()), OPERATOR(truth()))
    assert (errors[1] < 0.5 * blank).all()
    # A round that makes everything worse gives back what there was.
    worse, _ = reconstruct(learning_rate=np.array([0.1, 50.0]))
    assert_same(worse[0], found[0])
    assert (worse[1].error <= found[0].error).all()


def started():
    split = jax.vmap(jax.random.split)(KEYS)
    return jax.vmap(functools.partial(start, GENERATOR, Sphere()))(split[:, 0])


def test_latents_and_noise_maps_stay_on_their_spheres():
    before = started()
    for solution in reference()[0]:
        np.testing.assert_allclose(
            jnp.linalg.norm(solution.latents, axis=-1),
            jnp.linalg.norm(before.latents, axis=-1),
            rtol=1e-5,
        )
        for noise, start_noise in zip(solution.noises, before.noises, strict=True):
            lengths = [
                jnp.linalg.norm(n.reshape(IMAGES, -1), axis=-1) for n in (noise, start_noise)
            ]
            np.testing.assert_allclose(*lengths, rtol=1e-5)


def test_a_round_optimizes_what_its_cut_says():
    before, (first, second) = started(), reference()[0]
    assert (first.latents != before.latents).all()
    moved = [(a != b).any() for a, b in zip(first.noises, before.noises, strict=True)]
    assert moved == [True, True, False]
    moved = [(a != b).any() for a, b in zip(second.noises, first.noises, strict=True)]
    assert moved == [False, True, True]
    # Latents that feed layers before the cut are no longer used: nothing pulls at them.
    moved = [(second.latents[:, i] != first.latents[:, i]).any() for i in range(4)]
    assert moved[1:] == [True, True, True]
    np.testing.assert_allclose(second.latents[:, 0], first.latents[:, 0], rtol=1e-5)


@jax.jit
def entered(solution):
    """What the second round starts from, given the first one's solution."""
    return jax.vmap(functools.partial(SECOND.enter, GENERATOR, Sphere()))(solution)


def test_entering_a_round_keeps_the_generated_image():
    solution = entered(reference()[0][0])
    w = GENERATOR.proxy(solution.latents)

    @jax.jit
    def both(solution, w):
        rest = apply_layers(GENERATOR, solution.state, w, solution.noises, 1, CONFIG.num_layers)
        return rest.rgb, synthesize(GENERATOR, w, solution.noises)

    continued, whole = both(solution, w)
    assert_close(continued, whole, 1e-4)
    assert (solution.layer, solution.state.features.shape) == (1, (IMAGES, 4, 4, 16))


RADII = {"radius_code": 5.0, "radius_latents": 2.0, "radius_noises": 1.0}


@pytest.mark.parametrize("name", RADII)
@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_every_round_stays_in_its_l1_balls(name, scale):
    radius = scale * RADII[name]
    limit: Any = {name: np.array([np.inf, radius])}
    found, _ = reconstruct(**limit)
    assert_close(found[0], reference()[0][0], 1e-4)  # another program: rounded otherwise
    before, after = entered(found[0]), found[1]
    pairs = {
        "radius_code": [(before.state.features, after.state.features)],
        "radius_latents": [(before.latents, after.latents)],
        "radius_noises": list(zip(before.noises, after.noises, strict=True)),
    }
    for other, arrays in pairs.items():
        for a, b in arrays:
            moved = np.abs(a - b).reshape(IMAGES, -1).sum(-1)
            if other == name:
                # The centre plus a step, rounded.
                assert (moved <= radius + 1e-6 * np.abs(a).sum()).all()
    assert any((a != b).any() for n, p in pairs.items() if n != name for a, b in p)


def test_balls_that_bind_are_filled():
    found, _ = reconstruct(radius_code=np.array([np.inf, 5.0]))
    features = entered(found[0]).state.features, found[1].state.features
    moved = np.abs(features[0] - features[1]).sum((1, 2, 3))
    np.testing.assert_allclose(moved, 5.0, rtol=1e-4)


def test_numbers_may_differ_by_image_and_by_round():
    rates = np.array([[0.1, 0.1], [0.05, 0.2], [0.2, 0.02]], np.float32)
    y, together = OPERATOR(truth()), hyper_parameters(2).replace(learning_rate=jnp.asarray(rates))
    found = solve(GENERATOR, OPERATOR, y, KEYS, SCHEDULE, together, progress=lambda *_: None)
    for i, rate in enumerate(rates):
        separate, _ = reconstruct(learning_rate=rate)
        assert_same(at(found, i), at(separate, i))


def test_a_sweep_in_one_program_equals_separate_runs():
    y = OPERATOR(truth())

    @jax.jit
    @jax.vmap
    def sweep(rate):
        numbers = hyper_parameters(2, learning_rate=rate)
        return solve(GENERATOR, OPERATOR, y, KEYS, SCHEDULE, numbers)[-1].image

    rates = jnp.array([0.05, 0.1])
    separate = jnp.stack([reconstruct(learning_rate=r)[0][-1].image for r in rates])
    np.testing.assert_allclose(sweep(rates), separate, atol=1e-3)


def test_sna_adds_the_noise_of_the_operator_at_every_step():
    shape, sigma = CONFIG.image_shape, 0.3
    operator = Noisy(shape, Identity(shape), jnp.float32(sigma), clip=False)
    schedule = Schedule((Round(FIRST, 24),), Search(sna=True))
    # Nothing moves, so that only the noise makes a difference.
    frozen = functools.partial(reconstruct, operator=operator, learning_rate=0.0)
    _, noisy = frozen(schedule=schedule)
    _, plain = frozen(schedule=Schedule(schedule.rounds))
    noisy, plain = (np.array([mse for *_, mse in calls]) for calls in (noisy, plain))
    assert (np.abs(np.diff(plain, axis=0)) < 1e-5).all()
    assert (np.abs(np.diff(noisy, axis=0)) > 1e-5).all()
    assert np.mean(noisy - plain) == pytest.approx(sigma**2, rel=0.5)


def test_a_round_equals_one_written_out():
    """Without scan, vmap and the loop's own Adam: four steps of CSGM's round on one image."""
    steps, y = 4, OPERATOR(truth()[0])
    schedule = Schedule((Round(FIRST, steps),))
    found = solve(GENERATOR, OPERATOR, y[None], KEYS[:1], schedule, hyper_parameters(1))[0]

    origin = at(started(), 0)
    hyper = at(hyper_parameters(1), 0)
    problem = Problem(GENERATOR, OPERATOR, {name: LOSSES[name]() for name in hyper.weights})
    targets = dict.fromkeys(problem.losses)
    fixed = Search(), FIRST, hyper, Data(y), targets, origin, KEYS[0], jnp.float32(0)
    loss = functools.partial(objective, problem, *fixed)
    gradient = jax.jit(jax.grad(loss, has_aux=True))
    adam = optax.adam(lambda count: 0.1 * ilo_ramp(jnp.asarray(count) / steps))
    variables = Variables(origin.latents, origin.noises[:2], None)
    state, errors = adam.init(variables), []  # pyright: ignore[reportArgumentType]
    for _ in range(steps):
        slope, (_, mse) = gradient(variables)
        errors.append(mse)
        updates, state = adam.update(slope, state)
        variables = jax.tree.map(jnp.add, variables, updates)
        variables = Variables(
            variables.latents
            / jnp.linalg.norm(variables.latents, axis=-1, keepdims=True)
            * jnp.linalg.norm(origin.latents, axis=-1, keepdims=True),
            tuple(
                n / jnp.linalg.norm(n) * jnp.linalg.norm(n0)
                for n, n0 in zip(variables.noises, origin.noises[:2], strict=True)
            ),
            None,
        )
    np.testing.assert_allclose(found.latents[0], variables.latents, atol=1e-4)
    assert_close(at(found.noises[:2], 0), variables.noises, 1e-4)
    np.testing.assert_allclose(found.error[0], min(errors), rtol=1e-4)


def test_ramp_at_known_points():
    t = np.array([0.0, 0.025, 0.05, 0.25, 0.625, 0.8125, 1.0])
    down = 0.5 - 0.5 * np.cos(np.pi * np.array([1, 1, 1, 1, 0.5, 0.25, 0]))
    up = np.array([0, 0.5, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(ilo_ramp(jnp.asarray(t)), up * down, atol=1e-6)


def test_schedule_at_64_px():
    config = GeneratorConfig(channels=(128, 128, 128, 64, 32), w_dim=64)
    cuts = [r.cut for r in ilo_schedule(config, (1, 2, 3, 4)).rounds]
    assert cuts == [Cut(0, 5), Cut(1, 7), Cut(3, 9), Cut(5, 9)]
    assert [r.steps for r in ilo_schedule(config, (1, 2, 3, 4)).rounds] == [1, 2, 3, 4]
    for steps in [(), (0,), (1, -1)]:
        with pytest.raises(InputError, match="expected positive numbers"):
            ilo_schedule(config, steps)
    with pytest.raises(InputError, match="at most 5 numbers"):
        ilo_schedule(config, (1,) * 6)
    for layers in [(0,), (0, 10), (0, -1)]:
        with pytest.raises(InputError, match="expected numbers from 0 to 9"):
            ilo_schedule(config, (1, 1), layers)


def test_algorithm_1_alternates_balls_and_projections():
    config = GeneratorConfig(channels=(128, 128, 128, 64, 32), w_dim=64)
    rounds = algorithm_1(config, (9, 8, 7, 6, 5)).rounds
    assert [r.steps for r in rounds] == [9, 8, 7, 6, 5]
    line_4, line_5 = Cut(3, 7), RangeProjection(3, 7)
    assert [r.cut for r in rounds] == [Cut(0, 5), line_4, line_5, Cut(3, 9), RangeProjection(3, 9)]
    assert (line_4.has_code, line_5.has_code) == (True, False)
    assert [r.cut.layer for r in algorithm_1(config, (1, 1, 1), (5,)).rounds] == [0, 5, 5]
    with pytest.raises(InputError, match="then two a repetition"):
        algorithm_1(config, (1, 1))
    with pytest.raises(InputError, match="expected numbers from 0 to 9, 1 of them"):
        algorithm_1(config, (1, 1, 1), (1, 2))
    with pytest.raises(InputError, match="expected a round there before"):
        Schedule((Round(line_5, 1),))


def test_ilo_beats_csgm_by_far_on_inversion_of_the_bundled_samples():
    generator = load("chest64")
    shape = generator.config.image_shape
    files = [SAMPLES / f"radiograph_{i:02}.png" for i in (0, 1)]
    image = jnp.stack([jnp.asarray(read_image(file, shape)[0]) for file in files])
    errors = {}
    # Chunks of ten steps: the first round of both is one program.
    for method, steps in {"csgm": (90,), "ilo": (40, 50)}.items():
        found = solve(
            generator,
            Identity(shape),
            image,
            jax.random.key(0),
            ilo_schedule(generator.config, steps),
            hyper_parameters(len(steps)),
            progress=lambda *_: None,
        )
        errors[method] = float(found[-1].error.mean())
    assert errors["ilo"] < errors["csgm"] / 4
    assert errors["ilo"] < 0.003


def test_a_projection_ends_in_the_range_nearer_to_the_code():
    ball, back = Round(SECOND, STEPS), Round(RangeProjection(1, 3), STEPS)
    rounds = (SCHEDULE.rounds[0], ball, back)
    (_, before, after), calls = reconstruct(
        schedule=Schedule(rounds),
        radius_code=np.array([np.inf, 50.0, np.inf]),
        learning_rate=np.array([0.1, 0.1, 0.02]),
    )
    assert_same((after.image, after.error), (before.image, before.error))
    w = GENERATOR.proxy(after.latents)
    start = initial_state(GENERATOR, (IMAGES,))
    in_range = apply_layers(GENERATOR, start, w, after.noises, 0, 1)
    assert_close(after.state, in_range, 1e-4)

    def distance(solution):
        code = before.state.features
        w = GENERATOR.proxy(solution.latents)
        reached = apply_layers(GENERATOR, start, w, solution.noises, 0, 1).features
        return np.mean((reached - code) ** 2, (1, 2, 3))

    assert (distance(after) < distance(before)).all()
    # What is reported is the distance, and measurements play no part.
    np.testing.assert_allclose(calls[-1][2], distance(after), rtol=0.3)
    unmeasured, _ = reconstruct(
        OPERATOR(jnp.zeros_like(truth())), schedule=Schedule((ball, back)), initial=before
    )
    assert (unmeasured[-1].noises[1] == unmeasured[0].noises[1]).all()


@pytest.mark.parametrize("layer", [1, CONFIG.num_layers])
def test_the_extended_range_is_the_range_and_a_ball(layer):
    both = Schedule((Round(ExtendedRange(layer, 2), STEPS),))
    (found,), _ = reconstruct(schedule=both, radius_code=4.0)
    before = started()
    assert (found.latents != before.latents).all()
    w = GENERATOR.proxy(found.latents)
    start = initial_state(GENERATOR, (IMAGES,))
    in_range = apply_layers(GENERATOR, start, w, found.noises, 0, layer)
    reached, expected = (get_code(GENERATOR, layer, s) for s in (found.state, in_range))
    deviation = np.abs(reached - expected).reshape(IMAGES, -1).sum(-1)
    np.testing.assert_allclose(deviation, 4.0, rtol=1e-2)
    none, _ = reconstruct(schedule=both, radius_code=0.0)
    csgm, _ = reconstruct(schedule=Schedule(SCHEDULE.rounds[:1]))
    assert_close(none[0].image, csgm[0].image, 1e-3)


def test_behind_the_last_layer_the_image_itself_is_optimized():
    last = Schedule((Round(Cut(CONFIG.num_layers, 0), 40),))
    identity = Identity(CONFIG.image_shape)
    (found,), _ = reconstruct(truth(), schedule=last, operator=identity, learning_rate=1.0)
    assert (found.error < 0.02 * np.mean(truth() ** 2, (1, 2, 3))).all()


def test_rounds_may_go_back_to_an_earlier_layer():
    deep, back = Round(Cut(2, 3), STEPS), Round(SECOND, STEPS)
    forth, _ = reconstruct(schedule=Schedule((*SCHEDULE.rounds, deep)))
    again, _ = reconstruct(schedule=Schedule((*SCHEDULE.rounds, deep, back)))
    assert_same(again[:3], forth)
    assert [s.layer for s in again] == [0, 1, 2, 1]
    # It starts from the code that was found there, and ends no worse.
    moved = np.abs(again[3].states[1].features - forth[1].states[1].features)
    assert 0 < moved.max() < 2
    assert (again[3].error <= forth[2].error).all()


def test_a_run_can_start_from_an_earlier_solution():
    csgm, _ = reconstruct(schedule=Schedule(SCHEDULE.rounds[:1]))
    frozen, _ = reconstruct(initial=csgm[0], learning_rate=0.0)
    assert_close(frozen[0].latents, csgm[0].latents, 1e-5)
    # Its error was of another measurement: it does not count.
    other = OPERATOR(-truth())
    found, _ = reconstruct(other, initial=csgm[0].replace(error=jnp.zeros(IMAGES)))
    kept = jax.vmap(OPERATOR.error)(OPERATOR(found[-1].image), other)
    np.testing.assert_allclose(kept, found[-1].error, rtol=1e-4)


def test_an_unknown_loss_is_refused():
    with pytest.raises(InputError, match="loss msee: expected one of mse"):
        reconstruct(msee=1.0)
    numbers = hyper_parameters(2, reference=1.0)
    with pytest.raises(InputError, match="no reference image"):
        solve(GENERATOR, OPERATOR, OPERATOR(truth()), KEYS, SCHEDULE, numbers)
