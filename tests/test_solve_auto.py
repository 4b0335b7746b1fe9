"""The automatic choice: what is held out, whose choice it is, and that it is a run like others."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import (
    IMAGES,
    KEYS,
    MASKED,
    MLP,
    OPERATOR,
    SHAPE,
    at,
    measure,
    measured,
    stylegan2,
    truth,
    without,
)

import ilo_jax
from ilo_jax.errors import InputError
from ilo_jax.ops import Identity, Noisy, box_inpainting, custom, denoising, inpainting
from ilo_jax.solve import (
    COMBINE,
    EFFORTS,
    NOT_FINITE,
    OK,
    Auto,
    DeadZone,
    Mse,
    Term,
    csgm,
    ilo,
    reconstruct_auto,
)
from ilo_jax.solve.candidates import (
    CANDIDATES,
    candidates,
    knowing_noise,
    quickened,
    shortened,
    with_usual_radii,
)
from ilo_jax.solve.method import ADAM
from ilo_jax.solve.optimizers import NORMALIZED, QUICK_ADAM
from ilo_jax.solve.restarts import divided, exponential_weights
from ilo_jax.solve.rounds import constant, ilo_ramp, quick_ramp

numerics_elsewhere = True

METHOD = ilo(MLP, (12, 12), radii=20.0)
AUTO = Auto(("narrow balls", "wide balls"), restarts=2)


@pytest.fixture
def held_out(monkeypatch):
    """What the trial of a choice holds out."""
    from ilo_jax.solve import auto

    seen = []

    def sweep_runs(*args, held_out=None, **options):
        seen.append(held_out)
        raise StopIteration

    monkeypatch.setattr(auto, "sweep_runs", sweep_runs)

    def of(operator, measurement, keys):
        seen.clear()
        with pytest.raises(StopIteration):
            reconstruct_auto(MLP, operator, measurement, keys, METHOD, AUTO)
        return np.asarray(seen[0])

    return of


@functools.cache
def reference():
    """Of images that have a mask each."""
    measurement = measure(MASKED, truth())
    return reconstruct_auto(MLP, MASKED, measurement, KEYS, METHOD, AUTO)


def test_what_is_held_out_of_an_image_depends_on_its_key_alone(held_out):
    operator = box_inpainting(SHAPE, 1)
    together = held_out(operator, measure(operator, truth()), KEYS)
    assert together.shape[0] == IMAGES
    assert (together[0] != together[1]).any()
    assert 0 < together.sum() < together.size
    for i in (0, 2):
        alone = held_out(operator, measure(operator, truth())[i : i + 1], KEYS[i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])
    turned = held_out(operator, measure(operator, truth())[::-1], KEYS[::-1])
    np.testing.assert_array_equal(turned[::-1], together)


def test_what_is_held_out_of_an_image_is_in_its_own_mask(held_out):
    measurement = measure(MASKED, truth())
    chosen = held_out(MASKED, measurement, KEYS)
    assert (chosen <= np.asarray(MASKED.mask)).all()
    assert (chosen.sum((1, 2, 3)) >= 1).all()


def test_noise_and_held_out_pixels_have_nothing_in_common(held_out):
    """Not the least noisy ones, as when both come from one key."""
    keys = jax.random.split(jax.random.key(5), 20)
    operator = denoising(SHAPE, 25.0)
    y = jax.vmap(operator.measure)(jax.random.split(jax.random.key(6), 3), truth())
    noise = np.abs(np.asarray(y - truth()))
    inside = np.abs(np.asarray(y)) < 1
    found = []
    for key in keys:
        chosen = held_out(operator, y, jax.random.split(key, IMAGES)) > 0
        chosen = np.broadcast_to(chosen, noise.shape)
        found.append(noise[chosen & inside].mean() - noise[~chosen & inside].mean())
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


def test_a_choice_does_not_depend_on_the_neighbours():
    found = reference()
    operator = inpainting(SHAPE, MASKED.mask[1:2])
    alone = reconstruct_auto(
        *(MLP, operator, measure(operator, truth()[1:2]), KEYS[1:2], METHOD, AUTO), batch_size=6
    )
    assert alone.method[0] == found.method[1]
    np.testing.assert_allclose(alone.image[0], found.image[1], atol=5e-3)
    assert (found.status == OK).all()


def test_the_chosen_image_meets_what_was_measured():
    """Linear and without noise: exactly, where nothing is clipped."""
    found = reference().image
    inside = (np.abs(found) < 0.999) & (np.asarray(MASKED.mask) > 0)
    assert inside.any()
    np.testing.assert_allclose(found[inside], np.asarray(truth())[inside], atol=1e-3)


def test_what_was_held_out_is_known_after_each_round():
    found = reference()
    assert METHOD.max_steps == 24
    for i in range(IMAGES):
        trials = found.trials[i]
        assert list(trials) == list(AUTO.candidates)
        assert all([end for end, _ in curve] == [12, 24] for curve in trials.values())
        assert all(first >= last > 0 for (_, first), (_, last) in trials.values())
        assert min(curve[-1][1] for curve in trials.values()) == found.held_out_error[i]
        assert trials[found.method[i]][-1][1] == found.held_out_error[i]


def test_a_quick_choice_tells_an_image_without_a_finite_error():
    auto = dataclasses.replace(AUTO, sparing=True)
    found = reconstruct_auto(MLP, OPERATOR, without(measured(), 1), KEYS, METHOD, auto)
    np.testing.assert_array_equal(found.status, [OK, NOT_FINITE, OK])


@pytest.mark.slow
def test_an_image_without_a_finite_error_is_told():
    y = without(measured(), 1)
    found = reconstruct_auto(MLP, OPERATOR, y, KEYS, METHOD, AUTO)
    np.testing.assert_array_equal(found.status, [OK, NOT_FINITE, OK])
    taken = []

    def noted(run, count, mesh):
        taken.append(count)
        return ilo_jax.solve.steps(run, count, mesh)

    good = reconstruct_auto(MLP, OPERATOR, measured(), KEYS, METHOD, AUTO, take_steps=noted)
    np.testing.assert_array_equal(at(found.image, 0), at(good.image, 0))
    assert len(taken) > 3  # 24 steps of the trial, and those of the restarts


@pytest.mark.parametrize("effort", EFFORTS)
def test_trial_and_restarts_are_one_program(effort):
    """Also where some of the restarts are near the mean, which is not tried."""
    prior, programs = stylegan2(), []
    operator = denoising(prior.image_shape, 0.5)
    measurement = np.zeros((2, *prior.image_shape), np.float32)

    def noted(run, count, mesh):
        del mesh
        leaves, structure = jax.tree.flatten(run)
        programs.append((structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)))
        found = run.search.best.replace(error=jnp.full_like(run.search.best.error, 0.3))
        return run.replace(search=run.search.replace(best=found), t=run.t + count)

    auto = dataclasses.replace(EFFORTS[effort], sharp=False)
    method = ilo(prior, (2, 2), radii=20.0)
    reconstruct_auto(
        prior, operator, measurement, KEYS[:2], method, auto, batch_size=4, take_steps=noted
    )
    assert len(programs) > 4
    assert len({*programs}) == 1


class Brightness(Term):
    """Draws images to white."""

    def __call__(self, target, view):
        del target
        return jnp.mean((view.image - 1) ** 2)


@pytest.mark.slow
def test_terms_of_a_users_own_are_taken():
    white = ilo(MLP, (12, 12), radii=20.0, objective=Mse() + 10.0 * Brightness())
    operator = custom(SHAPE, jnp.tanh)  # not linear: nothing is made consistent at the end
    y = measure(operator, truth())
    plain = reconstruct_auto(MLP, operator, y, KEYS, METHOD, AUTO)
    drawn = reconstruct_auto(MLP, operator, y, KEYS, white, AUTO)
    assert drawn.image.mean() > plain.image.mean() + 0.1


def test_a_term_that_looks_at_all_entries_is_refused():
    method = ilo(MLP, (2, 2), radii=20.0, objective=DeadZone())
    with pytest.raises(InputError, match="dead_zone: looks at all entries"):
        reconstruct_auto(MLP, OPERATOR, measured(), KEYS, method, AUTO)


def test_where_nothing_can_be_held_out_the_method_runs_as_it_is():
    """Of one of the images; and of all, where there is no trial."""
    mask = np.asarray(MASKED.mask).copy()
    mask[1] = 0
    mask[1, 0, 0] = 1
    operator = inpainting(SHAPE, mask)
    auto = dataclasses.replace(AUTO, candidates=("as it is", "wide balls"))
    found = reconstruct_auto(MLP, operator, measure(operator, truth()), KEYS, METHOD, auto)
    assert (found.status == OK).all()
    assert np.isfinite(found.held_out_error).tolist() == [True, False, True]
    assert (found.method[1], found.steps[1]) == ("as it is", 24)
    assert found.of_image(1)["held_out_error"] is None
    assert [len(trials) for trials in found.trials] == [2, 0, 2]
    pixel = inpainting(SHAPE, mask[1])
    alone = reconstruct_auto(MLP, pixel, measure(pixel, truth()), KEYS, METHOD, auto)
    np.testing.assert_allclose(alone.image[1], found.image[1], atol=5e-3)


def test_the_automatic_choice_is_measured_and_bounded():
    done = []
    found = reconstruct_auto(
        MLP,
        OPERATOR,
        measured(),
        KEYS,
        METHOD,
        AUTO,
        batch_size=6,
        progress=lambda *runs: done.append(runs),
    )
    assert (done[0], done[-1]) == ((6, 12), (12, 12))
    assert done == sorted(done)
    assert set(found.method) <= {*AUTO.candidates}
    scale = np.where(np.array(found.method) == "narrow balls", 0.4, 3.0)
    np.testing.assert_allclose(found.radii[:, 1], 20 * scale, rtol=1e-6)
    assert ((found.steps >= 1) & (found.steps <= 24)).all()
    np.testing.assert_array_equal(found.round, (found.steps > 12).astype(int))
    measurement = measured()
    error = np.mean((measure(OPERATOR, found.image) - measurement) ** 2)
    assert error < 0.6 * np.mean(measurement**2)


def test_the_earlier_it_stops_the_more_often_it_is_run_again():
    """For as many steps in all; those that stop last first, since a batch waits for them."""
    one = np.ones((1, 3), np.float32)
    runs = divided(one, np.array([[60, 200, 1]]), 4, 200, 16)
    assert runs.image.tolist() == [1] * 4 + [0] * 13 + [2] * 16
    assert runs.restart.tolist() == [*range(4), *range(13), *range(16)]
    assert not runs.method.any()


def test_restarts_are_by_methods_in_proportion_to_their_shares():
    shares = np.array([[0.25, 0, 0.2], [0.25, 1, 0.7], [0.5, 0, 0.1]], np.float32)
    runs = divided(shares, np.full((3, 3), 10), 4, 10, 4)
    by = [np.bincount(runs.method[runs.image == i], minlength=3).tolist() for i in range(3)]
    assert by == [[1, 1, 2], [0, 4, 0], [1, 3, 0]]
    for i in range(3):  # each from a start of its own
        assert sorted(runs.restart[runs.image == i]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("sigma", "least"), [(0.0, False), (1e-3, False), (0.2, False), (3.0, False), (0.0, True)]
)
def test_the_more_noise_the_more_methods_count(sigma, least):
    operator = Noisy(SHAPE, Identity(SHAPE), jnp.float32(sigma), False)
    held = jnp.ones((2, *SHAPE[:2], 1))
    error = jnp.array([[0.10, 0.3], [0.11, 0.2], [jnp.inf, 0.3]])
    y = measure(operator, truth()[:2])
    weights = np.asarray(exponential_weights(operator, y, held, error, least=least))
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-5)
    entries = np.prod(SHAPE)
    # No more than what is left of the best.
    variance = 0.10 if least else np.clip(sigma**2, 1e-30, 0.10)
    expected = np.exp(-entries * 0.01 / (4 * variance))
    assert weights[1, 0] / weights[0, 0] == pytest.approx(expected, rel=1e-3)
    assert weights[2, 0] == 0
    assert weights[0, 1] == pytest.approx(weights[2, 1])
    assert weights[1, 1] > weights[0, 1]


def test_what_a_grey_file_repeats_counts_once():
    shape, error = (*SHAPE[:2], 3), jnp.array([[0.10], [0.11]])
    operator = Noisy(shape, Identity(shape), jnp.float32(0.2), False)
    y = np.repeat(truth()[:1, ..., :1], 3, -1)
    weights = [
        np.asarray(exponential_weights(operator, y, jnp.ones((1, *shape)), error, grey=grey))
        for grey in (False, True)
    ]
    thrice, once = (float(w[1, 0] / w[0, 0]) for w in weights)
    assert once == pytest.approx(thrice ** (1 / 3), rel=1e-3)


def test_known_noise_ends_the_squared_error():
    operator = Noisy(SHAPE, Identity(SHAPE), jnp.float32(0.3), False)
    assert operator.noise_variance == pytest.approx(0.09)
    known = knowing_noise(ilo(MLP, (2, 2), objective=Mse() + 0.1 * Mse(floor=0.5)))
    assert known.objective.terms == (Mse(discrepancy=True), Mse(floor=0.5, discrepancy=True))


def test_usual_radii_where_there_are_none():
    usual, same = with_usual_radii(MLP, [ilo(MLP, (2, 2)), METHOD])
    radius = np.asarray(usual.radii.v[1])
    assert np.isinf(radius[0])
    assert 0 < radius[1] < np.inf
    assert same is METHOD
    with pytest.raises(InputError, match="auto: no round has a deviation"):
        reconstruct_auto(MLP, OPERATOR, measured(), KEYS, csgm(MLP, 2), AUTO)


@pytest.mark.parametrize(("prior", "lacks"), [(MLP, "from the mean"), (stylegan2(), "deeper")])
def test_candidates_are_those_of_the_generator(prior, lacks):
    """A chain has no W, a generator of two blocks no second cut; all have as many steps."""
    found = candidates(prior, ilo(prior, (4, 4), radii=5.0), tuple(CANDIDATES))
    assert {*found} == {*CANDIDATES} - {lacks}
    assert {int(np.sum(m.steps)) for m in found.values()} == {8}
    if prior is MLP:
        assert found["deeper"].cuts == (1, 2)
        shorter = shortened(found["deeper"], 0.5)
        assert (shorter.steps.tolist(), shorter.max_steps, shorter.stop) == ([2, 2, 1], 5, 5)


def test_a_quick_choice_steps_as_suits_few_steps():
    """Unless the method has an optimizer or a ramp of its own."""
    method = ilo(MLP, (4, 4), radii=5.0)
    quick = quickened(method)
    assert (quick.optimizer, quick.ramp) == (QUICK_ADAM, quick_ramp)
    own = method.replace(optimizer=NORMALIZED, ramp=constant)
    assert quickened(own) is own
    seen = []

    def noted(run, count, mesh):
        seen.append((run.problem.method.optimizer, run.problem.method.ramp))
        return ilo_jax.solve.steps(run, count, mesh)

    for sparing in (False, True):
        auto = dataclasses.replace(AUTO, sparing=sparing)
        reconstruct_auto(*(MLP, OPERATOR, measured()[:1], KEYS[:1], method, auto), take_steps=noted)
    assert {*seen} == {(ADAM, ilo_ramp), (QUICK_ADAM, quick_ramp)}


@pytest.mark.parametrize("name", EFFORTS)
def test_an_effort_costs_what_it_says(name):
    assert EFFORTS[name].cost <= {"full": 10, "quick": 3, "sharp": 10}[name]
    assert {*EFFORTS[name].candidates} <= {*CANDIDATES}


@pytest.mark.slow
def test_usual_radii_of_the_embedded_generator_are_near_the_chosen_ones():
    prior = ilo_jax.load("chest64")
    method = ilo(prior, (1, 1, 1, 1), radii=float("inf"))
    usual = with_usual_radii(prior, [method])[0].radii.v
    found = [float(usual[cut][r]) for r, cut in enumerate((1, 3, 5), 1)]
    factor = np.array(found) / [300, 100, 30]
    assert ((factor > 1 / 3) & (factor < 3)).all()


def test_the_nearest_restart_is_one_of_them():
    images = np.asarray([0, 1, 1.5, 9], np.float32)[:, None, None, None] * np.ones((4, 4, 1))
    np.testing.assert_array_equal(COMBINE["nearest"](images), images[2])
    np.testing.assert_array_equal(COMBINE["mean"](images), images.mean(0))
