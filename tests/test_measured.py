"""Measurements as files: what is saved, what is read as what, and what is refused."""

import dataclasses
import re
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tifffile
from outputs import pictures, rows
from PIL import Image

from ilo_jax import ops
from ilo_jax.app import units
from ilo_jax.app.measurements import (
    in_units,
    read_measurement,
    save_measurement,
    units_of_input,
)
from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError
from ilo_jax.files.arrays import write_npy, write_npz
from ilo_jax.files.samples import Limits

looks_at_files = True

SHAPE = (8, 8, 3)
RANDOM = np.random.default_rng(0)
X: Any = RANDOM.uniform(-1, 1, SHAPE).astype(np.float32)
INVERT = Settings("invert", {}, "ilo", 0, measured=True)
MRI = dataclasses.replace(INVERT, task="mri")
ALL = ops.masked_mri(SHAPE, np.ones((8, 8, 1)))


def k_space(image: np.ndarray) -> np.ndarray:
    """fastMRI's, of NumPy alone: complex `[..., H, W]` of `[..., H, W]`."""
    axes = (-2, -1)
    shifted = np.fft.ifftshift(image, axes)
    return np.fft.fftshift(np.fft.fft2(shifted, axes=axes, norm="ortho"), axes)


def measured(path, operator, settings):
    found = read_measurement(path, operator, settings)
    return np.asarray(in_units(path, operator, found, settings)), found.notes


# A simulated run's measurement, and a run from it.

COMPOSED = {
    "mri --acceleration 2": "mri --acceleration 2",
    "inpaint --observed 0.3": "inpaint --observed 0.3",
    "compress --measurements 0.3": "compress --measurements 0.3",
    "mri --acceleration 2 --centre 0.25": "mri --mask zeros",
    "denoise --sigma 20": "denoise --sigma 20",
    "phase": "phase",
    "custom --function jax.numpy:sin": "custom --function jax.numpy:sin",
}
QUICK = ("mri --acceleration 2",)


@pytest.mark.parametrize(
    "task",
    [pytest.param(t, marks=[] if t in QUICK else [pytest.mark.slow]) for t in COMPOSED],
)
def test_a_run_from_what_a_run_has_measured_gives_the_same_bytes(task, solve, tmp_path):
    line = " --generator gen --steps 2,2 --out "
    saved = f"{task} --images photos --save-measurement --save-arrays{line}{{tmp}}/1"
    assert solve(saved).code == 0
    again = f"{COMPOSED[task]} --measured --images {{tmp}}/1/measurements{line}{{tmp}}/2"
    assert solve(f"{again} --save-arrays tiff --units input").code == 0
    assert pictures(tmp_path / "1") == pictures(tmp_path / "2")
    assert sorted(p.name for p in (tmp_path / "1" / "measurements").iterdir()) == ["a.npz", "b.npz"]
    array = np.load(tmp_path / "1" / "arrays" / "a.npy")
    assert (array.dtype, array.shape) == (np.float32, SHAPE)
    with Image.open(tmp_path / "1" / "images" / "a.png") as picture:
        np.testing.assert_allclose(array, np.asarray(picture) / 127.5 - 1, atol=1 / 255 + 1e-6)
    # What a run has measured is in the units of images.
    found = tifffile.imread(tmp_path / "2" / "arrays" / "a.tiff")
    np.testing.assert_allclose(found, array, atol=1e-6)


@pytest.mark.slow
def test_results_are_written_back_in_the_units_of_the_files(solve, tmp_path):
    """Twelve bits in a file of sixteen."""
    tifffile.imwrite(tmp_path / "x.tif", np.uint16(np.round((X[..., 0] + 1) / 2 * 4095)))
    line = "invert --generator gen --steps 2,2 --images {tmp}/x.tif --range 0 4095 --out {tmp}/1 "
    assert solve(line + "--save-arrays --units input").code == 0
    with Image.open(tmp_path / "1" / "images" / "x.png") as picture:
        expected = np.asarray(picture) / 255 * 4095
    found = np.load(tmp_path / "1" / "arrays" / "x.npy")
    np.testing.assert_allclose(found, expected, atol=4095 / 255)
    assert "--units: expected with --save-arrays" in solve(line + "--units input").err


def test_measurements_of_another_seed_are_refused(tmp_path):
    one, other = (
        ops.random_inpainting(jax.random.key(seed), SHAPE, observed=0.3) for seed in (0, 1)
    )
    path = tmp_path / "x.npz"
    save_measurement(path, one, one(X))
    np.testing.assert_array_equal(measured(path, one, INVERT)[0], one(X))
    with pytest.raises(InputError, match=r"x.npz: measured by another operator; expected the opt"):
        measured(path, other, INVERT)
    # What --range says of images is not meant for these.
    kept = measured(path, one, dataclasses.replace(INVERT, range=(0.0, 9.0)))[0]
    np.testing.assert_array_equal(kept, one(X))


def test_several_arrays_have_their_names(tmp_path):
    operator = ops.custom(SHAPE, lambda x: {"sum": x.sum(-2), "mean": x.mean((-3, -2, -1))})
    y = operator(X)
    save_measurement(tmp_path / "x.npz", operator, y)
    with np.load(tmp_path / "x.npz") as file:
        assert {*file.files} == {"measurement/sum", "measurement/mean", "fingerprint"}
    found = read_measurement(tmp_path / "x.npz", operator, INVERT).value
    jax.tree.map(np.testing.assert_array_equal, found, y)
    write_npz(tmp_path / "x.npz", {"measurement/sum": X[0]})
    with pytest.raises(InputError, match="expected arrays measurement/mean, measurement/sum"):
        read_measurement(tmp_path / "x.npz", operator, INVERT)


# What is read as what.


@pytest.mark.parametrize("kind", ["npy", "npz", "h5"])
def test_k_space_of_fastmri_is_read(kind, tmp_path):
    images: Any = RANDOM.uniform(-1, 1, (5, 8, 8))
    path, values = tmp_path / f"x.{kind}", k_space(images).astype(np.complex64)
    if kind == "npy":
        write_npy(path, values)
    elif kind == "npz":
        write_npz(path, {"kspace": values, "other": images})
    else:
        with h5py.File(path, "w") as file:
            file["kspace"], file["reconstruction_rss"] = values, images
    y, notes = measured(path, ALL, MRI)
    assert (y.dtype, y.shape) == (np.float32, (*SHAPE, 2))
    # A grey one fills all channels, as a grey image does.
    np.testing.assert_allclose(
        y, ALL(jnp.asarray(np.repeat(images[2, ..., None], 3, -1))), atol=1e-5
    )
    assert notes == [f"x.{kind}: slice 2 of 5, from 0"]
    first, _ = measured(path, ALL, dataclasses.replace(MRI, slice=0))
    np.testing.assert_allclose(first[..., 1, :], ALL(images[0, ..., None])[..., 0, :], atol=1e-5)


def test_a_real_scan_has_units_that_are_said(tmp_path):
    anatomy, path = RANDOM.uniform(0, 3e-4, (8, 8)), tmp_path / "x.npy"
    write_npy(path, k_space(anatomy).astype(np.complex64))
    with pytest.raises(InputError, match=r"magnitudes .* to 0.000\d+; expected .* --range LOW"):
        measured(path, ALL, MRI)
    for limits in ((0.0, 4e-4), (0.0, None)):
        y, _ = measured(path, ALL, dataclasses.replace(MRI, range=limits))
        expected = anatomy / (limits[1] or anatomy.max()) * 2 - 1
        np.testing.assert_allclose(ALL.adjoint(y), np.repeat(expected[..., None], 3, -1), atol=1e-5)


def test_range_is_for_all_that_is_linear(tmp_path):
    image: Any = RANDOM.uniform(10, 20, SHAPE).astype(np.float32)
    settings = dataclasses.replace(INVERT, range=(10.0, 20.0))
    matrix = ops.gaussian_matrix(jax.random.key(0), SHAPE, 9)
    chain = ops.composition(ops.superresolution(SHAPE, 2), ops.denoising((4, 4, 3), 5.0))
    for operator in (ops.denoising(SHAPE, 5.0), ops.unknown_noise(SHAPE), chain, matrix):
        write_npy(tmp_path / "x.npy", np.asarray(operator(image)))
        y, _ = measured(tmp_path / "x.npy", operator, settings)
        np.testing.assert_allclose(y, operator((image - 10) / 5 - 1), atol=1e-4)
    large = ops.custom(SHAPE, lambda x: 9 * jnp.sin(x))  # of whatever units
    write_npy(tmp_path / "y.npy", 9 * X)
    np.testing.assert_array_equal(measured(tmp_path / "y.npy", large, INVERT)[0], 9 * X)
    with pytest.raises(InputError, match="--range with an array: expected a linear task"):
        units.converted(tmp_path / "x.npy", ops.custom(SHAPE, jnp.sin), X, Limits(10, 20))
    with pytest.raises(InputError, match="values to 20; expected some above 30"):
        measured(tmp_path / "x.npy", matrix, dataclasses.replace(settings, range=(30.0, 20.0)))


def test_units_of_files(tmp_path):
    """What is black and white comes back from an image, however it was read."""
    path = tmp_path / "x.tif"
    values = np.uint16(np.arange(64).reshape(8, 8) * 60)
    for settings, photometric, expected in (
        (INVERT, "minisblack", (0, 65535)),
        (dataclasses.replace(INVERT, range=(0.0, 4095.0)), "minisblack", (0, 4095)),
        (dataclasses.replace(INVERT, range=(60.0, None)), "minisblack", (60, 3780)),
        (INVERT, "miniswhite", (65535, 0)),
    ):
        tifffile.imwrite(path, values, photometric=photometric)
        found = units_of_input(path, ops.identity(SHAPE), settings)
        assert found == expected
        image = read_measurement(path, ops.identity(SHAPE), settings).value
        back = units.from_image(image[..., 0], found)
        np.testing.assert_allclose(back, np.clip(values, min(expected), max(expected)), atol=0.01)
    Image.fromarray(np.uint8(values % 256)).save(tmp_path / "x.png")
    assert units_of_input(tmp_path / "x.png", ops.identity(SHAPE), INVERT) == (0, 255)
    write_npy(tmp_path / "x.npy", X + 2)
    for limits, expected in (
        (None, (-1, 1)),
        ((0.0, 9.0), (0, 9)),
        ((0.0, None), (0, X.max() + 2)),
    ):
        settings = dataclasses.replace(INVERT, range=limits)
        found = units_of_input(tmp_path / "x.npy", ops.identity(SHAPE), settings)
        assert found == pytest.approx(expected)


def test_larger_k_space_is_cropped_on_demand(tmp_path):
    """The middle frequencies alone: smooth images keep their values, seen with fewer pixels."""
    path = tmp_path / "x.npy"
    for size in ((16, 12), (15, 9)):
        rows_, columns = (np.arange(n) - n // 2 for n in size)
        smooth = 0.5 * np.cos(2 * np.pi * rows_ / size[0])[:, None] + 0 * columns
        smooth = smooth + RANDOM.normal(size=size) * 1e-7  # no scan has zeros
        write_npy(path, k_space(smooth).astype(np.complex64))
        shown = re.escape(str(list(size)))
        with pytest.raises(InputError, match=f"k-space of {shown}; expected .* or --crop, which"):
            measured(path, ALL, MRI)
        y, _ = measured(path, ALL, dataclasses.replace(MRI, crop=True))
        expected = 0.5 * np.cos(2 * np.pi * (np.arange(8) - 4) / 8)
        np.testing.assert_allclose(
            ALL.adjoint(y), np.broadcast_to(expected[:, None, None], SHAPE), atol=1e-5
        )
    write_npy(path, np.ones((4, 16), np.complex64))
    with pytest.raises(InputError, match=r"k-space of \[4, 16\]; expected \[8, 8\]"):
        measured(path, ALL, dataclasses.replace(MRI, crop=True))


def test_k_space_of_a_complex_image_is_told(tmp_path):
    path = tmp_path / "x.npy"
    real = k_space(X[..., 0])
    for y, told in ((real, False), (1j * real, True), (real * (np.arange(8) < 5), False)):
        write_npy(path, y.astype(np.complex64))
        found = read_measurement(path, ALL, MRI)
        assert (units.phase_note(path, ALL, found.value) is not None) is told
    assert units.phase_note(path, ops.identity(SHAPE), X) is None


NAN = np.where(np.arange(3) == 1, np.nan, X)
BAD = {
    "real k-space": (ALL, X[..., 0], "float32; expected complex numbers, k-space"),
    "complex image": (None, X + 1j, "complex64; expected real numbers"),
    "another size": (None, X[:4], r"shape \(4, 8, 3\); expected \(8, 8, 3\)"),
    "another rank": (None, X[0, 0], r"shape \(3,\); expected \(8, 8, 3\)"),
    "not a number": (None, NAN, "values that are not finite; expected finite numbers"),
    "beyond float32": (None, X.astype(float) * 1e39, "values that are not finite"),
    "0 to 255": (None, (X + 1) * 127.5, r"values to 25\d; expected .* or --range LOW HIGH"),
    "no slices": (None, np.ones((0, *SHAPE)), "0 slices; expected --slice"),
    "zero where sampled": (
        ALL,
        k_space(X[..., 0]) * (np.arange(8) % 2),
        "zero at 32 of 64 places that are sampled; expected --mask zeros",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_measurement_is_refused_in_one_line(kind, tmp_path):
    operator, array, expected = BAD[kind]
    path = tmp_path / "x.npy"
    write_npy(path, array)
    settings = MRI if operator is ALL else INVERT
    with pytest.raises(InputError, match=expected) as caught:
        measured(path, operator or ops.identity(SHAPE), settings)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_names_and_slices_that_are_not_there_are_refused(tmp_path):
    path, identity = tmp_path / "x.npz", ops.identity(SHAPE)
    write_npz(path, {"first": X, "second": X})
    for changed, expected in (
        ({}, "arrays first, second; expected measurement or kspace, or one array alone"),
        ({"key": "third"}, "arrays first, second; expected third"),
        ({"key": "first", "slice": 0}, "one measurement; expected no --slice"),
    ):
        with pytest.raises(InputError, match=expected):
            measured(path, identity, dataclasses.replace(INVERT, **changed))
    found, _ = measured(path, identity, dataclasses.replace(INVERT, key="second"))
    np.testing.assert_array_equal(found, X)
    write_npy(path, np.stack([X, X]))
    with pytest.raises(InputError, match="2 slices; expected --slice from 0 to 1"):
        measured(path, identity, dataclasses.replace(INVERT, slice=2))


# Commands.


@pytest.mark.slow
def test_each_image_has_its_own_mask(solve, tmp_path):
    (tmp_path / "masks").mkdir()
    first, second = (RANDOM.uniform(size=(8, 8)) < 0.5 for _ in range(2))
    write_npy(tmp_path / "masks" / "a.npy", first)
    Image.fromarray(np.uint8(255) * second).save(tmp_path / "masks" / "b.png")
    line = "inpaint --images photos --generator gen --steps 2,2 --save-measurement"
    assert solve(line + " --mask {tmp}/masks --out {tmp}/own").code == 0
    for name, mask in (("a", first), ("b", second)):
        with np.load(tmp_path / "own" / "measurements" / f"{name}.npz") as file:
            np.testing.assert_array_equal((file["measurement"] != 0).any(-1), mask)
    assert solve(line + " --mask {tmp}/masks --out {tmp}/own").err == "2 of 2 were there already\n"
    # The image whose mask has changed is made again, and one without a mask is left out.
    write_npy(tmp_path / "masks" / "a.npy", ~first)
    done = solve(line + " --mask {tmp}/masks --out {tmp}/own")
    assert "1 were made of other inputs, and are computed again: a\n" in done.err
    (tmp_path / "masks" / "b.png").unlink()
    done = solve(line + " --mask {tmp}/masks --out {tmp}/own")
    assert done.code == 1
    assert "masks: files named b: none; expected one for each image" in done.err
    assert [row["status"] == "ok" for row in rows(tmp_path / "own")] == [True, False]


@pytest.mark.slow
def test_one_mask_of_all_and_equal_masks_of_each_give_the_same_images(solve, tmp_path, inputs):
    (tmp_path / "masks").mkdir()
    for name in "ab":
        (tmp_path / "masks" / f"{name}.png").write_bytes((inputs / "mask.png").read_bytes())
    line = "inpaint --images photos --generator gen --steps 2,2 --mask "
    assert solve(line + "mask.png --out {tmp}/1").code == 0
    assert solve(line + "{tmp}/masks --out {tmp}/2").code == 0
    for name in "ab":
        one, each = (
            np.asarray(Image.open(tmp_path / run / "images" / f"{name}.png"), int) for run in "12"
        )
        assert np.abs(one - each).max() <= 1
