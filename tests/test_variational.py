"""The Gaussian that is fitted to a posterior: of a linear generator its mean is the posterior's,
and its standard deviations are those of each input, the others given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import MLP, stylegan2
from test_langevin import LATENT, PIXELS, SIGMA, problem

from ilo_jax.errors import InputError
from ilo_jax.solve import Mse, Variational, reconstruct, variational
from ilo_jax.solve.variational import Gaussian

many_programs = True


def test_the_gaussian_is_the_nearest_to_the_posterior():
    prior, operator, y, precision, mean = problem()
    gaussian = Variational(prior)
    method = variational(gaussian, 1500, rate=0.02)
    found = reconstruct(gaussian, operator, y[:16], jax.random.key(0), method)
    x = found.x
    # One draw a step leaves noise of its own, which the images average.
    np.testing.assert_allclose(np.mean(gaussian.mean(x).inputs, 0), mean, atol=0.03)
    expected = -0.5 * np.log(np.diag(precision))
    np.testing.assert_allclose(np.mean(x.inputs.log_std, 0), expected, atol=0.05)
    states = gaussian.samples(x, jax.random.key(1), 200).inputs
    assert states.shape == (200, 16, LATENT)
    np.testing.assert_allclose(np.std(states, (0, 1)), np.exp(expected), rtol=0.15)
    image = prior.layers(None, gaussian.drawn(jax.tree.map(lambda a: a[0], x.inputs)), 0, 2)
    np.testing.assert_allclose(image, found.image[0], atol=1e-5)
    assert (image.shape[1], 0.5) == (PIXELS, SIGMA)


@pytest.mark.slow
def test_terms_are_of_what_is_drawn_and_noise_maps_stay():
    prior = Variational(stylegan2(), "w_plus")
    start = prior.starts()["random"](jax.random.key(0))
    assert isinstance(start, Gaussian)
    drawn = prior.explore(start, jax.random.key(1), jnp.float32(0))
    free = prior.free(0, 3, None)
    moved = [np.any(leaf) for leaf in drawn.noise.noises]
    assert not any(moved)
    assert not np.any(drawn.noise.latents)
    assert np.std(drawn.noise.w_plus) > 0.5
    inner = stylegan2().regularizers["w_gaussian"](stylegan2(), prior.drawn(drawn), None)
    np.testing.assert_allclose(prior.regularizers["w_gaussian"](prior, drawn, free), inner)
    entropy = prior.regularizers["entropy"](prior, start, free)
    np.testing.assert_allclose(entropy, -np.sum(start.log_std.w_plus), rtol=1e-5)
    np.testing.assert_allclose(np.exp(start.log_std.w_plus), 0.1 * stylegan2().unit("w"), rtol=1e-5)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(free.noise))
    assert list(prior.constraints()) == ["none"]


def test_another_prior_is_refused():
    with pytest.raises(InputError, match=r"prior Sequential: expected Variational\(prior\)"):
        variational(MLP)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="space w: expected one of inputs"):
        Variational(MLP, "w").starts()["random"](jax.random.key(0))
    with pytest.raises(InputError, match="steps 1,2: expected one number"):
        variational(Variational(MLP), (1, 2), objective=Mse())
