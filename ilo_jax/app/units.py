"""From the units of a file to those of an operator, whose images are in [-1, 1]; what is measured
by something else is noticed."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError
from ilo_jax.files.samples import Limits
from ilo_jax.ops import Composed, LinearOperator, Measurement, Operator, noiseless

_ENTRIES = 1024
_LARGEST = 2.0  # of images in [-1, 1]; bicubic down-sampling overshoots
_ZERO_FILLED = (0.01, 10.0)  # largest magnitude of such images' zero-filled reconstructions
_COMPLEX = 0.25  # of the energy: no image of a real prior is like that


def limits_of(settings: Settings) -> Limits | None:
    """What the user calls black and white."""
    return None if settings.range is None else Limits(*settings.range)


def check_units(path: Path, operator: Operator, y: Measurement, settings: Settings) -> None:
    """Of an array that was measured elsewhere.

    Raises:
      InputError: zero where the operator samples, or in other units that are not said.
    """
    if operator.measures_k_space:
        expect_sampled(path, operator, y)
    if settings.range is None:
        _expect_units(path, operator, y)


def phase_note(path: Path, operator: Operator, y: Any) -> str | None:
    """What to say of one coil's k-space that is no real image's.

    A real image has opposite samples that are conjugates; where both are there they tell.
    """
    if not operator.measures_k_space or y.ndim != 4:
        return None
    y = np.fft.ifftshift(y[..., 0] + 1j * y[..., 1], (0, 1))
    opposite = np.conj(np.roll(np.flip(y, (0, 1)), 1, (0, 1)))
    both = (y != 0) & (opposite != 0)
    energy = np.sum(np.abs(y[both]) ** 2)
    if not energy or np.sum(np.abs((y - opposite)[both] / 2) ** 2) < _COMPLEX * energy:
        return None
    return (
        f"{path.name}: k-space of a complex image, while the generator's are real: expected --maps "
        "estimate, or maps with its phase"
    )


def from_image(image: np.ndarray, units: Limits) -> np.ndarray:
    """An image in [-1, 1] in the units whose black and white are these; float32."""
    black, white = units
    assert white is not None
    return np.float32(black) + (image + 1) / 2 * np.float32(white - black)


def expect_same(path: Path, operator: Operator, found: np.ndarray) -> None:
    """Operators that are equal but for rounding, on whatever device, have about one fingerprint.

    Raises:
      InputError: this is another one than the one that measured.
    """
    should = np.asarray(fingerprint(operator))
    if found.shape != should.shape or not np.allclose(
        found, should, rtol=0, atol=1e-3 * np.abs(should).max()
    ):
        raise InputError(
            f"{path}: measured by another operator; expected the options and the seed of the run "
            "that saved it"
        )


@jax.jit
def fingerprint(operator: Operator) -> jax.Array:
    """Some entries of what is measured of one image, `[1024]`."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, operator.image_shape).astype(np.float32)
    entries = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(operator(jnp.asarray(x)))])
    return entries[random.integers(entries.size, size=_ENTRIES)]


def expect_sampled(path: Path, operator: Operator, y: np.ndarray) -> None:
    axes = (*range(y.ndim - 4), -2, -1)
    mask = np.asarray(operator.restrict(jnp.ones_like(y))).any(axes)
    missing = int((mask & ~(y != 0).any(axes)).sum())
    if missing:
        raise InputError(
            f"{path}: zero at {missing} of {int(mask.sum())} places that are sampled; expected "
            "--mask zeros, or a mask of what was"
        )


def _expect_units(path: Path, operator: Operator, y: Any) -> None:
    if operator.measures_k_space:
        low, high, what = *_ZERO_FILLED, "magnitudes of the zero-filled image"
        largest = _zero_filled(y).max()
    elif operator.measures_image and is_linear(operator):
        low, high, what = 0.0, _LARGEST, "values"
        largest = np.abs(y).max()
    else:
        return
    if not low <= largest <= high:
        raise InputError(
            f"{path}: {what} to {largest:.3g}; expected a measurement of images in [-1, 1], or "
            "--range LOW HIGH, what is black and white"
        )


def resolved(path: Path, operator: Operator, y: Measurement, limits: Limits) -> Limits:
    """With white known, where it is the largest value of a measurement.

    Raises:
      InputError: numbers of no image have none, or nothing is above black.
    """
    white = limits.white
    if white is None:
        if operator.measures_k_space:
            white = float(_zero_filled(y).max())
        elif operator.measures_image:
            white = float(y.max())
        else:
            raise InputError(f"{path}: --range LOW max: expected a number, of numbers of no image")
    if not limits.black < white:
        raise InputError(f"{path}: values to {white:g}; expected some above {limits.black:g}")
    return Limits(limits.black, white)


def converted(path: Path, operator: Operator, y: Measurement, limits: Limits) -> Measurement:
    """Of an image in [-1, 1] instead of black to white: `A(a m + b) = a A(m) + b A(1)`.

    Raises:
      InputError: as `resolved`, or the operator is not linear.
    """
    if not is_linear(operator):
        raise InputError(f"{path}: --range with an array: expected a linear task")
    black, white = resolved(path, operator, y, limits)
    assert white is not None
    scale = 2 / (white - black)
    of_one = operator(jnp.ones(operator.image_shape, jnp.float32))
    offset = -(scale * black + 1)
    return jax.tree.map(lambda y, one: np.float32(scale) * y + np.float32(offset) * one, y, of_one)


def is_linear(operator: Operator) -> bool:
    """But for its noise."""
    operator = noiseless(operator)
    if isinstance(operator, Composed):
        return all(is_linear(part) for part in operator.operators)
    return isinstance(operator, LinearOperator)


def _zero_filled(y: np.ndarray) -> np.ndarray:
    """Magnitudes `[H, W, C]` of the image of k-space, of all coils together."""
    axes = (-3, -2)
    k_space = np.fft.ifftshift(y[..., 0] + 1j * y[..., 1], axes)
    magnitudes = np.abs(np.fft.ifft2(k_space, axes=axes, norm="ortho"))
    return np.sqrt(np.sum(magnitudes.reshape(-1, *magnitudes.shape[-3:]) ** 2, 0))
