"""What a file keeps its tensors in: flat arrays of which they are views, or slices."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from convert_weights.pickles import Global
from ilo_jax.files.checkpoint import CheckpointError

_TORCH_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("<i1"),
    "ByteStorage": np.dtype("<u1"),
    "BoolStorage": np.dtype("<u1"),
}


@dataclasses.dataclass(eq=False)
class Storage:
    """A PyTorch storage: the flat array that tensors are views of.

    Attributes:
      type_name: PyTorch's name of its type, such as `FloatStorage`.
      size: number of elements.
      read: gives its bytes; called only if a tensor of it is used, and once.
    """

    type_name: str
    size: int
    read: Callable[[], bytes | memoryview]

    @property
    def dtype(self) -> np.dtype:
        if self.type_name not in _TORCH_DTYPES:
            raise CheckpointError(
                f"a tensor of type {self.type_name[:40]!r}; expected float32 or the like"
            )
        return _TORCH_DTYPES[self.type_name]

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @functools.cached_property
    def array(self) -> np.ndarray:
        data, dtype = memoryview(self.read()), self.dtype
        if self.nbytes > len(data):
            raise CheckpointError(
                f"a storage of {self.size} elements has {len(data)} bytes: truncated or damaged"
            )
        return np.frombuffer(data, dtype, self.size)


@dataclasses.dataclass(eq=False)
class Slice:
    """A tensor of a safetensors file, which is read if it is used."""

    read: Callable[[], np.ndarray]


def storage_of(persistent_id: Any) -> tuple[str, str, int]:
    """Type name, key and size of the storage that torch.save names by a persistent id."""
    match persistent_id:
        case ("storage", Global(module="torch", name=type_name), str(key), _, int(size), *_):
            if 0 <= size < 2**40:
                return type_name, key, size
    raise CheckpointError("a persistent id that is not a PyTorch storage")
