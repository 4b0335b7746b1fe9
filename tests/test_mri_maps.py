"""Sensitivities from the middle of k-space, and the operator against another library's."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ilo_jax import ops
from ilo_jax.errors import InputError

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
