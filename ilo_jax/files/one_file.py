"""A network as one file of safetensors: arrays under their names, and in its metadata, as JSON
under `ilo_jax`, what it is: kind, format, config, about, facts, model card, and a SHA-256 of the
arrays.

A file may come from anybody: names, shapes and types are looked at before an array is read.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from ilo_jax.errors import CheckpointError, one_line
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.regular import open_regular

SUFFIX = ".safetensors"

_KEY, _DIGEST = "ilo_jax", "arrays_sha256"
_HEADER_BYTES = 2**22


def write(path: pathlib.Path, description: dict[str, Any], arrays: Mapping[str, Any]) -> None:
    """Writes a file, whole or not at all; the same network, the same bytes.

    Args:
      description: JSON-serializable.
      arrays: by name.

    Raises:
      InputError: it cannot be written.
    """
    values = {name: np.array(array, order="C") for name, array in arrays.items()}
    told = json.dumps(description | {_DIGEST: _digest(values)}, sort_keys=True)
    write_atomically(path, safetensors.numpy.save(values, {_KEY: told}))


def describe(path: pathlib.Path) -> Any:
    """What `write` was given as description; None where the file is none of its.

    Raises:
      InputError: the file cannot be opened.
      CheckpointError: it is damaged.
    """
    with open_regular(path) as file:
        begins = file.read(9)
    header = int.from_bytes(begins[:8], "little")
    if begins[8:] != b"{" or header > _HEADER_BYTES:
        return None
    try:
        with safetensors.safe_open(path, "numpy") as opened:
            told = (opened.metadata() or {}).get(_KEY)
        return None if told is None else json.loads(told)
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: truncated or damaged ({one_line(error)[:100]})") from error


def read_arrays(path: pathlib.Path, shapes: Mapping[str, Any]) -> list[np.ndarray]:
    """The arrays, in the order of the shapes.

    Raises:
      CheckpointError: they are not those of the shapes, not finite, or others than were written;
        the library raises what it runs into.
    """
    with safetensors.safe_open(path, "numpy") as file:
        stored = set(file.keys())
        for name in [*shapes, *sorted(stored)]:
            if name not in stored:
                raise CheckpointError(f"array {name} is missing")
            if name not in shapes:
                raise CheckpointError(f"array {name[:60]!r} is none of the config's")
        for name, should in shapes.items():
            part = file.get_slice(name)
            kind, shape = part.get_dtype(), tuple(part.get_shape())
            if kind != "F32" or shape != should.shape:
                raise CheckpointError(
                    f"array {name} is {kind}{list(shape)}; expected F32{list(should.shape)}"
                )
        arrays = {name: file.get_tensor(name) for name in shapes}
        told = json.loads(file.metadata()[_KEY])
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"array {name} has values that are not finite")
    if told.get(_DIGEST) != _digest(arrays):
        raise CheckpointError("arrays have another SHA-256 than was written")
    return list(arrays.values())


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
