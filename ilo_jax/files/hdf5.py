"""HDF5 by h5py, of which only what is in the file itself is read, and no more than it says.

A dataset may name other files (external data, virtual datasets, external links) and filters, which
the library would look for; and its chunks are unpacked to whatever they hold.
"""

import dataclasses
import io
import math
import zlib

import h5py
import numpy as np

from ilo_jax.errors import InputError

_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF = 1, 2, 3, 32000
_COMPRESSIONS = (_DEFLATE, _LZF)
_MOST_RATIO = 1032  # of deflate; that of LZF is less


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset of an open file; `dtype` tells objects where they are strings or references."""

    _dataset: h5py.Dataset

    @property
    def shape(self) -> tuple[int, ...]:
        return self._dataset.shape

    @property
    def dtype(self) -> np.dtype:
        return self._dataset.dtype

    def read(self, item: int | None, most_bytes: int) -> np.ndarray:
        """All of it, or one along its first axis.

        Raises:
          InputError: it is in another file, is packed by an unknown filter, or unpacks to more
            than it says.
        """
        _expect_here(self._dataset)
        _expect_no_bomb(self._dataset, most_bytes)
        return np.asarray(self._dataset[() if item is None else item])


def datasets(file: io.BufferedReader) -> dict[str, Dataset]:
    """Those at the root of a file, by name; links to elsewhere are none."""
    root = h5py.File(file, "r")
    names = [str(name) for name in root]
    here = [name for name in names if isinstance(root.get(name, getlink=True), h5py.HardLink)]
    found = {name: root[name] for name in here}
    return {k: Dataset(v) for k, v in found.items() if isinstance(v, h5py.Dataset) and v.shape}


def _expect_here(dataset: h5py.Dataset) -> None:
    if dataset.is_virtual or dataset.external:
        raise InputError("its numbers are in other files; expected them in this one")
    created = dataset.id.get_create_plist()
    filters = [created.get_filter(i)[0] for i in range(created.get_nfilters())]
    known = (*_COMPRESSIONS, _SHUFFLE, _FLETCHER32)
    if not set(filters) <= set(known) or sum(f in _COMPRESSIONS for f in filters) > 1:
        raise InputError(f"packed by the filters {filters}; expected gzip or LZF, once")


def _expect_no_bomb(dataset: h5py.Dataset, most_bytes: int) -> None:
    """HDF5 unpacks a chunk to all that it holds; those that might hold too much are unpacked here
    first, as far as they should go."""
    if dataset.chunks is None:
        return
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if size > most_bytes:
        raise InputError(f"in chunks of {size} bytes; expected at most {most_bytes}")
    if dataset.compression is None:
        return
    large: list[tuple[int, ...]] = []

    def look(chunk) -> None:
        if chunk.size * _MOST_RATIO > most_bytes:
            large.append(chunk.chunk_offset)

    dataset.id.chunk_iter(look)
    for offset in large:
        unpacked = most_bytes
        if dataset.compression == "gzip":
            _, packed = dataset.id.read_direct_chunk(offset)
            unpacked = len(zlib.decompressobj().decompress(packed, size + 1))
        if unpacked > size:
            raise InputError(f"a chunk of more than its {size} bytes; expected as many")
