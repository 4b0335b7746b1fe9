"""From a file to what its pickle holds: torch.save's zip, its older format, a plain pickle."""

import io
import mmap
import pathlib
import struct
import zipfile
from typing import Any

from convert_weights import pickles
from convert_weights.storages import Storage, storage_of
from ilo_jax.files.checkpoint import CheckpointError

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


def read(path: pathlib.Path) -> Any:
    """The pickled value of a file, told apart by content; storages are `Storage`.

    Raises:
      CheckpointError: it cannot be read, or is none of the three.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = "empty" if isinstance(error, ValueError) else error.strerror
        raise CheckpointError(f"cannot be read ({reason})") from error
    if data[:4] == b"PK\x03\x04":
        return _read_zip(path, len(data))
    if data[:1] != b"\x80":  # opcode PROTO, since protocol 2
        raise CheckpointError("neither a pickle nor a zip archive; expected a checkpoint")
    return read_pickle(data)


def read_pickle(data: mmap.mmap | bytes) -> Any:
    """The value of a plain pickle, or of what torch.save wrote before PyTorch 1.6."""
    stream = data if isinstance(data, mmap.mmap) else io.BytesIO(data)
    first = pickles.load(stream)
    if not (isinstance(first, int) and first == _LEGACY_MAGIC):
        return first
    version, system = pickles.load(stream), pickles.load(stream)
    if version != _LEGACY_VERSION or not isinstance(system, dict):
        raise CheckpointError("a PyTorch file of an unknown version")
    if system.get("little_endian") is not True:
        raise CheckpointError("a PyTorch file of a big-endian machine")
    return _read_legacy(data, stream)


def _read_legacy(data: mmap.mmap | bytes, stream: Any) -> Any:
    view = memoryview(data)
    positions: dict[str, int] = {}
    storages: dict[str, Storage] = {}

    def persistent(persistent_id: Any) -> Storage:
        type_name, key, size = storage_of(persistent_id)
        return storages.setdefault(
            key,
            Storage(type_name, size, lambda: view[positions[key] :] if key in positions else b""),
        )

    value = pickles.load(stream, persistent)
    keys = pickles.load(stream)
    if not isinstance(keys, list):
        raise CheckpointError("a PyTorch file without its list of storages")
    position = stream.tell()
    for key in keys:
        if not (isinstance(key, str) and key in storages):
            raise CheckpointError("a PyTorch file with a storage that nothing uses")
        positions[key] = position + 8  # behind the number of elements
        position += 8 + storages[key].nbytes
    return value


def _read_zip(path: pathlib.Path, size: int) -> Any:
    try:
        archive = zipfile.ZipFile(path)
    except _ZIP_ERRORS as error:
        raise CheckpointError("a truncated or damaged zip archive") from error
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
        try:
            return archive.read(entries[name])
        except _ZIP_ERRORS as error:
            raise CheckpointError(f"entry {name[:40]!r} is missing or damaged") from error

    if f"{prefix}byteorder" in entries and content(f"{prefix}byteorder") != b"little":
        raise CheckpointError("a PyTorch file of a big-endian machine")

    def persistent(persistent_id: Any) -> Storage:
        type_name, key, size = storage_of(persistent_id)
        return Storage(type_name, size, lambda: content(f"{prefix}data/{key}"))

    return pickles.load(io.BytesIO(content(roots[0])), persistent)
