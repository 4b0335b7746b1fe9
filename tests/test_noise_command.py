"""Noise on the command line: what `--measured` files say of their own."""

import csv

import jax.numpy as jnp
import numpy as np
import pytest
import tifffile
from PIL import Image

from ilo_jax import load, ops
from ilo_jax.app.run import Run
from ilo_jax.app.samples import batch_operator, read_sample, stack
from ilo_jax.app.settings import Settings
from ilo_jax.files.images import read_exact, to_uint8

looks_at_files = True

PIXELS = np.random.default_rng(0).uniform(0, 1, (8, 8, 3))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The same picture, by the step of its file in [0, 1]."""
    folder = tmp_path_factory.mktemp("stored")
    Image.fromarray(np.uint8(PIXELS * 255)).save(folder / "8.png")
    Image.fromarray(np.uint8(PIXELS[..., 0] * 255)).convert("1").save(folder / "1.png")
    tifffile.imwrite(folder / "16.tif", np.uint16(PIXELS * 65535), photometric="rgb")
    tifffile.imwrite(folder / "32.tif", np.float32(PIXELS), photometric="rgb")
    return {
        folder / "1.png": 1,
        folder / "8.png": 1 / 255,
        folder / "16.tif": 1 / 65535,
        folder / "32.tif": 0,
    }


def run_of(inputs, task, **options):
    settings = Settings(task, options, "ilo", 0, (2, 2), measured=True)
    return Run.create(settings, load(inputs / "gen"))


def test_a_file_says_its_step(stored):
    found = {path: read_exact(path, (8, 8, 3))[2] for path in stored}
    assert found == {path: pytest.approx(2 * step) for path, step in stored.items()}


def test_each_measurement_that_is_read_has_its_own_rounding_noise(stored, inputs):
    run = run_of(inputs, "blur", sigma=0.5)
    samples = [read_sample(run, path)[0] for path in stored]
    together = batch_operator(samples)
    assert isinstance(together, ops.Quantized)
    variances = [(2 * step) ** 2 / 12 for step in stored.values()]
    np.testing.assert_allclose(together.noise_variance, variances, rtol=1e-5)
    # The kernel is shared, and the operator of a batch is one program's.
    axes = ops.batch_axes(together, len(samples))
    assert (axes.sigma, axes.operator.spectrum) == (0, None)
    y = stack([sample.measurement for sample in samples])
    levels = ops.map_images(lambda o, y: o.noise_level(jnp.clip(y, -0.9, 0.9)), together, y)
    assert (np.diff(levels) < 0).sum() >= 2


def test_sigma_that_nobody_knows_is_that_of_each_image(tmp_path, inputs):
    run = run_of(inputs, "denoise", sigma="auto", dead=0.1)
    found = []
    for sigma in (10, 60):
        noise = sigma / 127.5 * np.random.default_rng(1).normal(size=(8, 8, 3))
        Image.fromarray(to_uint8(noise)).save(tmp_path / f"{sigma}.png")
        sample, _ = read_sample(run, tmp_path / f"{sigma}.png")
        assert isinstance(sample.operator, ops.DeadPixels)
        found.append(float(sample.operator.noise_variance))
        estimate = ops.estimate_sigma(np.asarray(sample.measurement))
        assert found[-1] == pytest.approx(estimate**2 + (2 / 255) ** 2 / 12, rel=1e-4)
    assert found[0] > 0
    assert found[1] > 9 * found[0]


@pytest.mark.slow
def test_consistency_goes_to_the_level_of_rounding(solve, tmp_path):
    line = "blur --sigma 1 --measured --consistent --images photos --generator gen --steps 2,2"
    assert solve(line + " --out {out}").code == 0
    level = (2 / 255) ** 2 / 12
    with (tmp_path / "out" / "metrics.csv").open() as file:
        errors = [float(row["measurement_mse"]) for row in csv.DictReader(file)]
    assert len(errors) == 2
    assert all(error > level / 2 for error in errors)  # not exact: that would be noise


@pytest.mark.parametrize(
    "task",
    [
        pytest.param("photons --photons 50 --dead 0.04", marks=pytest.mark.slow),
        pytest.param("denoise --sigma auto --measured", marks=pytest.mark.slow),
        pytest.param("compose --chain 'blur sigma=1, quantize bits=4'", marks=pytest.mark.slow),
    ],
)
def test_tasks_with_noise_run(task, solve, tmp_path):
    done = solve(f"{task} --images photos --generator gen --steps 2,2 --out {{out}}")
    assert (done.code, done.out.startswith("2 images")) == (0, True)
