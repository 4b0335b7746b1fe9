"""From a file to what it holds: torch.save's zip, its older format, a plain pickle, safetensors."""

import io
import math
import mmap
import os
import pathlib
import struct
import zipfile
from collections.abc import Callable
from typing import IO, Any, cast

import numpy as np
import safetensors

from convert_weights import limits, pickles
from convert_weights.limits import Budget
from convert_weights.storages import Slice, Storage, storage_of
from ilo_jax.files.checkpoint import CheckpointError
from ilo_jax.files.regular import open_regular

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_ZIP_ERRORS = (  # that a damaged archive makes `zipfile` raise
    zipfile.BadZipFile,
    KeyError,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)


def read(path: pathlib.Path) -> tuple[Any, Budget]:
    """The value of a file, told apart by content, and what is left to it.

    Tensors are `Object` of `Storage`, or `Slice`; see `arrays`.

    Raises:
      InputError: it is no regular file, or cannot be opened.
      CheckpointError: it is none of the four, or damaged.
    """
    with open_regular(path, limits.FILE_BYTES) as file:
        if not (size := os.fstat(file.fileno()).st_size):
            raise CheckpointError("cannot be read (empty)")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    budget = Budget(size)
    if data[:4] == b"PK\x03\x04":
        return _read_zip(data, budget), budget
    if data[8:9] == b"{":
        return _read_safetensors(path, int.from_bytes(data[:8], "little"), budget), budget
    if data[:1] != b"\x80":  # opcode PROTO, since protocol 2
        raise CheckpointError(
            "neither a pickle nor a zip archive nor safetensors; expected a checkpoint"
        )
    if size > limits.PICKLE_BYTES:
        raise CheckpointError(f"a pickle of {size} bytes; expected at most {limits.PICKLE_BYTES}")
    inner: dict[int, tuple[bytes, Any]] = {}

    def load_from_bytes(content: bytes) -> Any:
        """A file of torch.save inside of the pickle, read once however often it is named."""
        if id(content) not in inner:
            inner[id(content)] = content, _read_pickle(content, budget, None)
        return inner[id(content)][1]

    return _read_pickle(data, budget, load_from_bytes), budget


def _read_pickle(
    data: mmap.mmap | bytes, budget: Budget, load_from_bytes: Callable[[bytes], Any] | None
) -> Any:
    """The value of a plain pickle, or of what torch.save wrote before PyTorch 1.6."""
    stream = data if isinstance(data, mmap.mmap) else io.BytesIO(data)
    first = pickles.load(stream, budget, load_from_bytes=load_from_bytes)
    if not (isinstance(first, int) and first == _LEGACY_MAGIC):
        return first
    version, system = pickles.load(stream, budget), pickles.load(stream, budget)
    if version != _LEGACY_VERSION or not isinstance(system, dict):
        raise CheckpointError("a PyTorch file of an unknown version")
    if system.get("little_endian") is not True:
        raise CheckpointError("a PyTorch file of a big-endian machine")
    return _read_legacy(data, stream, budget)


def _read_legacy(data: mmap.mmap | bytes, stream: Any, budget: Budget) -> Any:
    view = memoryview(data)
    positions: dict[str, int] = {}

    def content(key: str) -> memoryview:
        return view[positions[key] :] if key in positions else view[:0]

    storages = _Storages(content)
    value = pickles.load(stream, budget, storages)
    keys = pickles.load(stream, budget)
    if not isinstance(keys, list):
        raise CheckpointError("a PyTorch file without its list of storages")
    position = stream.tell()
    for key in keys:
        if not (isinstance(key, str) and key in storages.by_key):
            raise CheckpointError("a PyTorch file with a storage that nothing uses")
        positions[key] = position + 8  # behind the number of elements
        position += 8 + storages.by_key[key].nbytes
    return value


class _Storages:
    """The storages of a file by persistent id: one for each key.

    Args:
      content: gives the bytes of a key.
    """

    def __init__(self, content: Callable[[str], bytes | memoryview]):
        self._content = content
        self.by_key: dict[str, Storage] = {}

    def __call__(self, persistent_id: Any) -> Storage:
        type_name, key, size = storage_of(persistent_id)
        if key not in self.by_key:
            self.by_key[key] = Storage(type_name, size, lambda: self._content(key))
        storage = self.by_key[key]
        if (storage.type_name, storage.size) != (type_name, size):
            raise CheckpointError(f"storage {key[:40]!r} is of two sizes or types: damaged")
        return storage


class _ShortReads:
    """A mapped file of which no more is read at once than is allowed, for `zipfile`."""

    def __init__(self, data: mmap.mmap, most: int):
        self._data = data
        self.most = most
        self.seek = data.seek
        self.tell = data.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if min(size, len(self._data) - self._data.tell()) > self.most:
            raise zipfile.BadZipFile(f"{size} bytes at once")
        return self._data.read(self.most if size < 0 else size)


def _read_zip(data: mmap.mmap, budget: Budget) -> Any:
    file, size = _ShortReads(data, limits.DIRECTORY_BYTES), len(data)
    try:
        archive = zipfile.ZipFile(cast(IO[bytes], file))  # reads the directory at once
    except _ZIP_ERRORS as error:
        raise CheckpointError("a truncated or damaged zip archive, or one of too many") from error
    file.most = size
    entries = {info.filename: info for info in archive.infolist()}
    # torch.save stores without compression, so an entry can never be larger than the file.
    if any(
        info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size
        for info in entries.values()
    ):
        raise CheckpointError("a compressed zip archive; expected one written by torch.save")
    if sum(info.file_size for info in entries.values()) > size:
        raise CheckpointError("a zip archive whose entries are larger than the file")
    roots = [name for name in entries if name.count("/") <= 1 and name.endswith("data.pkl")]
    if len(roots) != 1:
        raise CheckpointError("a zip archive without a data.pkl; expected one by torch.save")
    prefix = roots[0].removesuffix("data.pkl")

    def content(name: str) -> bytes:
        if name not in entries:
            raise CheckpointError(f"entry {name[:40]!r} is missing")
        budget.read(entries[name].file_size)
        try:
            return archive.read(entries[name])
        except _ZIP_ERRORS as error:
            raise CheckpointError(f"entry {name[:40]!r} is damaged") from error

    if f"{prefix}byteorder" in entries and content(f"{prefix}byteorder") != b"little":
        raise CheckpointError("a PyTorch file of a big-endian machine")
    storages = _Storages(lambda key: content(f"{prefix}data/{key}"))
    return pickles.load(io.BytesIO(content(roots[0])), budget, storages)


def _read_safetensors(path: pathlib.Path, header: int, budget: Budget) -> dict[str, Slice]:
    if header > limits.DIRECTORY_BYTES:
        raise CheckpointError(
            f"a safetensors file with a header of {header} bytes; expected at most "
            f"{limits.DIRECTORY_BYTES}"
        )

    def slice_of(name: str) -> Slice:
        def read() -> np.ndarray:
            budget.read(math.prod(file.get_slice(name).get_shape()) * 4)
            return file.get_tensor(name)

        return Slice(read)

    try:
        file = safetensors.safe_open(path, "numpy")
        return {name: slice_of(name) for name in list(file.keys())}
    except (safetensors.SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:100]
        raise CheckpointError(f"a truncated or damaged safetensors file ({reason})") from error
