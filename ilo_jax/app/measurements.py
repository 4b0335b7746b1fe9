"""Measurements in files: images, or arrays in the units of their operator.

An array has the shape of one image's measurement, complex where that is k-space; without the
channel axis it is the same in all channels, and with one more axis in front it is a stack of
measurements, of which one is taken.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.app.options import asks_for_estimate, links
from ilo_jax.app.settings import Settings
from ilo_jax.app.tasks import TASKS
from ilo_jax.app.units import (
    check_units,
    converted,
    expect_same,
    expect_sampled,
    fingerprint,
    limits_of,
    resolved,
)
from ilo_jax.errors import InputError
from ilo_jax.files import images
from ilo_jax.files.arrays import Stored, is_array_file, open_arrays, pick, write_npz
from ilo_jax.files.samples import Limits
from ilo_jax.ops import Measurement, Operator
from ilo_jax.pytree import by_name

NAMES = ("measurement", "kspace")
"""Of a measurement among other arrays: ours, and fastMRI's."""

_FINGERPRINT = "fingerprint"


class Measured(NamedTuple):
    """A measurement as it was read.

    Attributes:
      value: float32, of the operator's shape, in the units of the file.
      notes: what a reader should know.
      is_image: whether it is from an image file, whose numbers are in [-1, 1] already.
      step: between two numbers that an image file can hold, in the units of the image; else 0.
      fingerprint: of the operator that measured it, if a run has saved it.
    """

    value: Measurement
    notes: list[str]
    is_image: bool
    step: float
    fingerprint: np.ndarray | None = None


def read_measurement(path: Path, operator: Operator, settings: Settings) -> Measured:
    """Reads a file.

    Raises:
      InputError: it cannot be read, or is no measurement of this operator's shape and type.
    """
    if not is_array_file(path):
        if not operator.measures_image:
            raise InputError(
                f"{path}: no array; expected .npy, .npz or HDF5, since {settings.task} measures no "
                "images"
            )
        shape = operator.measurement_shape
        image, note, step = images.read_exact(path, shape, limits_of(settings), settings.slice)
        return Measured(image, [note] if note else [], True, step)
    notes: list[str] = []
    form = jax.eval_shape(
        lambda x: operator(x), jax.ShapeDtypeStruct(operator.image_shape, jnp.float32)
    )
    wanted = by_name(form, NAMES[0])
    with open_arrays(path) as stored:
        mark = stored.get(_FINGERPRINT)
        others = {name: array for name, array in stored.items() if name != _FINGERPRINT}
        if len(wanted) > 1 and not wanted.keys() <= others.keys():
            raise InputError(f"{path}: expected arrays {', '.join(wanted)}")
        of_one = _names(path, others, settings)
        leaves = [
            _read_leaf(
                path,
                pick(path, others, of_one if len(wanted) == 1 else (name,)),
                leaf.shape,
                operator,
                settings,
                notes,
            )
            for name, leaf in wanted.items()
        ]
        found = None if mark is None else mark.read(None)
    if asks_for_estimate(TASKS[settings.task], settings.options):
        coils = len(leaves[0])
        notes.append(f"{coils} coil{'s' if coils > 1 else ''}")
    notes = [f"{path.name}: {'; '.join(notes)}"] if notes else []
    return Measured(jax.tree.unflatten(jax.tree.structure(form), leaves), notes, False, 0.0, found)


def coils_of(path: Path, channels: int, settings: Settings) -> int:
    """How many coils have measured what is in a file: `[coils, H, W]`, `[slices, coils, H, W]`, or
    with `--slice` `[slices, H, W]` of one.

    Raises:
      InputError: it cannot be read.
    """
    if not is_array_file(path):
        return 1  # which is refused when it is read
    with open_arrays(path) as stored:
        others = {name: array for name, array in stored.items() if name != _FINGERPRINT}
        shape = pick(path, others, _names(path, others, settings)).shape
    axes = shape[:-1] if shape[-1:] == (channels,) else shape
    slices = len(axes) == 4 or (len(axes) == 3 and settings.slice is not None)
    of_one = axes[1:] if slices else axes
    return of_one[0] if len(of_one) == 3 else 1


def in_units(path: Path, operator: Operator, measured: Measured, settings: Settings) -> Measurement:
    """In the units of the operator, and what it can produce of it.

    Raises:
      InputError: another operator has measured it, or the units are others and not said, or are
        said for an operator that is not linear.
    """
    y, limits = measured.value, limits_of(settings)
    estimated = asks_for_estimate(TASKS[settings.task], settings.options)
    if measured.fingerprint is not None:  # in the operator's units
        if estimated:  # maps that are near those of the one that measured
            expect_sampled(path, operator, y)
        else:
            expect_same(path, operator, measured.fingerprint)
    elif any("observed" in o for _, o in links(TASKS[settings.task], settings.options)):
        # That mask is drawn here: it is not the one of the file.
        raise InputError("--observed with --measured: expected --mask FILE, the pixels observed")
    elif measured.is_image:
        return operator.from_picture(jnp.asarray(y))
    else:
        check_units(path, operator, y, settings)
        y = y if limits is None else converted(path, operator, y, limits)
    return operator.restrict(jax.tree.map(jnp.asarray, y))


def units_of_input(path: Path, operator: Operator, settings: Settings) -> Limits:
    """The numbers that are black and white in a file: of images, or of arrays those of `--range`,
    without which they are in the units of the operator.

    Raises:
      InputError: as `read_measurement`.
    """
    limits = limits_of(settings)
    if not (settings.measured and is_array_file(path)):
        return images.units_of(path, limits, settings.slice)
    found = read_measurement(path, operator, settings)
    if limits is None or found.fingerprint is not None:
        return Limits(-1.0, 1.0)
    return resolved(path, operator, found.value, limits)


def save_measurement(path: Path, operator: Operator, measurement: Measurement) -> None:
    """Writes what `read_measurement` reads: a `.npz` with `measurement`, or `measurement/NAME` of
    each of several arrays, and a fingerprint of the operator.

    Raises:
      InputError: `path` cannot be written.
    """
    arrays = {k: np.ascontiguousarray(a) for k, a in by_name(measurement, NAMES[0]).items()}
    if operator.measures_k_space:
        arrays = {k: a.view(np.complex64)[..., 0] for k, a in arrays.items()}
    write_npz(path, {**arrays, _FINGERPRINT: np.asarray(fingerprint(operator))})


def _names(path: Path, stored: Mapping[str, Stored], settings: Settings) -> tuple[str, ...]:
    """Of a measurement of one array."""
    if settings.key is None:
        return NAMES
    if settings.key not in stored:
        raise InputError(f"{path}: arrays {', '.join(stored)}; expected {settings.key}")
    return (settings.key,)


def _read_leaf(
    path: Path,
    stored: Stored,
    shape: tuple[int, ...],
    operator: Operator,
    settings: Settings,
    notes: list[str],
) -> np.ndarray:
    k_space = operator.measures_k_space
    shape = shape[:-1] if k_space else shape
    has_channels = k_space or operator.measures_image
    grey = has_channels and stored.shape[-1:] != shape[-1:]
    wanted = shape[:-1] if grey else shape
    if k_space and len(shape) == 4 and shape[0] == 1:  # of one coil, which needs no axis
        extra = len(stored.shape) - len(wanted) + 1
        wanted = wanted[1:] if extra == 0 or (extra == 1 and stored.shape[0] != 1) else wanted
    item = _item(path, stored.shape, wanted, settings.slice, notes)
    array = stored.read(item)
    if k_space != np.iscomplexobj(array):
        kind = "complex numbers, k-space" if k_space else "real numbers"
        raise InputError(f"{path}: {array.dtype}; expected {kind}")
    if k_space:
        array = _cropped(path, array, wanted, settings.crop, -2 if grey else -3)
    if array.shape != wanted:
        raise InputError(f"{path}: shape {array.shape}; expected {wanted}")
    array = np.broadcast_to(array[..., None] if grey else array, shape)
    if k_space:
        array = np.stack([np.real(array), np.imag(array)], -1)
    with np.errstate(over="ignore"):  # to infinity, which is refused
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: values that are not finite; expected finite numbers")
    return array


def _item(
    path: Path, found: tuple[int, ...], wanted: tuple[int, ...], index: int | None, notes: list[str]
) -> int | None:
    """Which one of a stack; the middle one if the user does not say."""
    if len(found) != len(wanted) + 1:
        if index is not None:
            raise InputError(f"{path}: shape {found}, one measurement; expected no --slice")
        return None
    if not found[0] or (index is not None and index >= found[0]):
        raise InputError(f"{path}: {found[0]} slices; expected --slice from 0 to {found[0] - 1}")
    item = found[0] // 2 if index is None else index
    notes.append(f"slice {item} of {found[0]}, from 0")
    return item


def _cropped(
    path: Path, array: np.ndarray, wanted: tuple[int, ...], crop: bool, axis: int
) -> np.ndarray:
    """The middle of k-space where it is larger: an image of lower resolution, of equal values."""
    axes = (axis, axis + 1)
    found, size = ([shape[i] for i in axes] for shape in (array.shape, wanted))
    if found == size or array.ndim != len(wanted):
        return array
    if not all(n <= f for n, f in zip(size, found, strict=True)):
        raise InputError(f"{path}: k-space of {found}; expected {size}, the generator's, or more")
    if not crop:
        raise InputError(
            f"{path}: k-space of {found}; expected {size}, the generator's, or --crop, which keeps "
            "its middle: an image of lower resolution"
        )
    starts = [f // 2 - n // 2 for f, n in zip(found, size, strict=True)]
    for i, start, n in zip(axes, starts, size, strict=True):
        array = np.take(array, range(start, start + n), i)
    return array * math.sqrt(math.prod(size) / math.prod(found))
