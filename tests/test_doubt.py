"""Images of another kind than their generator's are told, those of its kind are not."""

import dataclasses
import pathlib
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from PIL import Image

from ilo_jax import app, load, ops, solve
from ilo_jax.app.cli import main
from ilo_jax.app.doubt import BEYOND, doubt_of
from ilo_jax.app.samples import Sample
from ilo_jax.app.settings import Settings
from ilo_jax.files.find import find_images
from ilo_jax.files.images import read_image

many_programs = True

SHAPE = (64, 64, 3)
PRIOR = load("chest64")
REACH = PRIOR.facts.reach
RADIOGRAPHS = find_images([str(pathlib.Path(app.__file__).parent / "samples")])
TRUTH = read_image(RADIOGRAPHS[0], SHAPE)[0]
KEY = jax.random.key(0)
V, U = np.mgrid[-1:1:64j, -1:1:64j]
ERROR = np.repeat((np.sin(3 * U + 1) + np.cos(5 * V + U))[..., None], 3, -1).astype(np.float32)
ERROR /= np.sqrt(np.mean(ERROR**2))
"""Smooth, as what a generator cannot make is; mean square 1."""

OPERATORS = {
    "identity": ops.identity(SHAPE),
    "inpaint": ops.random_inpainting(KEY, SHAPE, observed=0.1),
    "superres": ops.superresolution(SHAPE, 4),
    "compress": ops.partial_circulant(KEY, SHAPE, 1200),
    "denoise": ops.denoising(SHAPE, 25.0),
    "noisy pixels": ops.composition(
        ops.random_inpainting(KEY, SHAPE, observed=0.3), ops.denoising(SHAPE, 10.0)
    ),
}
QUICK = ("inpaint", "denoise")


def measure(operator: ops.Operator) -> Any:
    return operator.measure(KEY, jnp.asarray(TRUTH))


def found(
    operator: ops.Operator, mse: float, steps: int = 100, measured: Any = None, **changed: Any
) -> str | None:
    """Of a result that is the truth, and a first round that leaves so much."""
    y = measure(operator) if measured is None else measured
    sample = Sample(RADIOGRAPHS[0], TRUTH, operator, y)
    settings = dataclasses.replace(Settings("invert", {}, "ilo", 0), **changed)
    method = solve.ilo(PRIOR, steps=[steps, 5])
    run: Any = SimpleNamespace(prior=PRIOR, settings=settings, method=method)
    of_csgm = (TRUTH + np.float32(np.sqrt(mse)) * ERROR)[None]
    return doubt_of(run, sample, TRUTH, of_csgm)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in OPERATORS],
)
def test_what_csgm_leaves_is_told_where_it_is_far_more_than_usual(name):
    operator = OPERATORS[name]
    assert found(operator, REACH) is None
    told = found(operator, 4 * BEYOND * REACH)
    assert told is not None
    assert told.endswith(f", and {REACH:.2g} of images of the generator's kind")
    left = float(told.removeprefix("CSGM leaves a mean squared error of ").partition(",")[0])
    assert 0.5 < left / (4 * BEYOND * REACH) < 2


def test_nothing_is_told_where_nothing_is_known():
    much = 4 * BEYOND * REACH
    assert found(OPERATORS["inpaint"], much, steps=20, measured=TRUTH) is None
    assert found(OPERATORS["inpaint"], much, start="elsewhere", measured=TRUTH) is None
    for operator in (
        ops.dead_pixels(ops.denoising(SHAPE, 5.0), 0.2),
        ops.photon_counts(SHAPE, 20.0),
        ops.custom(SHAPE, jnp.sin),
    ):
        assert found(operator, much, measured=TRUTH) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", ["inpaint --observed 0.1", "superres --factor 4", "mri --spokes 9"]
)
def test_photographs_are_told_and_radiographs_are_not(task, tmp_path, capsys):
    for name in ("astronaut", "camera"):
        Image.fromarray(getattr(skimage.data, name)()).save(tmp_path / f"{name}.png")
    files = [str(tmp_path / "astronaut.png"), str(tmp_path / "camera.png")]
    files += [str(file) for file in RADIOGRAPHS[:6]]
    out = str(pathlib.Path(tmp_path) / "out")
    line = [*task.split(), "--steps", "100,5,5,5", "--images", *files, "--out", out]
    assert main(line) == 0
    said = capsys.readouterr().err
    assert "astronaut.png: in colour, and its reconstruction is grey" in said
    assert "camera.png: CSGM leaves a mean squared error of 0." in said
    assert "radiograph" not in said
