"""Numbers of image files that say little of what they mean: more than 8 bits, signed, floating."""

import dataclasses
from typing import NamedTuple

import numpy as np

from ilo_jax.errors import InputError

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# A share of the range: from here on a float is beyond [0, 1] for more reasons than rounding.
_ROUNDING = 0.5 / 255
# Values that reach less than this share of their range are told: twelve bits in sixteen, say.
_SMALL_PART = 0.25
_BAND = 2**20  # numbers


class Limits(NamedTuple):
    """The numbers that somebody calls black and white; white None is the largest one there is."""

    black: float
    white: float | None


@dataclasses.dataclass(frozen=True)
class Samples:
    """A picture's numbers as they are stored, upright.

    Attributes:
      values: `[H, W, C]`, integers or floats; C 1 is grey, 3 RGB, 4 CMYK.
      alpha: `[H, W, 1]`, of the values' type or bool; None where all is opaque.
      bits: of an integer; 12 where they are stored in 16.
      white_is_zero: whether 0 is white (grey only).
      associated: whether the values are multiplied by alpha.
      limits: what the file says is black and white; None for what the type does.
    """

    values: np.ndarray
    alpha: np.ndarray | None = None
    bits: int = 16
    white_is_zero: bool = False
    associated: bool = False
    limits: Limits | None = None


class Scale(NamedTuple):
    """The numbers that are white, opaque and black, and a note where few of them are used, or some
    are beyond."""

    white: float
    opaque: float
    note: str | None
    black: float = 0.0


def scale_of(samples: Samples, limits: Limits | None = None) -> Scale:
    """What is white: what a user says, or else by the type. Integers have the full range of their
    bits; those of more than 16 bits that of 16, where they fit in, else that of their type. Floats
    have [0, 1] or else [0, 255].

    Raises:
      InputError: negative or not finite, or in doubt: beyond the smaller of two ranges but within
        a quarter of the larger one.
    """
    values = samples.values
    if values.dtype.kind not in "uif":
        raise InputError(f"values of type {values.dtype}; expected integers or floats")
    low, high = float(values.min()), float(values.max())
    limits = limits or samples.limits
    if limits is not None:
        return _scale_within(samples, limits, low, high)
    white = _white_of_floats(low, high) if values.dtype.kind == "f" else None
    if white is None:
        white = _white_of_integers(values.dtype, samples.bits, low, high)
    deep = values.dtype.kind != "f" and white > 255
    note = None
    if deep and 0 < high < _SMALL_PART * white:
        note = f"values only to {high:.0f} of {white:.0f}"
    return Scale(white, _opaque(samples.alpha, white), note)


def part(
    samples: Samples, scale: Scale, rows: slice, columns: slice
) -> tuple[np.ndarray, np.ndarray | None]:
    """Float32 `[h, w, C]` and alpha `[h, w, 1]` or None, in [0, 1]; 1 is white, but full ink."""
    with np.errstate(over="ignore"):  # to infinity, which is clipped
        values = samples.values[rows, columns].astype(np.float32) - np.float32(scale.black)
        values = np.clip(values / np.float32(scale.white - scale.black), 0, 1)
    if samples.white_is_zero:
        values = 1 - values
    if samples.alpha is None:
        return values, None
    alpha = samples.alpha[rows, columns].astype(np.float32) / np.float32(scale.opaque)
    alpha = np.clip(alpha, 0, 1)
    if samples.associated:
        values = np.clip(np.divide(values, alpha, out=np.ones_like(values), where=alpha > 0), 0, 1)
    return values, alpha


def _scale_within(samples: Samples, limits: Limits, low: float, high: float) -> Scale:
    black, white = limits.black, high if limits.white is None else limits.white
    if not np.isfinite([low, high]).all() or not black < white:
        raise InputError(f"values from {low:g} to {high:g}; expected some above {black:g}")
    if not _LEAST_RANGE < white - black < 1 / _LEAST_RANGE:
        raise InputError(
            f"black {black:g} and white {white:g}; expected numbers that differ by "
            f"{_LEAST_RANGE:g} to {1 / _LEAST_RANGE:g}"
        )
    beyond = _share_beyond(samples.values, black, white)
    note = f"{beyond:.2%} of the values beyond {black:g} to {white:g}, clipped" if beyond else None
    full = np.iinfo(samples.values.dtype).max if samples.values.dtype.kind in "ui" else 1
    opaque = 2**samples.bits - 1 if samples.values.dtype.kind == "u" else full
    return Scale(white, _opaque(samples.alpha, opaque), note, black)


_LEAST_RANGE = 1e-37  # float32 tells them apart


def _share_beyond(values: np.ndarray, black: float, white: float) -> float:
    """A few rows at a time, since a large picture has no room for more of its size."""
    step = max(1, _BAND // values[0].size)
    bands = (values[top : top + step] for top in range(0, len(values), step))
    count = sum(np.count_nonzero((band < black) | (band > white)) for band in bands)
    return count / values.size


def luma(colour: np.ndarray) -> np.ndarray:
    """`[..., 1 or 3]` -> `[..., 1]`, Rec. 601."""
    return colour if colour.shape[-1] == 1 else (colour @ _LUMA)[..., None]


def _white_of_floats(low: float, high: float) -> float:
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return 1
    if low >= 0 and _SMALL_PART * 255 <= high <= 255:
        return 255
    raise InputError(f"values from {low:g} to {high:g}; expected [0, 1] or [0, 255]")


def _white_of_integers(kind: np.dtype, bits: int, low: float, high: float) -> float:
    full = float(np.iinfo(kind).max) if kind.kind == "i" or bits > 16 else float(2**bits - 1)
    if low >= 0:
        if full <= 65535:
            return full
        if high <= 65535:
            return 65535
        if high >= _SMALL_PART * full:
            return full
    expected = f"0..{min(full, 65535):.0f}"
    if full > 65535:
        expected += f", or more than a quarter of 0..{full:.0f}"
    raise InputError(f"values from {low:.0f} to {high:.0f}; expected {expected}")


def _opaque(alpha: np.ndarray | None, white: float) -> float:
    if alpha is None or alpha.dtype.kind == "b":
        return 1
    low, high = float(alpha.min()), float(alpha.max())
    if alpha.dtype.kind == "f":
        white = 1 if high <= 1 + _ROUNDING else 255
    if not (low >= -_ROUNDING and high <= white * (1 + _ROUNDING)):
        raise InputError(f"alpha from {low:g} to {high:g}; expected 0..{white:g}")
    return white
