"""Noise in each step: SGILO's rule, equal to theirs as tests/oracle/sgilo.py has run it, and
Langevin dynamics, whose mean and covariance are known of a linear generator."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import IMAGES, KEYS, MLP, assert_close, normal, rounds_of, stylegan2

from ilo_jax import ops
from ilo_jax.errors import InputError
from ilo_jax.priors import Sequential
from ilo_jax.solve import (
    Data,
    Likelihood,
    Mse,
    Regularizer,
    Round,
    Score,
    Variables,
    View,
    chain,
    init,
    langevin,
    loop,
    sgilo,
    steps,
)

many_programs = True

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "sgilo.npz")
LATENT, PIXELS, SIGMA = 3, 6, 0.5


def linear(kernel):
    """`G(z) = kernel z`, a row of pixels; its one cut is the image."""
    return Sequential.create(
        (lambda p, z: z, lambda p, z: (p @ z).reshape(1, -1, 1)),
        (jnp.zeros(()), jnp.asarray(kernel)),
        kernel.shape[1],
    )


@pytest.mark.parametrize("case", ["latents", "code"])
def test_sgilo_equals_theirs(case, monkeypatch):
    prior, drawn = linear(GOLDEN["kernel"]), GOLDEN[f"{case.rstrip('s')}_noise"]
    count, cut = len(drawn), 0 if case == "latents" else 1
    method = sgilo(prior, [count], [cut], objective=Mse(), constraint="sphere")
    y = GOLDEN["measurement"].reshape(1, 1, -1, 1)
    start = Variables(jnp.asarray(GOLDEN["start"])[None], {})
    run = init(prior, ops.Identity(prior.image_shape), y, KEYS[:1], method, initial=start)
    of_round = jax.random.fold_in(run.search.key[0], 0)
    of_steps = jax.vmap(jax.random.fold_in, (None, 0))(of_round, jnp.arange(count))
    known = jax.random.key_data(jax.vmap(jax.random.fold_in, (0, None))(of_steps, loop._DISTURB))

    def disturbed(x, noise, key):
        """By what they have drawn in the step of this key."""
        n = jnp.asarray(drawn)[jnp.argmax(jnp.all(jax.random.key_data(key) == known, -1))]
        n = Variables(n, jax.tree.map(lambda _: n, x.v))
        return jax.tree.map(lambda a, std, n: a + std * n, x, noise, n)

    monkeypatch.setattr(loop, "disturbed", disturbed)
    x = steps(run, count).search.x
    # Their code at the cut is ours and its deviation.
    found = x.inputs + x.v[1] if cut else x.inputs
    np.testing.assert_allclose(found[0], GOLDEN[f"end_{case}"], atol=1e-5)
    assert np.abs(found[0] - GOLDEN["start"]).min() > 0.01


@functools.cache
def problem():
    """A linear generator under Gaussian noise, one image measured for each of many chains; the
    precision and the mean of its posterior."""
    kernel, y = normal(0, PIXELS, LATENT), normal(1, PIXELS)
    prior = linear(kernel)
    operator = ops.Noisy(
        prior.image_shape, ops.Identity(prior.image_shape), jnp.float32(SIGMA), clip=False
    )
    precision = kernel.T @ kernel / SIGMA**2 + np.eye(LATENT)
    mean = np.linalg.solve(precision, kernel.T @ y / SIGMA**2)
    return prior, operator, y.reshape(1, 1, PIXELS, 1).repeat(128, 0), precision, mean


def test_langevin_samples_the_posterior():
    """Of mean and precision `P` known; steps of a length `h` make it `P (1 - h P / 2)`."""
    prior, operator, y, precision, mean = problem()
    rate = 0.2 / np.linalg.eigvalsh(precision).max()
    method = langevin(prior, 1500, rate)
    x = chain(prior, operator, y, jax.random.key(0), method, burn_in=500, draws=20, every=50)
    states = np.asarray(x.inputs).reshape(-1, LATENT)
    covariance = np.linalg.inv(precision @ (np.eye(LATENT) - rate / 2 * precision))
    error = np.sqrt(np.diag(covariance) / len(states))
    np.testing.assert_allclose((states.mean(0) - mean) / error, 0, atol=5)
    whitened = np.linalg.inv(np.linalg.cholesky(covariance)) @ (states - mean).T
    np.testing.assert_allclose(whitened @ whitened.T / len(states), np.eye(LATENT), atol=0.12)
    # One step's own randomness is far from that.
    assert np.sqrt(2 * rate) < 0.5 * states.std(0).min()


@pytest.mark.slow
def test_a_score_is_minus_the_gradient_of_its_term():
    prior, operator, y, *_ = problem()
    normal_score = jax.tree_util.Partial(lambda x: jax.tree.map(lambda leaf: -leaf, x))

    def state(objective):
        method = langevin(prior, 5, 0.01, objective)
        return chain(prior, operator, y[:2], KEYS[:2], method, burn_in=4, draws=1).inputs

    known = state(Likelihood() + 0.5 * Regularizer("squared_norm"))
    assert_close(state(Likelihood() + Score(normal_score)), known, 1e-5)
    assert np.abs(np.asarray(state(1.0 * Likelihood()) - known)).max() > 1e-3


def test_the_likelihood_is_the_sum_over_what_is_measured():
    prior, operator, y, *_ = problem()
    x, where = normal(2, 1, PIXELS, 1), np.arange(PIXELS).reshape(1, PIXELS, 1) < 2
    for held_out, seen in ((None, np.ones_like(where)), (np.float32(where), ~where)):
        data = Data(y[0], held_out=held_out)
        view = View(prior, operator, data, x, x, Variables((), {}), ())
        found = Likelihood()(Likelihood().prepare(prior, operator, data), view)
        expected = np.sum(seen * (x - y[0]) ** 2) / (2 * SIGMA**2)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(InputError, match="loss likelihood: operator Identity adds no noise"):
        Likelihood().prepare(prior, ops.Identity(prior.image_shape), data)


def test_noise_is_on_what_is_searched_and_on_no_noise_map():
    noise = sgilo(stylegan2(), [1, 1], objective=Mse()).noise
    assert noise is not None
    assert noise.inputs.latents[..., 0].tolist() == [
        [np.float32(0.025)] * 4,
        [0, *[np.float32(0.025)] * 3],
    ]
    assert noise.v[1].tolist() == [0, np.float32(0.025)]
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(noise.inputs._replace(latents=0)))


def test_each_image_has_its_own_noise():
    prior, _, y, *_ = problem()
    method = sgilo(prior, [1, 1], rate=0.0, objective=Mse(), constraint="none")
    start = Variables(jnp.zeros((IMAGES, LATENT)), {})
    operator = ops.Identity(prior.image_shape)
    x = chain(prior, operator, y[:3], KEYS, method, burn_in=0, draws=2, initial=start)
    latents, codes = np.asarray(x.inputs), np.asarray(x.v[1])
    assert not codes[0].any()
    np.testing.assert_array_equal(latents[0], latents[1])  # G2 does not read them
    for drawn in (latents[0], codes[1]):
        assert len(np.unique(drawn)) == IMAGES * LATENT
        assert 0.005 < drawn.std() < 0.05


def test_sgilo_searches_two_noise_maps_more_in_each_round():
    maps = np.stack(sgilo(stylegan2(), [1, 1], objective=Mse()).free.inputs.noises, 1)
    assert maps.reshape(2, -1).tolist() == [[True, False, False], [False, True, True]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sgilo(MLP, [1, 1], [0]), "cuts 0: expected numbers from 0 to 3, 2 of them"),
        (lambda: sgilo(MLP, [1], noise=(1, 2)), "noise 1,2: expected one number, or one for each"),
        (lambda: langevin(MLP, (1, 2)), "steps 1,2: expected one number, since langevin is one"),
        (
            lambda: rounds_of(Round(1, inputs=(0, 3), noise=-1.0)),
            "noise -1: expected 0 or more",
        ),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"burn_in": 0, "draws": 3}, "method of 2 steps; expected 3 or more"),
        ({"burn_in": -1, "draws": 3}, "burn_in -1, draws 3, every 1: expected 0 or more"),
        ({"burn_in": 0, "draws": 1, "every": 0}, "every 0: expected 0 or more, 1 or more, 1"),
    ],
)
def test_draws_beyond_a_chain_are_refused(numbers, message):
    prior, operator, y, *_ = problem()
    with pytest.raises(InputError, match=message):
        chain(prior, operator, y, jax.random.key(0), langevin(prior, 2), **numbers)
