"""Reads hostile and damaged checkpoints with 2 GB of memory, and prints what went wrong as JSON.

python checkpoint_worker.py FOLDER '{"read": [0, 100], "folders": [0, 20]}'
"""

import contextlib
import functools
import io
import json
import os
import pathlib
import resource
import shutil
import sys
import time
from collections.abc import Callable

import numpy as np
from hostile import HOSTILE
from mutations import CLASSIFIERS, GENERATORS, content_of, mutate_folder, mutated_file

from convert_weights import __main__, classifier, convert
from ilo_jax import classifiers
from ilo_jax.errors import InputError
from ilo_jax.files import generators

MEMORY, SECONDS = 2 * 2**30, 10
EXECUTES = ("exec", "compile", "import", "pickle.", "os.", "subprocess.", "socket.", "shutil.")
STARTS = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.")
_seen: list[str] = []
_watched: tuple[str, ...] = ()


def _audit(event, args):
    if not _watched:
        return
    writes = (
        _watched is EXECUTES
        and event == "open"
        and (
            (isinstance(args[1], str) and set(args[1]) & set("wax+"))
            or (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        )
    )
    if writes or event.startswith(_watched):
        _seen.append(f"{event} {str(args)[:100]}")


def watched(events: tuple[str, ...], read: Callable[[], object]) -> str | None:
    """The message of the one error; None if all is well. Anything else is raised."""
    global _watched
    _seen.clear()
    _watched, message = events, None
    try:
        read()
    except InputError as error:
        message = str(error)
    finally:
        _watched = ()
    assert not _seen, _seen
    assert message is None or ("\n" not in message and len(message) < 1000), message
    return message


class Attacks:
    """One method for each kind, which says whether the file of a seed was taken."""

    def __init__(self, folder: pathlib.Path):
        self.file, self.out = folder / "file", folder / "out"
        self.whole = folder.parent / "whole"
        few = functools.partial(convert.to_generator, samples=64)
        convert.to_generator = few  # pyright: ignore[reportAttributeAccessIssue]
        with contextlib.redirect_stdout(io.StringIO()):
            assert __main__.main([str(GENERATOR), str(self.whole / "generator")]) == 0
        classifiers.save(
            self.whole / "classifier", classifier.read_classifier(CLASSIFIER), {"source": ""}
        )
        generators.load(self.whole / "generator")  # what is imported on first use, is imported
        classifiers.load(self.whole / "classifier")
        "".encode("cp437")
        for name in GENERATORS:
            self.file.write_bytes(content_of(name))
            convert.read_network(self.file)

    def read(self, seed: int) -> bool:
        name = GENERATORS[seed % len(GENERATORS)]
        self.file.write_bytes(mutated_file(name, np.random.default_rng([seed, 0])))
        return watched(EXECUTES, lambda: convert.read_network(self.file)) is None

    def classify(self, seed: int) -> bool:
        name = CLASSIFIERS[seed % len(CLASSIFIERS)]
        self.file.write_bytes(mutated_file(name, np.random.default_rng([seed, 1])))
        return watched(STARTS, lambda: classifier.read_classifier(self.file)) is None

    def hostile(self, seed: int) -> bool:
        """Those of the list as they are, then cut off or with a bit turned."""
        makers = list(HOSTILE)
        content = bytearray(makers[seed % len(makers)]())
        if seed >= len(makers):
            rng = np.random.default_rng([seed, 2])
            for _ in range(3):
                content[int(rng.integers(min(len(content), 10_000)))] ^= 1 << int(rng.integers(8))
        self.file.write_bytes(content)
        return watched(EXECUTES, lambda: convert.read_network(self.file)) is None

    def convert(self, seed: int) -> bool:
        rng = np.random.default_rng([seed, 3])
        self.file.write_bytes(mutated_file(GENERATORS[rng.integers(len(GENERATORS))], rng))
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = __main__.main([str(self.file), str(self.out)])
        assert code in (0, 2), code
        assert code == 0 or said.getvalue().count("\n") == 1, said.getvalue()
        there = sorted(os.listdir(self.file.parent))
        assert there == (["file"] if code == 2 else ["file", "out"]), there
        if code == 0:
            generators.load(self.out)
        return code == 0

    def folders(self, seed: int) -> bool:
        kind, load = [("generator", generators.load), ("classifier", classifiers.load)][seed % 2]
        shutil.copytree(self.whole / kind, self.out)
        mutate_folder(self.out, np.random.default_rng([seed, 4]))
        return watched(STARTS, lambda: load(self.out)) is None


GENERATOR = pathlib.Path(convert.__file__).parents[1] / "tests" / "golden" / "rosinality_bare.pt"
CLASSIFIER = GENERATOR.parent / CLASSIFIERS[0]


def own_bytes(field: str) -> int:
    """Of this process, such as its peak, `VmHWM`: that of `getrusage` begins with what the process
    had that started it."""
    status = pathlib.Path("/proc/self/status").read_text().split()
    return 1024 * int(status[status.index(f"{field}:") + 1])


def main(folder: pathlib.Path, plan: dict[str, list[int]]) -> None:
    sys.addaudithook(_audit)
    attacks = Attacks(folder)
    size = own_bytes("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    done, taken, wrong = 0, 0, []
    for kind, seeds in plan.items():
        for seed in range(*seeds):
            started = time.process_time()
            try:
                taken += getattr(attacks, kind)(seed)
            except BaseException as error:
                wrong.append(f"{kind} {seed}: {type(error).__name__}: {str(error)[:300]}")
            if (spent := time.process_time() - started) > SECONDS:
                wrong.append(f"{kind} {seed}: {spent:.1f} s")
            shutil.rmtree(attacks.out, ignore_errors=True)
            done += 1
    found = {"files": done, "taken": taken, "wrong": wrong, "memory": own_bytes("VmHWM")}
    print(json.dumps(found))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]))
