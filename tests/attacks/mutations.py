"""Seeded mutations of real small checkpoints, and of folders that were converted from them."""

import io
import json
import os
import pathlib
import pickletools
import zipfile
from typing import Any

import numpy as np
import safetensors.numpy
from forge import stylegan2

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
GENERATORS = [
    "rosinality.pt",
    "rosinality_legacy.pt",
    "ada_labels.pkl",
    "ada_resnet.pkl",
    "sg3_labels.pkl",
    "tf_concat.pkl",
    "tf_grown.pkl",
    "safetensors",
]
CLASSIFIERS = ["classifiers/torchvision.pth", "classifiers/robustness.ckpt"]
OPCODES = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]
CALLS = [  # what an attacker would insert
    b"cos\nsystem\nX\x04\x00\x00\x00exit\x85R",
    b"c__builtin__\nexec\nX\x01\x00\x00\x000\x85R0",
    b"\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R",
    b"i__builtin__\nopen\n",
    b"(c__builtin__\nopen\nX\x05\x00\x00\x00fuzzedX\x01\x00\x00\x00wo",
    b"cos\nsystem\n)\x81}b",
]
PARTS = ("config", "facts")
VALUES: list[Any] = [
    *(-1, 0, 1, 3, 4097, 10**8, 10**12, 10**30, 0.5, float("nan"), float("inf"), True, None),
    *("", "skip", "resnet", "\n", [], [8], [8] * 40, [10**12], {}, {"a": 1}, [[[[[[]]]]]]),
]


def content_of(name: str) -> bytes:
    if name == "safetensors":
        return safetensors.numpy.save(stylegan2())
    return (GOLDEN / name).read_bytes()


def mutated_file(name: str, rng: np.random.Generator) -> bytes:
    """Archives mostly with checksums that are right, of which the pickle is mutated."""
    content = content_of(name)
    if content[:2] != b"PK" or rng.random() < 0.3:
        return mutated(content, rng)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        names = old.namelist()
        chosen = names[0] if rng.random() < 0.7 else names[rng.integers(len(names))]
        for entry in names:
            part = old.read(entry)
            new.writestr(entry, (mutated(part, rng) if entry == chosen and part else part))
    return target.getvalue()


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)

    def position():
        return int(rng.integers(len(data)))

    match rng.integers(7):
        case 0:
            for _ in range(rng.integers(1, 9)):
                data[position()] ^= 1 << int(rng.integers(8))
        case 1:
            del data[position() :]
        case 2:
            start = position()
            del data[start : start + int(rng.integers(1, 200))]
        case 3:
            start, target = position(), position()
            data[target:target] = data[start : start + int(rng.integers(1, 200))]
        case 4:
            start = position()
            data[start : start + 8] = rng.bytes(8)
        case 5:
            for _ in range(rng.integers(1, 5)):
                at = _boundary(bytes(data), rng)
                data[at:at] = OPCODES[rng.integers(len(OPCODES))] + rng.bytes(int(rng.integers(6)))
        case _:
            at = _boundary(bytes(data), rng)
            data[at:at] = CALLS[rng.integers(len(CALLS))]
    return bytes(data)


def _boundary(content: bytes, rng: np.random.Generator) -> int:
    """A position between two opcodes, early in the file."""
    positions = [0]
    try:
        for _, _, position in pickletools.genops(content):
            positions.append(position or 0)
            if len(positions) > 3000:
                break
    except (ValueError, DeprecationWarning):  # behind an earlier mutation, or no pickle
        pass
    return int(rng.choice(positions))


def mutate_folder(folder: pathlib.Path, rng: np.random.Generator) -> None:
    """Changes one file of a converted folder, its description more often than not."""
    (description,) = folder.glob("*.json")
    if rng.random() < 0.6:
        value = json.loads(description.read_text())
        owner = value if rng.random() < 0.2 else value.setdefault(PARTS[rng.integers(2)], {})
        if isinstance(owner, dict):
            names = [*owner, "depth", "conv_clamp", "batch", "label_dim", "joint_normalization"]
            owner[names[rng.integers(len(names))]] = VALUES[rng.integers(len(VALUES))]
        description.write_text(json.dumps(value))
        return
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    path = files[rng.integers(len(files))]
    content = path.read_bytes()
    path.unlink()
    match rng.integers(6):
        case 0:
            path.symlink_to("/dev/zero")
        case 1:
            os.mkfifo(path)
        case 2:
            path.mkdir()
        case 3 if rng.random() < 0.3:
            pass  # it is gone
        case _:
            path.write_bytes(mutated(content, rng) if content else b"0")
