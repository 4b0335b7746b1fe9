"""Mutated checkpoints: each is converted or refused with the one error, and none is run."""

import io
import os
import pathlib
import pickletools
import sys
import zipfile

import numpy as np
import pytest

from convert_weights import __main__, convert
from ilo_jax.files.generators import CheckpointError, load

GOLDEN = pathlib.Path(__file__).parent / "golden"
FILES = [
    "rosinality.pt",
    "rosinality_legacy.pt",
    "ada_labels.pkl",
    "ada_resnet.pkl",
    "sg3_labels.pkl",
    "tf_concat.pkl",
    "tf_grown.pkl",
]
OPCODES = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]
CALLS = [  # what an attacker would insert
    b"cos\nsystem\nX\x04\x00\x00\x00exit\x85R",
    b"c__builtin__\nexec\nX\x01\x00\x00\x000\x85R0",
    b"\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R",
    b"i__builtin__\nopen\n",
    b"(c__builtin__\nopen\nX\x05\x00\x00\x00fuzzedX\x01\x00\x00\x00wo",
    b"cos\nsystem\n)\x81}b",
]
FORBIDDEN = ("exec", "compile", "import", "pickle.", "os.", "subprocess.", "socket.", "shutil.")
_seen: list[str] | None = None


def _audit(event, args):
    if _seen is None:
        return
    writes = event == "open" and (
        (isinstance(args[1], str) and set(args[1]) & set("wax+"))
        or (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    )
    if writes or event.startswith(FORBIDDEN):
        _seen.append(f"{event} {args!r}")


sys.addaudithook(_audit)


def _mutate(content: bytes, rng: np.random.Generator) -> bytes:
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
    except (ValueError, DeprecationWarning):  # behind an earlier mutation
        pass
    return int(rng.choice(positions))


def _mutated(name: str, rng: np.random.Generator) -> bytes:
    content = (GOLDEN / name).read_bytes()
    if not name.startswith("rosinality.") or rng.random() < 0.3:
        return _mutate(content, rng)
    target = io.BytesIO()  # an archive whose checksums are right
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        names = old.namelist()
        chosen = names[0] if rng.random() < 0.7 else names[rng.integers(len(names))]
        for entry in names:
            part = old.read(entry)
            new.writestr(entry, (_mutate(part, rng) if entry == chosen and part else part))
    return target.getvalue()


def _read(path: pathlib.Path) -> bool:
    """Whether the file is converted; any error but the one ends the test."""
    global _seen
    _seen, message = [], None
    try:
        convert.read_network(path)
    except CheckpointError as error:
        message = str(error)
    finally:
        seen, _seen = _seen, None
    assert not seen
    assert message is None or "\n" not in message
    return message is None


def _fuzz(folder: pathlib.Path, name: str, seeds: range) -> None:
    path = folder / "file"
    path.write_bytes((GOLDEN / name).read_bytes())
    "".encode("cp437")  # what Python imports on first use, it imports here
    convert.read_network(path)
    assert _read(path)
    converted = 0
    for seed in seeds:
        path.write_bytes(_mutated(name, np.random.default_rng([seed, FILES.index(name)])))
        try:
            converted += _read(path)
        except BaseException as error:
            error.add_note(f"{name}, seed {seed}")
            raise
    assert converted < len(seeds)
    assert os.listdir(folder) == ["file"]


@pytest.mark.parametrize("name", FILES)
def test_mutated_files_are_read_or_refused(tmp_path, name):
    _fuzz(tmp_path, name, range(80))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_very_many_mutated_files_are_read_or_refused(tmp_path, name):
    _fuzz(tmp_path, name, range(80, 2150))


def _convert_whole(folder: pathlib.Path, monkeypatch, seeds: range) -> None:
    fit = convert.fit_mapping_proxy
    monkeypatch.setattr(
        convert,
        "fit_mapping_proxy",
        lambda mapping, config, key, samples: fit(mapping, config, key, 64),
    )
    for seed in seeds:
        rng = np.random.default_rng([seed, 100])
        source, out = folder / "file", folder / "out"
        source.write_bytes(_mutated(FILES[rng.integers(len(FILES))], rng))
        code = __main__.main([str(source), str(out)])
        assert sorted(os.listdir(folder)) == (["file"] if code == 2 else ["file", "out"])
        if code == 0:
            load(out)
            for path in sorted(out.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            out.rmdir()


def test_mutated_files_leave_a_whole_folder_or_none(tmp_path, monkeypatch):
    _convert_whole(tmp_path, monkeypatch, range(4))


@pytest.mark.slow
def test_very_many_mutated_files_leave_a_whole_folder_or_none(tmp_path, monkeypatch):
    _convert_whole(tmp_path, monkeypatch, range(4, 300))
