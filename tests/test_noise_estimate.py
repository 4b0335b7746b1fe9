"""Noise from a measurement, on real radiographs: Gaussian and clipped, or by an unknown filter."""

import numpy as np
import pytest
from PIL import Image

from ilo_jax import ops
from ilo_jax.app.demo import SAMPLES
from ilo_jax.files.find import find_images
from ilo_jax.files.images import from_uint8, read_image, to_uint8
from ilo_jax.ops import estimate_mismatch, estimate_sigma

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


@pytest.mark.parametrize("filter", ["BILINEAR", "BICUBIC", "LANCZOS"])
@pytest.mark.parametrize("factor", [2, 8])
def test_what_a_filter_that_nobody_knows_changes_is_found_on_radiographs(filter, factor):
    ratios = []
    for x in RADIOGRAPHS:
        size = (64 // factor, 64 // factor)
        small, average = (
            np.asarray(Image.fromarray(x[..., 0]).resize(size, Image.Resampling[f]))
            for f in (filter, "BOX")
        )
        squared = np.mean((small - average) ** 2)
        ratios.append(squared / estimate_mismatch(small[..., None]) ** 2)
    assert 1 / 4 < np.mean(ratios) < 3
    assert np.std(ratios) < 0.5 * np.mean(ratios)


def test_a_small_image_knows_how_far_it_may_be_off():
    operator = ops.unknown_superresolution((16, 16, 1), 4)
    y = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 4, 1)).astype(np.float32)
    assert operator.is_unknown
    assert ops.can_be_consistent(operator)
    known = ops.as_stored(operator, y, 2 / 255)
    assert isinstance(ops.noiseless(known), ops.Downsample)
    variance = estimate_mismatch(y) ** 2 + (2 / 255) ** 2 / 12
    assert float(known.noise_variance) == pytest.approx(variance, rel=1e-4)
    flat = ops.as_stored(operator, np.zeros((4, 4, 1), np.float32), 0)
    assert float(flat.noise_variance) == 0
