"""BRGM's terms, equal to theirs as tests/oracle/brgm.py has run them; what the method searches."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.brgm import SPREAD, codes, images
from small import MLP, in_numpy, random_weights

from ilo_jax import lpips, ops
from ilo_jax.errors import InputError
from ilo_jax.lpips import Conv, Stage
from ilo_jax.solve import Data, Mse, PerceptualEnlarged, brgm
from ilo_jax.solve.losses.scales import _areas
from ilo_jax.stylegan2 import MappingProxy, StyleGAN2

many_programs = True

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "brgm.npz")


def prior():
    """Whose W is Gaussian, of the spread and the mean that theirs was given."""
    _, mean = codes()
    large: Any = np.full(len(mean), 100, np.float32)  # where the leaky ReLU is linear
    one: Any = np.ones_like(large)
    unit = float(MappingProxy(large, one).spread())
    spread: Any = np.full(len(mean), SPREAD / unit, np.float32)
    return StyleGAN2(
        dataclasses.replace(random_weights(), w_avg=mean, proxy=MappingProxy(large, spread))
    )


@pytest.mark.parametrize("name", ["gaussian", "cosine"])
def test_priors_on_w_equal_theirs(name):
    generator, (w, _) = prior(), codes()
    start = generator.starts()["random"](jax.random.key(0))
    apart = w - np.asarray(generator.w(start))

    @in_numpy
    @jax.value_and_grad
    def term(moved):
        inputs = start._replace(w_plus=moved)
        return generator.regularizers[f"w_{name}"](generator, inputs, None)

    found, gradient = term(apart)
    np.testing.assert_allclose(found, GOLDEN[name], rtol=1e-4)
    np.testing.assert_allclose(gradient, GOLDEN[f"{name}_gradient"], atol=1e-4)


def test_images_are_resized_as_theirs():
    for image in images():
        matrix = _areas(len(image), 256)
        found = (matrix @ image[..., 0] @ matrix.T)[::9, ::9]
        np.testing.assert_allclose(found, GOLDEN[f"resized_{len(image)}"], rtol=1e-4)


def test_a_small_measurement_is_compared_at_the_generator_s_size():
    generator = prior()
    weights = (np.ones((3, 3, 3, 2), np.float32), np.ones(2, np.float32), np.ones(2, np.float32))
    network = jax.jit(lambda *w: lpips.prepare((Stage((Conv(),)),), *([x] for x in w)))(*weights)
    operator = ops.superresolution(generator.image_shape, 4)
    small: np.ndarray = np.linspace(-1, 1, 2 * 2 * 3, dtype=np.float32).reshape(2, 2, 3)
    term = PerceptualEnlarged(network)
    found = term.prepare(generator, operator, Data(small))
    expected = lpips.features(network, jnp.asarray(small.repeat(4, 0).repeat(4, 1)))
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
    entries = ops.partial_circulant(jax.random.key(0), generator.image_shape, 5)
    with pytest.raises(InputError, match=r"loss lpips_enlarged: a measurement is \(5,\)"):
        term.prepare(generator, entries, Data(np.zeros(5)))


def test_it_searches_w_plus_from_the_mean_of_w():
    generator = prior()
    method = brgm(generator, objective=Mse())
    assert method.free.inputs.w_plus.all()
    free = method.free.inputs
    assert not any(np.any(m) for m in jax.tree.leaves((free.latents, free.w, free.noises)))
    np.testing.assert_allclose(method.rate, 0.23 * SPREAD / 4, rtol=0.01)
    assert method.start == list(generator.starts()).index("mean")
    with pytest.raises(InputError, match="space w_plus: expected one of inputs"):
        brgm(MLP)
    with pytest.raises(InputError, match="steps 1,2: expected one number, since brgm is one round"):
        brgm(generator, (1, 2))
