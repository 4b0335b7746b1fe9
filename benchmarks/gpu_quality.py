"""The part of `benchmarks.gpu` that fills tables of quality: commands that run side by side, since
what compiles keeps a GPU waiting."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import sna
from benchmarks.classical import BASELINES
from benchmarks.figures import cells
from benchmarks.gpu_table import HERE, Table
from benchmarks.methods import CASES, PANELS, VARIANTS
from benchmarks.restoration import LEVELS, NAMES, ROWS
from benchmarks.rivals import part_of_gpu


def measure(table: Table, data: str, folder: Path, smoke: bool) -> None:
    """Adds a row for each process that has ended, or was ended since the time was up.

    Args:
      data: .npz with `test`, uint8 [N, 64, 64].
      folder: of what they have measured and said.
      smoke: all in small.
    """
    folder.mkdir(exist_ok=True)
    lines = {name: list(of_name) for name, of_name in _evidence(folder, smoke)}
    settings = {"PYTHONUNBUFFERED": "1", **part_of_gpu(0.8 / len(lines))}
    began = time.monotonic()

    def begin(name: str) -> subprocess.Popen:
        line = [sys.executable, "-m", *lines[name].pop(0), "--data", data]
        with (folder / f"{name.replace(' ', '_')}.log").open("a") as log:
            return subprocess.Popen(
                line, cwd=HERE, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT
            )

    running = {name: begin(name) for name in lines}
    while running and table.left > 0:
        time.sleep(0.5)
        for name in [n for n, process in running.items() if process.poll() is not None]:
            status = running.pop(name).returncode
            table.add("quality", f"{name}, status {status}", time.monotonic() - began, "s")
            if lines[name]:
                running[name] = begin(name)
    for name, process in running.items():
        process.kill()
        process.wait()
        table.add("quality", name, "ended: the time was up")


def _evidence(folder: Path, smoke: bool) -> Iterator[tuple[str, Sequence[Sequence[str]]]]:
    """Of each process that runs beside the others its name, and its commands, one after another."""
    late = {name for name in VARIANTS if "LPIPS" in name or "both" in name}
    late |= {f"{name}, {word} SNA" for name in sna.NAMES for word in ("without", "with")}
    offered = {variant for _, variant in cells()}
    tables: dict[str, tuple[set[str], Sequence[str]]] = {"LPIPS": (late & offered, [*PANELS])}
    for tasks in (("inpaint", "denoise"), ("superres",), ("compress",)):
        tables[f"figures {tasks[0]}"] = (offered - late - {*BASELINES}, tasks)
    for name, (variants, tasks) in tables.items():
        line = ["benchmarks.figures", "--out", f"{folder}/{name.replace(' ', '_')}"]
        line += ["--tasks", *tasks, "--variants", *sorted(variants)]
        # The others find their programs where the first seed has left them.
        seeds = (["--smoke"],) if smoke else (["--count", "64", "--seeds", s] for s in "13")
        yield name, [[*line, *more] for more in seeds]
    for i, tasks in enumerate((("inpaint", "denoise"), ("superres", "compress"))):
        cases = [name for name, case in CASES.items() if case.task in tasks]
        line = ["benchmarks.auto", "--out", f"{folder}/auto_{i}.csv", "--cases"]
        line += [cases[0], "--images", "2"] if smoke else [*cases, "--images", "64"]
        yield f"auto {i}", (line,)
    for i, rows in enumerate(_shared_programs()):
        line = ["benchmarks.restoration", "--out", f"{folder}/restoration_{i}.csv", "--rows", *rows]
        length, count = ("0.02", "2") if smoke else ("0.5", "64")
        line += ["--length", length, "--count", count]
        yield f"restoration {i}", ([*line, "--methods", "csgm", "ilo", "auto", "robust", "brgm"],)


def _shared_programs() -> list[list[str]]:
    """Rows of restoration, for one process each: those of one degradation share their programs."""
    alone = {letter: [f"{NAMES[letter]} {level}" for level in LEVELS] for letter in NAMES}
    several = [row for row, stages in ROWS.items() if len(stages) > 1]
    return [
        alone["U"][:2],
        alone["U"][2:],
        *([*alone[letter], several.pop()] for letter in "NAP"),
        *(several[i : i + 3] for i in range(0, len(several), 3)),
    ]
