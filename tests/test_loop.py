"""Algorithm 1: what a round moves, its balls and spheres, lines 4 and 5, and a run by hand."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small
from small import (
    CONFIG,
    IMAGES,
    KEYS,
    MLP,
    OPERATOR,
    SHAPE,
    assert_close,
    assert_same,
    at,
    begun,
    measure,
    measured,
    normal,
    norms,
    render,
    rounds_of,
    run,
    shared,
    stylegan2,
    stylegan2_operator,
    stylegan2_truth,
    truth,
)

import ilo_jax
from ilo_jax.files.images import read_image
from ilo_jax.ops import Identity, Noisy
from ilo_jax.solve import (
    Method,
    Round,
    Run,
    Variables,
    algorithm_1,
    align,
    csgm,
    dhar,
    finish,
    ilo,
    init,
    reconstruct,
    step,
    steps,
)
from ilo_jax.solve.loop import Search
from ilo_jax.solve.rounds import ilo_ramp
from ilo_jax.solve.variables import code
from ilo_jax.stylegan2 import Inputs, apply_layers, initial_state

many_programs = True

SAMPLES = pathlib.Path(ilo_jax.__file__).parent / "app" / "samples"
WHOLE = (0, 3)
FIRST, SECOND = Round(12, inputs=WHOLE), Round(12, inputs=(1, 3), deviation=1)
codes = small.in_numpy(jax.vmap(code, (None, 0, None)), static_argnums=2)


def ball(radius, **changes):
    return Round(**{"steps": 12, "inputs": (1, 3), "deviation": 1, "radius": radius} | changes)


@functools.cache
def reference():
    """CSGM's round and one at cut 1, without a ball."""
    return run(rounds_of(FIRST, SECOND))


def after(method: Method, count: int) -> Run:
    """A run of the MLP after so many steps."""
    return steps(init(MLP, OPERATOR, measured(), KEYS, shared(method)), count)


def in_numpy(run: Run) -> Search:
    """Where it is."""
    return jax.device_get(run.search.replace(key=None))


def search(method: Method, count: int) -> Search:
    return in_numpy(after(method, count))


def test_csgm_is_the_first_round():
    both, csgm_alone = reference(), run(shared(csgm(MLP, 12)))
    assert_same(csgm_alone.rounds[0], both.rounds[0])
    assert_same(csgm_alone.image, both.rounds[0].image)
    assert (both.error < csgm_alone.error).all()


def test_the_best_image_is_kept_with_its_error():
    found = reference()
    kept = np.mean((measure(OPERATOR, found.image) - measured()) ** 2, -1)
    np.testing.assert_allclose(kept, found.error, rtol=1e-4)
    # From nothing, and by much.
    assert (found.error < 0.5 * np.mean(measured() ** 2, -1)).all()
    # A round that makes everything worse gives back what there was.
    worse = run(rounds_of(FIRST, ball(np.inf, rate=50.0)))
    assert_same(worse.rounds[0], found.rounds[0])
    assert (worse.error <= found.rounds[0].error).all()


def test_the_best_is_the_least_of_all_steps_and_the_last_is_not():
    method = rounds_of(Round(12, inputs=WHOLE, rate=5.0))
    errors, state = [], after(method, 0)
    for _ in range(12):
        if errors:  # of one term, the squared error
            np.testing.assert_allclose(state.search.loss, errors[-1], rtol=1e-3)
        found = measure(OPERATOR, render(MLP, state.search.x))
        errors.append(np.mean((found - measured()) ** 2, -1))
        state = step(state)
    best, last = jax.device_get(finish(state)), run(method.replace(keep="last"))
    np.testing.assert_allclose(best.error, np.min(errors, 0), rtol=1e-3)
    np.testing.assert_array_equal(best.found_at, np.argmin(errors, 0))
    np.testing.assert_allclose(last.error, errors[-1], rtol=1e-3)
    np.testing.assert_array_equal(last.found_at, 11)
    assert (best.found_at < 11).any()


def test_the_variables_of_a_result_give_its_image_back():
    for found in (reference(), run(rounds_of(FIRST, ball(3.0), Round(9, (2, 3), deviation=2)))):
        assert_close(render(MLP, found.x), found.image, 1e-5)


def test_a_round_moves_what_is_free_and_the_rest_stays_to_the_bit():
    begin, first = begun(MLP).inputs, search(rounds_of(FIRST, SECOND), 12).x
    assert (first.inputs != begin).all()
    assert not any(v.any() for v in first.v.values())
    second = search(rounds_of(FIRST, SECOND), 24).x
    assert_same(second.inputs, first.inputs)  # layer 0 alone reads them
    assert (second.v[1] != 0).all()
    assert not any(second.v[cut].any() for cut in (2, 3))
    deviation_alone = search(rounds_of(FIRST, Round(5, deviation=3)), 17).x
    assert_same(deviation_alone.inputs, first.inputs)
    assert [bool(deviation_alone.v[cut].any()) for cut in (1, 2, 3)] == [False, False, True]


def test_the_latent_stays_on_its_sphere_where_that_is_asked_for():
    start = np.linalg.norm(begun(MLP).inputs, axis=-1)
    free = np.linalg.norm(search(rounds_of(FIRST), 12).x.inputs, axis=-1)
    kept = np.linalg.norm(search(rounds_of(FIRST, constraint="sphere"), 12).x.inputs, axis=-1)
    assert (np.abs(free - start) > 1e-2).all()
    np.testing.assert_allclose(kept, start, rtol=1e-5)


@pytest.mark.parametrize("radius", [0.0, 0.5, 2.0])
def test_deviations_stay_in_their_ball_and_fill_one_that_binds(radius):
    found = search(rounds_of(FIRST, ball(radius)), 24)
    moved = norms(found.x.v[1] - found.center.v[1], -1)
    np.testing.assert_allclose(moved, radius, rtol=1e-4, atol=1e-6)
    assert (norms(search(rounds_of(FIRST, ball(np.inf)), 24).x.v[1], -1) > 2.5).all()


def test_balls_are_around_where_the_round_began():
    """A second round at a cut goes on from the deviation that the first one found."""
    first = search(rounds_of(FIRST, ball(2.0), ball(1.0)), 24).x
    second = search(rounds_of(FIRST, ball(2.0), ball(1.0)), 36)
    assert_same(second.center.v[1], first.v[1])
    moved = norms(second.x.v[1] - first.v[1], -1)
    assert (moved <= 1 + 1e-5).all()
    assert (moved > 0.1).all()


def test_rounds_may_go_back_to_an_earlier_cut():
    """The deeper deviation ends; the earlier one goes on from where it was."""
    deep = Round(12, inputs=(2, 3), deviation=2)
    method = rounds_of(FIRST, SECOND, deep, SECOND)
    forth, again = search(method, 36).x, search(method, 37)
    assert forth.v[2].any()
    assert not again.x.v[2].any()
    assert_same(again.center.v[1], forth.v[1])
    whole = run(method)
    assert (whole.error <= run(rounds_of(FIRST, SECOND, deep)).error).all()


def test_algorithm_1_as_printed():
    """Line 4 moves `v` in its ball and nothing else, line 5 the inputs towards `z^p` and nothing
    else, with `v = 0` behind it."""
    method = algorithm_1(
        MLP, (12, 8, 30, 8, 30), (1, 1), radii=1.5, rate=(0.1, 0.1, 0.02, 0.1, 0.02)
    )

    def x(count):
        return search(method, count).x

    line_1, line_4, line_5, again = x(12), x(20), x(50), x(58)
    assert_same(line_4.inputs, line_1.inputs)
    np.testing.assert_allclose(norms(line_4.v[1], -1), 1.5, rtol=1e-4)
    assert not line_5.v[1].any()
    assert (line_5.inputs != line_4.inputs).all()
    z_p = codes(MLP, line_4, 1)
    before, after = (np.sum((codes(MLP, v, 1) - z_p) ** 2, -1) for v in (line_1, line_5))
    assert (after < before).all()
    assert_same(again.inputs, line_5.inputs)
    np.testing.assert_allclose(norms(again.v[1], -1), 1.5, rtol=1e-4)
    # The image is that of line 4: line 5 generates none.
    found = run(shared(method))
    assert_same(found.rounds[1], found.rounds[2])
    assert (found.error < found.rounds[2].error).any()


def test_line_5_does_not_look_at_the_measurement():
    method = shared(algorithm_1(MLP, (12, 8, 30), (1,), radii=1.5))
    state = after(method, 20)
    data = state.problem.data
    other = state.problem.replace(data=data.replace(measurement=-7 * data.measurement))
    one, two = (in_numpy(steps(s, 30)) for s in (state, state.replace(problem=other)))
    assert_same((one.x, one.best), (two.x, two.best))


def test_the_extended_range_is_the_range_and_a_ball():
    """Dhar et al.: inputs and a deviation of the image together."""
    method = shared(dhar(MLP, (12, 12), radii=0.5))
    before, after = search(method, 12).x, search(method, 24).x
    assert (after.inputs != before.inputs).all()
    in_range = render(MLP, after.replace(v={}))
    moved = norms(render(MLP, after) - in_range, (1, 2, 3))
    np.testing.assert_allclose(moved, 0.5, rtol=1e-3)
    assert_same(run(method).rounds[0], reference().rounds[0])
    # Without deviations it is CSGM, begun twice.
    twice = run(rounds_of(FIRST, FIRST))
    assert_close(run(shared(dhar(MLP, (12, 12), radii=0.0))).image, twice.image, 1e-6)


def test_behind_the_last_layer_the_image_itself_is_searched():
    found = run(rounds_of(Round(100, deviation=3, rate=0.3)))
    assert (found.error < 1e-4 * np.mean(measured() ** 2, -1)).all()


def test_sna_adds_the_noise_of_the_operator():
    operator = Noisy(SHAPE, Identity(SHAPE), jnp.float32(0.5), clip=False)
    method = Method.create(MLP, [Round(30, inputs=WHOLE)])
    # Nothing moves without the noise, since the truth is where it starts.
    at_truth = Variables(begun(MLP).inputs, {})
    y = render(MLP, at_truth)
    noisy, plain = (
        in_numpy(steps(init(MLP, operator, y, KEYS, method.replace(sna=sna), initial=at_truth), 30))
        for sna in (None, False)
    )
    assert_close(plain.x.inputs, at_truth.inputs, 1e-3)
    assert (np.abs(noisy.x.inputs - at_truth.inputs).max(-1) > 0.05).all()


def test_under_sna_the_best_is_not_the_one_with_the_luckiest_noise():
    """Of thirty equal images the first is kept: noise differs in the objective, not in what
    compares them, and from image to image."""
    operator = Noisy(SHAPE, Identity(SHAPE), jnp.float32(0.5), clip=False)
    still = Method.create(MLP, [Round(30, inputs=WHOLE, rate=0.0)])
    found = run(still, operator=operator, measurement=truth())
    np.testing.assert_array_equal(found.found_at, 0)
    noiseless = np.mean((found.image - truth()) ** 2, (1, 2, 3))
    added = np.asarray(found.error) - noiseless
    assert (np.abs(added) > 0.01).all()
    assert len(np.unique(added)) == IMAGES


def by_hand(loss, keep, x, rounds):
    """Rounds of `(steps, rate, free)` on one image: Adam, ramp, projection, and the best of all."""
    least, best = np.inf, x
    adam = optax.scale_by_adam()
    update, ramp = jax.jit(adam.update), jax.jit(ilo_ramp)
    for index, (count, rate, free) in enumerate(rounds):
        state, center = adam.init(x), x
        for i in range(count):
            (_, error), slope = jax.device_get(loss(index, x))
            if error < least:
                least, best = float(error), x
            slope = jax.tree.map(lambda g, m: g * m, slope, free)
            updates, state = jax.device_get(update(slope, state))
            step = rate * float(ramp(np.float32(i / count)))
            moved = keep(index, jax.tree.map(lambda a, u, s=step: a - s * u, x, updates), center)
            x = jax.tree.map(lambda m, a, b: np.where(m, a, b).astype(np.float32), free, moved, x)
    return x, least, best


def nearest_in_ball(d, radius):
    """By bisection on the threshold."""
    low, high = 0.0, np.abs(d).max()
    if np.abs(d).sum() <= radius:
        return d
    for _ in range(60):
        middle = (low + high) / 2
        above = np.maximum(np.abs(d) - middle, 0).sum() > radius
        low, high = (middle, high) if above else (low, middle)
    return np.sign(d) * np.maximum(np.abs(d) - high, 0)


def test_a_run_equals_one_written_out():
    """Without scan, vmap, cond and the composition of parts: two rounds of the MLP on one image."""
    y, radius = measured()[0], 0.5

    @jax.jit
    def generate(z, v):
        one, two, three = MLP.params
        hidden = jnp.tanh(one["kernel"] @ z + one["bias"]) + v
        hidden = jnp.tanh(two["kernel"] @ hidden + two["bias"])
        return jnp.tanh(three["kernel"] @ hidden + three["bias"]).reshape(SHAPE)

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def error(x):
        value = jnp.mean((OPERATOR(generate(*x)) - y) ** 2)
        return value, value

    def keep(index, x, center):
        z, v = x
        z = z * (np.linalg.norm(center[0]) / np.linalg.norm(z))
        return z, center[1] + nearest_in_ball(np.asarray(v - center[1]), radius) if index else v

    start = (at(begun(MLP).inputs, 0), np.zeros(10, np.float32))
    rounds = [(5, 0.1, (1.0, 0.0)), (7, 0.2, (0.0, 1.0))]
    x, least, best = by_hand(lambda _, x: error(x), keep, start, rounds)
    method = rounds_of(
        Round(5, inputs=WHOLE), Round(7, deviation=1, radius=radius, rate=0.2), constraint="sphere"
    )
    found = search(method, 12)
    np.testing.assert_allclose(found.x.inputs[0], x[0], atol=1e-4)
    np.testing.assert_allclose(found.x.v[1][0], x[1], atol=1e-4)
    result = run(method)
    np.testing.assert_allclose(result.error[0], least, rtol=1e-3)
    np.testing.assert_allclose(result.image[0], generate(*best), atol=1e-4)


@functools.cache
def stylegan2_run(radius_latents=np.inf, radius_noises=np.inf):
    """CSGM's round and one at cut 1 with balls: what there is before each step, and at the end."""
    prior = stylegan2()
    y = measure(stylegan2_operator(), stylegan2_truth())
    radii = (np.array([np.inf, radius]) for radius in (radius_latents, radius_noises))
    latents, noises = radii
    inputs = Inputs(latents, None, None, None, noises)
    method = ilo(prior, (4, 6), radii=20.0, radii_inputs=inputs)
    state = init(prior, stylegan2_operator(), y, KEYS, method)
    found = []
    for _ in range(10):
        found.append(in_numpy(state))
        state = step(state)
    return [*found, in_numpy(state)]


@pytest.mark.slow
def test_latents_and_noise_maps_of_stylegan2():
    """What a round frees moves on its spheres; latents and maps in front of its cut do not."""
    start, csgm_round, end = (stylegan2_run()[t].x for t in (0, 4, 10))
    assert_same(start.inputs, begun(stylegan2()).inputs)
    for x in (csgm_round, end):
        norm = functools.partial(np.linalg.norm, axis=-1)
        np.testing.assert_allclose(norm(x.inputs.latents), norm(start.inputs.latents), rtol=1e-5)
        for noise, before in zip(x.inputs.noises, start.inputs.noises, strict=True):
            flat = (norm(n.reshape(IMAGES, -1)) for n in (noise, before))
            np.testing.assert_allclose(*flat, rtol=1e-5)
        assert not any(np.any(d) for d in jax.tree.leaves((x.inputs.w, x.inputs.w_plus)))
    assert (csgm_round.inputs.latents != start.inputs.latents).all()
    assert_same(end.inputs.latents[:, 0], csgm_round.inputs.latents[:, 0])
    assert (end.inputs.latents[:, 1:] != csgm_round.inputs.latents[:, 1:]).all()
    moved = [
        bool((a != b).any())
        for a, b in zip(end.inputs.noises, csgm_round.inputs.noises, strict=True)
    ]
    assert moved == [False, True, True]
    np.testing.assert_allclose(norms(end.v[1], (1, 2, 3)), 20.0, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_inputs_may_have_balls_too(scale):
    """Of all latents as one vector, and of each noise map."""
    found = stylegan2_run(2.0 * scale, 1.0 * scale)[-1]
    moved = norms(found.x.inputs.latents - found.center.inputs.latents, (1, 2))
    np.testing.assert_allclose(moved, 2.0 * scale, rtol=1e-3, atol=1e-5)
    for noise, center in zip(found.x.inputs.noises, found.center.inputs.noises, strict=True):
        assert (norms(noise - center, (1, 2, 3)) <= scale + 1e-3).all()
    np.testing.assert_allclose(norms(found.x.v[1], (1, 2, 3)), 20.0, rtol=1e-4)


def test_a_run_of_stylegan2_equals_one_written_out():
    generator, y = stylegan2().generator, measure(stylegan2_operator(), stylegan2_truth()[0])

    def geodesic(latents):
        x = latents / jnp.linalg.norm(latents, axis=-1, keepdims=True)
        angle = 2 * jnp.arctan2(
            jnp.linalg.norm(x[:, None] - x + 1e-12, axis=-1),
            jnp.linalg.norm(x[:, None] + x, axis=-1),
        )
        return jnp.mean(angle**2) * latents.shape[-1] / 8

    @jax.jit
    @functools.partial(jax.value_and_grad, argnums=1, has_aux=True)
    def loss(index, x):
        latents, noises, v = x
        w = generator.proxy(latents)
        state = apply_layers(generator, initial_state(generator), w, noises, 0, 1)
        state = state._replace(features=state.features + v)
        image = apply_layers(generator, state, w, noises, 1, CONFIG.num_layers).rgb
        assert image is not None
        error = jnp.mean((stylegan2_operator()(image) - y) ** 2)
        free = jnp.where(index, geodesic(latents[1:]), geodesic(latents))
        return error + 0.001 * free, error

    def keep(index, x, center):
        (latents, noises, v), (latents0, noises0, v0) = x, center
        size = functools.partial(np.linalg.norm, axis=-1, keepdims=True)
        latents = latents * size(latents0) / size(latents)
        noises = tuple(
            n * np.linalg.norm(n0) / np.linalg.norm(n)
            for n, n0 in zip(noises, noises0, strict=True)
        )
        return latents, noises, v0 + nearest_in_ball(np.asarray(v - v0), 20.0) if index else v

    start = stylegan2_run()[0].x
    start = at((start.inputs.latents, start.inputs.noises, start.v[1]), 0)
    rows = np.array([[0], [1], [1], [1]], np.float32)
    rounds = [
        (4, 0.1, (np.ones((4, 1), np.float32), (1.0, 1.0, 1.0), 0.0)),
        (6, 0.1, (rows, (0.0, 1.0, 1.0), 1.0)),
    ]
    x, least, _ = by_hand(loss, keep, start, rounds)
    found = stylegan2_run()[-1]
    np.testing.assert_allclose(found.x.inputs.latents[0], x[0], atol=1e-3)
    assert_close(at(found.x.inputs.noises, 0), x[1], 1e-3)
    np.testing.assert_allclose(found.x.v[1][0], x[2], atol=1e-2)
    np.testing.assert_allclose(found.best.error[0], least, rtol=1e-2)


def test_ilo_reaches_what_is_not_in_the_range():
    noise = np.float32(0.4) * normal(2, *truth().shape)
    beyond = measure(OPERATOR, np.clip(truth() + noise, -1, 1))
    methods = csgm(MLP, 100), ilo(MLP, (50, 50), (0, 1), radii=5.0)
    errors = [run(shared(method), measurement=beyond).error for method in methods]
    assert (errors[1] < errors[0] / 2).all()


@pytest.mark.slow
def test_ilo_beats_csgm_by_far_on_inversion_of_the_bundled_samples():
    prior = ilo_jax.load("chest64")
    operator, files = (
        Identity(prior.image_shape),
        [SAMPLES / f"radiograph_0{i}.png" for i in (0, 1)],
    )
    y = jnp.stack([jnp.asarray(read_image(file, prior.image_shape)[0]) for file in files])
    csgm_error, ilo_error = (
        reconstruct(prior, operator, y, jax.random.key(0), method).error.mean()
        for method in align([csgm(prior, 90), ilo(prior, (40, 50), radii=np.inf)])
    )
    assert ilo_error < csgm_error / 4
    assert ilo_error < 0.003
