"""Classical baselines: what they keep, how they compare with nothing, and their parts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.restoration import denoise_tv_chambolle
from small import measure, normal

from benchmarks.classical import (
    BASELINES,
    WEIGHTS,
    _transform,
    is_installed,
    mean_of_clipped,
    solve_classical,
    solver,
)
from benchmarks.methods import PANELS, Case, pose, reconstruct
from ilo_jax import load
from ilo_jax.app.page.classical import total_variation
from ilo_jax.errors import InputError
from ilo_jax.ops import Inpaint

numerics_elsewhere = True

PRIOR = load("chest64")

CASES = {
    "inpaint": PANELS["inpaint"]["inpaint 10 %"],
    "denoise": PANELS["denoise"]["denoise 25"],
    "superres": PANELS["superres"]["superres 4x"],
    "compress": PANELS["compress"]["compress 10 %"],
}


def smooth(images: int) -> Any:
    """`[images, 64, 64, 3]`, equal channels, a few low frequencies."""
    t = np.linspace(-1, 1, 64)
    waves = [0.4 * np.sin(i + 2 * t[:, None]) + 0.3 * np.cos(3 * t - i) for i in range(images)]
    return np.repeat(np.stack(waves).astype(np.float32)[..., None], 3, -1)


@pytest.mark.parametrize("name", BASELINES)
def test_close_to_a_smooth_image(name):
    """An image as the solvers give it, with a twentieth of the error of grey."""
    if not is_installed(name):
        pytest.skip(f"{name}: its package, which is for non-commercial use, is not installed")
    case, truth = CASES[BASELINES[name].task], smooth(2)
    by = solver(PRIOR, name, case)
    assert by is not None
    image = reconstruct(case, by, truth, 0).image
    assert image.shape == truth.shape
    assert image.dtype == np.float32
    assert np.abs(image).max() <= 1
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    error = np.mean((image - truth) ** 2, (1, 2, 3))
    assert (error < 0.05 * np.mean(truth**2, (1, 2, 3))).all()


@pytest.mark.parametrize("name", ["linear", "bicubic", "TV, told", "TV, FISTA"])
def test_channels_that_differ_are_their_own(name):
    """Of a colour image, each is as close as a grey one is."""
    case, truth = CASES[BASELINES[name].task], smooth(3)[None, ..., 0]
    truth = np.moveaxis(truth, 1, -1)
    operator, y, _ = pose(case, jnp.asarray(truth), 0)
    image = solve_classical(name, case, operator, y, grey=False)
    assert image.shape == truth.shape
    assert np.mean((image - truth) ** 2) < 0.05 * np.mean(truth**2)


@pytest.mark.parametrize("name", [n for n, b in BASELINES.items() if b.task == "inpaint"])
@given(seed=st.integers(0, 1000), observed=st.sampled_from([0.3, 1.0]))
@settings(max_examples=4)
def test_inpainting_keeps_what_is_observed(name, seed, observed):
    rng = np.random.default_rng(seed)
    mask = (rng.uniform(size=(16, 16, 1)) <= observed).astype(np.float32)
    operator = Inpaint((16, 16, 3), mask)
    truth = rng.uniform(-1, 1, (2, 16, 16, 1)).astype(np.float32).repeat(3, -1)
    image = solve_classical(name, Case("inpaint", {}), operator, measure(operator, truth))
    np.testing.assert_allclose(mask * image, mask * truth, atol=1e-6)


@given(seed=st.integers(0, 1000))
@settings(max_examples=5)
def test_the_wavelet_transform_is_orthogonal(seed):
    x = normal(seed, 32, 64)
    transform = jax.jit(_transform, static_argnames="inverse")
    coefficients = np.asarray(transform(x, inverse=False))
    np.testing.assert_allclose(transform(coefficients, inverse=True), x, atol=1e-5)
    np.testing.assert_allclose(np.sum(coefficients**2), np.sum(x**2), rtol=1e-5)


@pytest.mark.parametrize("weight", [0.05, 0.3])
def test_the_proximal_operator_of_total_variation(weight):
    """Its dual goes on from call to call, to what scikit-image's denoiser finds."""
    x = normal(8, 16, 16)
    prox = jax.jit(total_variation)
    image, dual = x, np.zeros((2, 16, 16), np.float32)
    for _ in range(300):
        image, dual = prox(x, weight, dual)
    expected = denoise_tv_chambolle(x, weight=weight, eps=0, max_num_iter=2000)
    np.testing.assert_allclose(image, expected, atol=1e-5)


def test_every_level_of_the_figures_has_a_weight():
    for name, baseline in BASELINES.items():
        if baseline.tried:
            levels = [v for c in PANELS[baseline.task].values() for v in c.options.values()]
            assert list(WEIGHTS[name]) == levels
            assert set(WEIGHTS[name].values()) <= set(baseline.tried)


def test_other_tasks_and_levels_are_refused():
    operator = Inpaint((8, 8, 3), jnp.ones((8, 8, 1)))
    y = jnp.zeros((1, 8, 8, 3))
    with pytest.raises(InputError, match="bicubic: for superres, got inpaint"):
        solve_classical("bicubic", Case("inpaint", {}), operator, y)
    with pytest.raises(InputError, match="no weight for 7; expected one of 5, 10"):
        solve_classical("non-local means", Case("denoise", {"sigma": 7.0}), operator, y)
    assert solver(PRIOR, "bicubic", CASES["inpaint"]) is None


@pytest.mark.parametrize("sigma", [0.04, 0.8, 2.0])
def test_the_mean_of_clipped_noise(sigma):
    x = np.linspace(-1, 1, 21)
    noise = np.random.default_rng(0).standard_normal((20000, 1))
    drawn = np.clip(x + sigma * noise, -1, 1)
    np.testing.assert_allclose(mean_of_clipped(x, sigma), drawn.mean(0), atol=0.03)
    assert (np.diff(mean_of_clipped(x, sigma)) > 0).all()


def test_who_is_told_of_clipping_is_less_grey():
    dark, case = np.full((1, 64, 64, 3), -0.8, np.float32), PANELS["denoise"]["denoise 100"]
    errors = []
    for name in ("TV, Chambolle", "TV, told"):
        by = solver(PRIOR, name, case)
        assert by is not None
        errors.append(np.mean((reconstruct(case, by, jnp.asarray(dark), 0).image - dark) ** 2))
    assert errors[1] < 0.2 * errors[0]
