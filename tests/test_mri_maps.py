"""Sensitivities from the middle of k-space, and the operator against another library's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outputs import pictures
from PIL import Image

from ilo_jax import ops
from ilo_jax.app.measurements import coils_of, in_units, read_measurement
from ilo_jax.app.options import build_operator
from ilo_jax.app.settings import Settings
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files.arrays import write_npy

looks_at_files = True

SIDE, COILS = 64, 6
V, U = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
ANGLES = 2 * np.pi * np.arange(COILS) / COILS


def transform(x: np.ndarray) -> np.ndarray:
    axes = (-2, -1)
    shifted = np.fft.ifftshift(x, axes)
    return np.fft.fftshift(np.fft.fft2(shifted, axes=axes, norm="ortho"), axes)


def coils() -> np.ndarray:
    """Smooth in magnitude and phase, `sum |s|^2 = 1`."""
    maps = np.stack(
        [
            np.exp(-((U - 1.2 * np.cos(a)) ** 2 + (V - 1.2 * np.sin(a)) ** 2) / 1.5)
            * np.exp(1j * (a + 0.8 * U * np.cos(a) + 0.6 * V))
            for a in ANGLES
        ]
    )
    return maps / np.sqrt(np.sum(np.abs(maps) ** 2, 0))


BODY = U**2 / 0.7 + V**2 / 0.8 < 1
IMAGE = BODY * (1 + 0.3 * np.sin(9 * U) * np.cos(7 * V))
PHASE = np.exp(1j * (0.7 * U - 0.4 * V**2))
K_SPACE = transform(coils() * IMAGE * PHASE)


def columns(centre: int) -> np.ndarray:
    """One in four, and some in the middle."""
    mask = np.zeros(SIDE)
    mask[::4] = 1
    mask[SIDE // 2 - centre // 2 : SIDE // 2 + centre // 2 + 1] = 1
    return mask


@pytest.mark.parametrize(("centre", "most"), [(5, 0.15), (9, 0.07), (17, 0.03), (64, 0.015)])
def test_maps_and_the_phase_of_the_image_are_found(centre, most):
    """So that a real image explains what was measured."""
    mask = columns(centre)
    maps = ops.estimate_maps(K_SPACE * mask)[..., 0]
    error = np.abs(maps - coils() * PHASE)[:, BODY]
    assert np.sqrt(np.mean(np.sum(error**2, 0))) < most
    left = mask * (transform(maps * IMAGE) - K_SPACE)
    assert np.linalg.norm(left) < most * np.linalg.norm(mask * K_SPACE)
    assert np.sum(np.abs(maps) ** 2, 0) == pytest.approx(1, abs=1e-5)


@settings(max_examples=20)
@given(size=st.floats(1e-6, 1e6), angle=st.floats(0, 6))
def test_units_do_not_matter(size, angle):
    scale = size * np.exp(1j * angle)
    found = ops.estimate_maps(scale * K_SPACE)
    np.testing.assert_allclose(found, np.exp(1j * angle) * ops.estimate_maps(K_SPACE), atol=1e-5)


@pytest.mark.parametrize(
    ("k_space", "message"),
    [
        (
            np.real(K_SPACE),
            r"k_space float64\[6, 64, 64\]: expected finite complex numbers \[coils",
        ),
        (K_SPACE[0], r"complex128\[64, 64\]: expected finite"),
        (K_SPACE * np.nan, "expected finite complex"),
        (
            K_SPACE * (columns(1) > 0),
            "k_space: 33 x 1 samples in the middle; expected at least 5 x 5",
        ),
        (0 * K_SPACE, "k_space: 0 x 0 samples"),
        (K_SPACE[:, :4, :4], "k_space: 3 x 3 samples in the middle"),
    ],
)
def test_what_has_no_maps_is_refused(k_space, message):
    with pytest.raises(InputError, match=message):
        ops.estimate_maps(k_space)


# `--maps estimate`.

ESTIMATE = {"mask": "zeros", "maps": "estimate"}
SHAPE = (SIDE, SIDE, 1)
UNDERSAMPLED = (K_SPACE * columns(17)).astype(np.complex64)
FILES = {
    "coils": (UNDERSAMPLED, None, 6, "6 coils"),
    "slices of coils": (np.stack([0 * UNDERSAMPLED, UNDERSAMPLED, 0 * UNDERSAMPLED]), 1, 6, "6 co"),
    "one coil": (UNDERSAMPLED[0], None, 1, "1 coil"),
    "one coil with its axis": (UNDERSAMPLED[:1], None, 1, "1 coil"),
    "slices of one coil": (UNDERSAMPLED, 0, 1, "a.npy: slice 0 of 6, from 0; 1 coil"),
}


def read(path, options, slice=None):
    """An image's operator and its measurement, `[K, H, W, C]` complex, as a run has them."""
    settings = Settings("mri", options, "ilo", 0, measured=True, slice=slice, range=(0, None))
    task, coils = TASKS["mri"], coils_of(path, 1, settings)
    to_read = build_operator(jax.random.key(0), task, options, SHAPE, "a", coils=coils)
    found = read_measurement(path, to_read, settings)
    operator = build_operator(jax.random.key(0), task, options, SHAPE, "a", found.value, path)
    assert isinstance(operator, ops.ParallelFourier)
    y = np.asarray(in_units(path, operator, found, settings))
    return operator, y @ [1, 1j], "".join(found.notes)


@pytest.mark.parametrize("kind", FILES)
def test_maps_of_a_file_are_those_of_its_own_k_space(kind, tmp_path):
    stored, slice, count, note = FILES[kind]
    write_npy(tmp_path / "a.npy", stored)
    operator, y, said = read(tmp_path / "a.npy", ESTIMATE, slice)
    assert note in said
    assert y.shape == (count, *SHAPE)
    np.testing.assert_array_equal(operator.maps, ops.estimate_maps(UNDERSAMPLED[:count]))
    np.testing.assert_array_equal(operator.mask[..., 0], UNDERSAMPLED[0] != 0)


def test_maps_are_of_what_a_mask_leaves(tmp_path):
    """Of full k-space that is sampled again: nothing that is not measured goes in."""
    stored = K_SPACE.astype(np.complex64)
    write_npy(tmp_path / "a.npy", stored)
    operator, y, _ = read(tmp_path / "a.npy", {"acceleration": 4.0, "maps": "estimate"})
    sampled = np.asarray(operator.mask)[..., 0]
    assert sampled.sum() == SIDE * SIDE / 4
    np.testing.assert_array_equal(operator.maps, ops.estimate_maps(stored * sampled))
    assert (y[:, sampled == 0] == 0).all()


def test_k_space_of_one_coil_needs_no_axis_of_coils(tmp_path):
    """Where maps are those of one coil, which hold its phase."""
    write_npy(tmp_path / "maps.npy", coils()[0])
    options = {"mask": "zeros", "maps": str(tmp_path / "maps.npy")}
    for name, stored in (("a", UNDERSAMPLED[0]), ("b", UNDERSAMPLED)):
        write_npy(tmp_path / f"{name}.npy", stored)
    one, many = read(tmp_path / "a.npy", options), read(tmp_path / "b.npy", options, 0)
    assert one[1].shape == (1, SIDE, SIDE, 1)
    np.testing.assert_array_equal(one[1], many[1])


BAD = {
    "mri --acceleration 2 --maps estimate --images photos": (
        "--maps estimate: expected with --measured, in whose k-space they are"
    ),
    "mri --mask zeros --maps estimate --measured --range 0 max --images {tmp}/a.npy": (
        "a.npy: --maps estimate: 7 x 1 samples in the middle; expected at least 5 x 5, all of"
    ),
    "mri --mask zeros --maps estimate --measured --images {tmp}/cube.npy": (
        "cube.npy: shape (2, 2, 8, 8, 1); expected (1, 8, 8)"
    ),
    "mri --mask zeros --maps estimate --measured --images photos/a.png": (
        "a.png: no array; expected .npy, .npz or HDF5"
    ),
}


@pytest.mark.parametrize("line", BAD)
def test_what_has_no_maps_is_one_line(line, solve, tmp_path):
    lines = (np.arange(8) % 4 == 0) * np.ones((2, 8, 8), np.complex64)
    write_npy(tmp_path / "a.npy", lines)
    write_npy(tmp_path / "cube.npy", np.ones((2, 2, 8, 8, 1), np.complex64))
    done = solve(line + " --generator gen --steps 1,1 --out {out}")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert BAD[line] in done.err
    assert not [*tmp_path.glob("out/images/*")]


@pytest.mark.slow
def test_a_run_with_estimated_maps_is_one_with_those_maps(solve, tmp_path):
    """Images of several numbers of coils are in batches of their own."""
    small = transform(np.random.default_rng(0).uniform(size=(3, 8, 8)) + 0.5)
    for name, stored in (("a", small), ("b", small[:2]), ("c", small[1:])):
        for folder, array in (("k", stored), ("maps", ops.estimate_maps(stored)[..., 0])):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_npy(tmp_path / folder / f"{name}.npy", array.astype(np.complex64))
    line = "mri --acceleration 1 --measured --range 0 max --generator gen --steps 3,3 --images "
    done = solve(line + "{tmp}/k --maps estimate --save-measurement --out {tmp}/1")
    assert done.code == 0
    assert "b.npy: 2 coils" in done.err
    for name in "abc":  # one at a time: a folder of maps of several sizes has no one operator
        one = line + f"{{tmp}}/k/{name}.npy --maps {{tmp}}/maps/{name}.npy --out {{tmp}}/{name}"
        assert solve(one).code == 0
        (found,), (expected,) = (
            [picture(p) for p in sorted((tmp_path / run / "images").glob(f"{name}.png"))]
            for run in ("1", name)
        )
        assert np.abs(found - expected).max() <= 1
    # What was kept is read back.
    saved = line.replace(" --range 0 max", "") + "{tmp}/1/measurements --maps estimate --out "
    assert solve(saved + "{tmp}/2").code == 0
    first, again = pictures(tmp_path / "1"), pictures(tmp_path / "2")
    assert first.keys() == again.keys()


def picture(path) -> np.ndarray:
    return np.asarray(Image.open(path), int)


@pytest.mark.slow
def test_the_operator_equals_sigpys():
    """Of the same mask and maps, forwards and backwards."""
    linop = pytest.importorskip("sigpy.mri.linop", reason="pip install sigpy")
    mask, maps = columns(9), coils().astype(np.complex64)
    theirs = linop.Sense(maps, weights=np.broadcast_to(mask, (SIDE, SIDE)))
    ours = ops.masked_mri(
        (SIDE, SIDE, 1), np.broadcast_to(mask[:, None], (SIDE, SIDE, 1)), maps[..., None]
    )
    image = jnp.asarray(IMAGE[..., None], jnp.float32)
    measured = np.asarray(ours(image))[..., 0, :] @ [1, 1j]
    np.testing.assert_allclose(measured, theirs(IMAGE.astype(np.complex64)), atol=1e-5)
    y = (K_SPACE * mask).astype(np.complex64)
    back = ours.adjoint(jnp.asarray(np.stack([y.real, y.imag], -1)[..., None, :]))[..., 0]
    np.testing.assert_allclose(back, theirs.H(y).real, atol=1e-5)
