"""The choice that minds LPIPS: which way for which measurement, and that it is a run like others;
and the prior on W that one of the ways has."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import KEYS, MLP, measure, stylegan2, stylegan2_truth

from ilo_jax.errors import InputError
from ilo_jax.ops import Determined, Identity, denoising, inpainting, jpeg, superresolution
from ilo_jax.solve import (
    EFFORTS,
    Auto,
    Data,
    NearMean,
    Variables,
    View,
    ilo,
    reconstruct,
    reconstruct_auto,
)
from ilo_jax.solve.candidates import candidates, suited
from ilo_jax.solve.losses import FOR_ERROR, FOR_LPIPS
from ilo_jax.solve.sharp import BY_TRIAL, NEAR_MEAN, PLAIN, likely, sharpest

numerics_elsewhere = True

PRIOR = stylegan2()
SHAPE = PRIOR.image_shape
METHOD = ilo(PRIOR, (4, 4), radii=20.0)
AUTO = Auto(("narrow balls", "wide balls"), restarts=2, sharp=True)


def shares(share, noiseless):
    return Determined(jnp.float32([share]), jnp.float32([noiseless]))


@pytest.mark.parametrize(
    ("operator", "determined", "way"),
    [
        (Identity(SHAPE), (1.0, 1.0), BY_TRIAL),
        (denoising(SHAPE, 25.0), (0.3, 1.0), BY_TRIAL),
        (denoising(SHAPE, 250.0), (0.08, 1.0), NEAR_MEAN),
        (superresolution(SHAPE, 2), (0.25, 0.25), PLAIN),
        (superresolution(SHAPE, 4), (0.015, 0.015), NEAR_MEAN),
        (jpeg((16, 16, 3), np.full((8, 8), 9), np.full((8, 8), 9)), (0.2, 1.0), PLAIN),
    ],
)
def test_the_way_is_what_a_measurement_determines(operator, determined, way):
    assert sharpest(PRIOR, operator, shares(*determined)).tolist() == [way]


def test_a_generator_without_w_is_never_near_its_mean():
    assert sharpest(MLP, Identity(SHAPE), shares(0.001, 1.0)).tolist() == [BY_TRIAL]


def test_each_image_goes_its_own_way():
    """One has nearly all of its pixels, one next to none; each is as if it were alone."""
    size = SHAPE[0] * SHAPE[1]
    seen = np.zeros((2, size), np.float32)
    seen[0, : size - 2] = seen[1, :1] = 1
    operator = inpainting(SHAPE, seen.reshape(2, *SHAPE[:2], 1))
    y = measure(operator, stylegan2_truth()[:2])
    found = reconstruct_auto(PRIOR, operator, y, KEYS[:2], METHOD, AUTO)
    first, last = found.of_image(0), found.of_image(1)
    assert first["method"] in AUTO.candidates
    assert (last["method"], last["restarts"], last["steps"]) == (NEAR_MEAN, {NEAR_MEAN: 1}, 8)
    assert (last["held_out_error"], last["trials"]) == (None, {})
    assert len(last["radii"]) == 1
    by_trial = reconstruct_auto(
        *(PRIOR, operator, y, KEYS[:2], METHOD), dataclasses.replace(AUTO, sharp=False)
    )
    np.testing.assert_array_equal(found.image[0], by_trial.image[0])
    determined = Determined(jnp.float32([1, 0.01]), jnp.float32([1, 0.01]))
    once = reconstruct(PRIOR, operator, y, KEYS[:2], likely(PRIOR, METHOD, determined))
    np.testing.assert_array_equal(found.image[1], np.clip(once.image[1], -1, 1))


def test_balls_of_the_likely_image_are_narrower_where_noise_leaves_less():
    left = [1, 0.02, 0.01, 0]
    method = likely(PRIOR, METHOD, Determined(jnp.float32(left), jnp.ones(4)))
    radii = np.asarray(method.radii.v[1])
    np.testing.assert_allclose(radii[:, 1] / radii[0, 1], [1, 1, 0.5, 0], rtol=1e-6)
    assert np.isinf(radii[:, 0]).all()


def test_where_only_mixtures_are_seen_it_is_one_whole_run():
    operator = superresolution(SHAPE, 2)
    y, told = measure(operator, stylegan2_truth()), []
    found = reconstruct_auto(
        *(PRIOR, operator, y, KEYS, METHOD, AUTO),
        progress=lambda done, total: told.append(done / total),
    )
    once = reconstruct(PRIOR, operator, y, KEYS, METHOD)
    np.testing.assert_array_equal(found.image, np.clip(once.image, -1, 1))
    assert set(found.method) == {PLAIN}
    assert not found.moved.any()
    assert not found.spread.any()
    assert found.radii[:, 1].tolist() == [20.0] * len(y)
    assert told[-1] == 1
    assert EFFORTS["sharp"].sharp


def view(determined):
    x = PRIOR.starts()["random"](jax.random.key(0))
    image = jnp.zeros(SHAPE)
    operator = Identity(SHAPE)
    found = Variables(x, {})
    return View(PRIOR, operator, Data(image), image, image, found, PRIOR.free(0, 1), determined)


@pytest.mark.parametrize(
    ("share", "weight", "for_lpips"),
    [(1, 0, 0), (0.5, 0.02, 0.05), (1 / 61, 1.2, 3), (1e-4, 3, 6), (0, 3, 6)],
)
def test_the_prior_weighs_as_much_as_noise_hides(share, weight, for_lpips):
    given = view(Determined(jnp.float32(share), jnp.float32(1)))
    terms = PRIOR.regularizers
    inputs, free = given.x.inputs, given.free
    value = sum(
        w * terms[name](PRIOR, inputs, free) for name, w in (("w_gaussian", 1), ("w_cosine", 0.01))
    )
    np.testing.assert_allclose(NearMean()(None, given), value, rtol=1e-6)
    for by_noise, expected in ((FOR_ERROR, weight), (FOR_LPIPS, for_lpips)):
        np.testing.assert_allclose(NearMean(by_noise)(None, given), expected * value, rtol=1e-4)
    assert value > 0


def test_the_prior_needs_a_w():
    with pytest.raises(
        InputError, match="loss near_mean: Sequential has no W; expected a generator"
    ):
        NearMean().prepare(MLP, Identity(SHAPE), Data(jnp.zeros(SHAPE)))


def test_only_the_candidate_from_the_mean_is_drawn_there_and_only_under_noise():
    names = ("as it is", "from the mean")
    plain, mean = candidates(PRIOR, METHOD, names, noise=True).values()
    assert not np.any(plain.objective.weights[-1])
    assert mean.objective.weights[-1].tolist() == [1, 1]
    assert mean.objective.terms[-1] == NearMean(FOR_ERROR)
    for method in candidates(PRIOR, METHOD, names).values():
        assert not any(isinstance(term, NearMean) for term in method.objective.terms)


def test_a_prior_that_a_method_has_of_its_own_keeps_its_weight():
    own = METHOD.replace(objective=METHOD.objective + (0.25 * NearMean()).over(METHOD.rounds))
    (mean,) = candidates(PRIOR, own, ["from the mean"], noise=True).values()
    assert [w.tolist() for w in mean.objective.weights[-2:]] == [[0.25, 0.25], [1, 1]]


def test_half_of_the_restarts_are_near_the_mean_where_noise_hides_nearly_all():
    operator = denoising(SHAPE, 900.0)
    y = measure(operator, stylegan2_truth()[:1])
    found = reconstruct_auto(
        PRIOR, operator, y, KEYS[:1], METHOD, dataclasses.replace(AUTO, sharp=False)
    )
    (restarts,) = found.restarts
    assert restarts[NEAR_MEAN] in (len(found.samples[0]) // 2, (len(found.samples[0]) + 1) // 2)


def test_the_quick_choice_tries_what_suits_an_image():
    prior = PRIOR.with_facts(scarce=0.1)
    share = Determined(jnp.float32([0.02, 0.3]), jnp.float32([0.05, 0.3]))
    names = EFFORTS["quick"].candidates
    assert names == ("as it is", "from the mean", "wide balls")
    expected = [[True, True], [True, False], [False, True]]
    assert suited(prior, names, share, sparing=True).tolist() == expected
    assert suited(prior, names, share, sparing=False).all()


@pytest.mark.slow
def test_what_does_not_suit_is_not_tried():
    operator = superresolution(SHAPE, 2)
    y = measure(operator, stylegan2_truth())
    auto = Auto(("as it is", "from the mean", "wide balls"), restarts=2, sparing=True)
    found = reconstruct_auto(PRIOR, operator, y, KEYS, METHOD, auto)
    assert auto.cost == 4
    for trials, name in zip(found.trials, found.method, strict=True):
        assert {*trials} == {"as it is", "wide balls"}
        assert name in trials
        least = {n: min(error for _, error in curve) for n, curve in trials.items()}
        assert name == min(least, key=lambda n: least[n])
