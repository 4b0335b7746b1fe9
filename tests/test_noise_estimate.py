"""Sigma of Gaussian noise from a clipped measurement, on real radiographs."""

import numpy as np
import pytest

from ilo_jax.app.demo import SAMPLES
from ilo_jax.files.find import find_images
from ilo_jax.files.images import from_uint8, read_image, to_uint8
from ilo_jax.ops import estimate_sigma

RADIOGRAPHS = [read_image(path, (64, 64, 3))[0] for path in find_images([str(SAMPLES)])]


def noisy(x, sigma, seed=0):
    """As an 8-bit file holds it; sigma on the scale of pixels."""
    noise = np.random.default_rng(seed).normal(size=x.shape)
    return from_uint8(to_uint8(np.clip(x + sigma / 127.5 * noise, -1, 1)))


@pytest.mark.parametrize(
    ("sigma", "each", "mean"),
    [(10, 0.1, 0.05), (25, 0.1, 0.03), (50, 0.1, 0.03), (100, 0.12, 0.05)],
)
def test_sigma_is_found_on_radiographs(sigma, each, mean):
    ratios = [
        127.5 * estimate_sigma(noisy(x, sigma, seed)) / sigma for seed, x in enumerate(RADIOGRAPHS)
    ]
    assert np.abs(np.array(ratios) - 1).max() < each
    assert np.mean(ratios) == pytest.approx(1, abs=mean)


def test_clipping_is_told_from_little_noise():
    """Of flat pictures, a tenth of the noise and more."""
    for grey in (-0.6, 0.0, 0.6):
        y = noisy(np.full((64, 64, 1), grey), 80)
        assert 127.5 * estimate_sigma(y) == pytest.approx(80, rel=0.15)


def test_without_noise_sigma_is_nothing():
    ramp = np.linspace(-1, 1, 64 * 64).reshape(64, 64, 1)
    assert estimate_sigma(ramp) == pytest.approx(0, abs=1e-9)
    assert estimate_sigma(np.full((8, 8, 3), -1.0)) == 0
    assert estimate_sigma(np.ones((4, 64, 3))) == 0
