"""Arrays in files: `.npy`, `.npz` and HDF5, told apart by what they hold.

Nothing is unpickled, no other file is opened, and nothing is read that is larger than `MOST_BYTES`,
whatever it is compressed to.
"""

import dataclasses
import io
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from ilo_jax.errors import InputError, one_line
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.libraries import of_extra
from ilo_jax.files.regular import open_regular

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
MOST_BYTES = 2**30
_MOST_FILE_BYTES = 2**36  # of which one slice is read, say

_MOST_ARRAYS = 10_000

_NUMPY, _ZIP, _HDF5 = b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_EXPECTED = "expected arrays in .npy, .npz or HDF5"


@dataclasses.dataclass(frozen=True)
class Stored:
    """An array of an open file, of numbers or bools.

    Attributes:
      shape, dtype: its own.
      read: all of it, or one along its first axis.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[int | None], np.ndarray]


def is_array_file(path: Path | str) -> bool:
    """Whether a file begins as those do that `open_arrays` reads.

    Raises:
      InputError: it cannot be read.
    """
    with open_regular(path) as file, _told(path):
        return file.read(8).startswith((_NUMPY, _ZIP, _HDF5))


@contextmanager
def open_arrays(path: Path | str) -> Iterator[Mapping[str, Stored]]:
    """Opens a file; its arrays by name, the one of a `.npy` under "".

    Raises:
      InputError: another file, or a damaged one; also while its arrays are read: too large, not of
        numbers, or stored elsewhere.
    """
    with open_regular(path, _MOST_FILE_BYTES) as file:
        with _told(path):
            head = file.peek(8)[:8]
            if head.startswith(_NUMPY):
                stored = {"": _of_npy(path, lambda: file)}
            elif head.startswith(_ZIP):
                stored = _of_npz(path, zipfile.ZipFile(file))
            elif head.startswith(_HDF5):
                stored = _of_hdf5(path, file)
            else:
                raise InputError(f"{path}: no arrays; {_EXPECTED}")
        yield stored


def pick(path: Path | str, stored: Mapping[str, Stored], names: tuple[str, ...]) -> Stored:
    """The first of these names that there is, or else the only array.

    Raises:
      InputError: none of them, and none or several others.
    """
    for name in names:
        if name in stored:
            return stored[name]
    if len(stored) == 1:
        return next(iter(stored.values()))
    there = ", ".join(list(stored)[:8]) or "none"
    raise InputError(f"{path}: arrays {there}; expected {' or '.join(names)}, or one array alone")


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """All arrays of a `.npz`.

    Raises:
      InputError: as `open_arrays`.
    """
    with open_arrays(path) as stored:
        if "" in stored:
            raise InputError(f"{path}: one array without a name; expected a .npz")
        return {name: array.read(None) for name, array in stored.items()}


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a `.npz`, whole or not at all; equal arrays are equal bytes."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_atomically(path, content.getvalue())


def write_npy(path: Path, array: np.ndarray) -> None:
    """Writes a `.npy`, whole or not at all."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    write_atomically(path, content.getvalue())


def expect_fits(path: Path | str, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The bytes of an array of numbers that may be read.

    Raises:
      InputError: it holds something else, or is too large.
    """
    if dtype.kind not in "biufc":
        raise InputError(f"{path}: array of {_kind(dtype)}; expected numbers")
    size = math.prod(shape) * dtype.itemsize
    if size > MOST_BYTES:
        raise InputError(f"{path}: array of {size} bytes; expected at most {MOST_BYTES}")
    return size


def _of_npz(path: Path | str, archive: zipfile.ZipFile) -> dict[str, Stored]:
    def member(info: zipfile.ZipInfo) -> Stored:
        return _of_npy(path, lambda: archive.open(info))

    members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    if len(members) > _MOST_ARRAYS:
        raise InputError(f"{path}: {len(members)} arrays; expected at most {_MOST_ARRAYS}")
    return {info.filename.removesuffix(".npy"): member(info) for info in members}


def _of_npy(path: Path | str, begin: Callable[[], IO[bytes]]) -> Stored:
    """Of what `begin` opens. Its header is read by NumPy; its numbers are counted before they are
    believed, since NumPy takes memory for whatever a header says."""

    def header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
        if npy.read_magic(file) != (1, 0):  # others are for headers of more than 64 KiB
            raise InputError(f"{path}: not of version 1.0 of the format; {_EXPECTED}")
        return npy.read_array_header_1_0(file)

    def read(item: int | None) -> np.ndarray:
        with _told(path):
            file = begin()
            file.seek(0)
            shape, by_column, dtype = header(file)
            size = expect_fits(path, shape, dtype)
            content = file.read(size)
        if len(content) < size:
            raise InputError(f"{path}: {len(content)} bytes of {size}; {_EXPECTED}")
        array = np.frombuffer(content, dtype).reshape(shape, order="F" if by_column else "C")
        return array if item is None else array[item]

    shape, _, dtype = header(begin())
    return Stored(shape, dtype, read)


def _of_hdf5(path: Path | str, file: io.BufferedReader) -> dict[str, Stored]:
    with of_extra(f"{path}: HDF5", "h5py", "hdf5"):
        from ilo_jax.files.hdf5 import datasets

    def stored(dataset) -> Stored:
        def read(item: int | None) -> np.ndarray:
            shape = dataset.shape if item is None else dataset.shape[1:]
            with _told(path):
                expect_fits(path, shape, dataset.dtype)
                return dataset.read(item, MOST_BYTES)

        return Stored(dataset.shape, dataset.dtype, read)

    return {name: stored(dataset) for name, dataset in datasets(file).items()}


@contextmanager
def _told(path: Path | str) -> Iterator[None]:
    """What NumPy, `zipfile` and h5py raise on damaged files, in one line."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{path}:"):
            raise
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # on damaged files they raise whatever they run into
        raise InputError(f"{path}: cannot be read ({one_line(error)}); {_EXPECTED}") from error


def _kind(dtype: np.dtype) -> str:
    return "objects" if dtype.hasobject else str(dtype)
