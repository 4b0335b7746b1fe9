"""Checkpoints made by hand: what torch.save would write, and what it would not."""

import io
import itertools
import math
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np


class Call(NamedTuple):
    """Pickles as a call of a function by its dotted name."""

    function: str
    args: tuple


class Raw(NamedTuple):
    """Pickles as these opcodes."""

    opcodes: bytes


class Tensor(NamedTuple):
    """Pickles as a view of a storage by key, from its start, of `size` elements."""

    key: str
    shape: tuple[int, ...]
    size: int | None = None
    type_name: str = "FloatStorage"


def pickled(value: Any) -> bytes:
    """The pickle of plain values and of the above."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: Any) -> bytes:
    match value:
        case Raw():
            return value.opcodes
        case Call():
            module, _, name = value.function.rpartition(".")
            return f"c{module}\n{name}\n".encode() + _opcodes(value.args) + b"R"
        case Tensor():
            return _tensor(value)
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"L%dL\n" % value
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case tuple():
            return b"(" + b"".join(map(_opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case Mapping():
            return b"}(" + b"".join(_opcodes(k) + _opcodes(v) for k, v in value.items()) + b"u"
    raise TypeError(type(value))


def _tensor(tensor: Tensor) -> bytes:
    size = math.prod(tensor.shape) if tensor.size is None else tensor.size
    storage = f"ctorch\n{tensor.type_name}\n".encode()
    identity = ("storage", Raw(storage), tensor.key, "cpu", size)
    strides = tuple(math.prod(tensor.shape[i + 1 :]) for i in range(len(tensor.shape)))
    args = (Raw(_opcodes(identity) + b"Q"), 0, tensor.shape, strides, False, None)
    return _opcodes(Call("torch._utils._rebuild_tensor_v2", args))


def zipped(value: Any, storages: Mapping[str, bytes]) -> bytes:
    """The archive that torch.save would write."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return target.getvalue()


def saved(value: Any) -> bytes:
    """A value of dicts and arrays as torch.save would write it."""
    storages: dict[str, bytes] = {}

    def stored(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: stored(part) for key, part in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        storages[key := str(len(storages))] = value.tobytes()
        kinds = {"f": "FloatStorage", "i": "LongStorage"}
        return Tensor(key, value.shape, type_name=kinds[value.dtype.kind])

    return zipped(stored(value), storages)


def stylegan2(
    widths: tuple[int, ...] = (6, 4), w_dim: int = 5, colours: int = 3, mapping: int = 2
) -> dict[str, np.ndarray]:
    """A state dict in rosinality's naming, of random weights."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"input.input": (1, widths[0], 4, 4)}

    def modulated(name: str, inputs: int, outputs: int, size: int) -> None:
        shapes[f"{name}.conv.weight"] = (1, outputs, inputs, size, size)
        shapes[f"{name}.conv.modulation.weight"] = (inputs, w_dim)
        shapes[f"{name}.conv.modulation.bias"] = (inputs,)

    def layer(name: str, inputs: int, outputs: int) -> None:
        modulated(name, inputs, outputs, 3)
        shapes[f"{name}.noise.weight"] = (1,)
        shapes[f"{name}.activate.bias"] = (outputs,)

    def head(name: str, inputs: int) -> None:
        modulated(name, inputs, colours, 1)
        shapes[f"{name}.bias"] = (1, colours, 1, 1)

    for i in range(1, mapping + 1):
        shapes |= {f"style.{i}.weight": (w_dim, w_dim), f"style.{i}.bias": (w_dim,)}
    layer("conv1", widths[0], widths[0])
    head("to_rgb1", widths[0])
    for b, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        layer(f"convs.{2 * b}", inputs, outputs)
        layer(f"convs.{2 * b + 1}", outputs, outputs)
        head(f"to_rgbs.{b}", outputs)
    state = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    kernel = np.float32(np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16)
    for b in range(len(widths) - 1):
        state |= {f"convs.{2 * b}.conv.blur.kernel": kernel, f"to_rgbs.{b}.upsample.kernel": kernel}
    return cast(dict[str, np.ndarray], state)
