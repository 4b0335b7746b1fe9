"""All that is asked of a GPU, in one run that ends in time; a row is written when it is known.

    python -m benchmarks.gpu --out gpu.csv
    python -m benchmarks.gpu --out gpu.csv --only steps --torch-python PYTHON --ilo A --nvidia B
    python -m benchmarks.gpu --out gpu.csv --only quality --data chest_xray_64.npz
    python -m benchmarks.gpu --out smoke.csv --smoke

PYTHON is an interpreter that has PyTorch, A and B are clones of github.com/giannisdaras/ilo and
github.com/NVlabs/stylegan3, and `--before` is a clone of this repository at an earlier commit,
whose steps are timed beside today's. Parts:

- steps: milliseconds of a step at 1024 px (batch 1), 256 px (16) and chest64's 64 px (512) in both
  precisions, in turns, at 1024 px with the rivals; memory of its program and the weights;
- folder: 2,000 images of 64 px by the command, and how much of the time after compiling
  nvidia-smi saw the device busy;
- command: one image of 1024 px by the command, from start to end, cache empty, then full; and the
  first ten steps at 64 px with a full cache;
- rounds: seconds to compile the four default rounds, cache empty and full, and peak memory;
- circulant: share of a step of measurement and transpose, n = 3 x 1024 x 1024;
- quality: `benchmarks.figures`, `benchmarks.restoration` and `benchmarks.auto` on 64 images, some
  processes side by side, whose rows go to a folder beside the file; each goes on from there.

A part is begun while less than `--minutes` have passed, and ended when they have; one that failed,
was ended or cannot be had here has a row that says so. `--smoke` is all of it in small, anywhere.
"""

import argparse
import contextlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.gpu_table import HERE, Ended, Table
from benchmarks.rivals import Worker

PRECISIONS = ("float32", "bfloat16")


class Sizes:
    """What is measured, as asked for or in small."""

    def __init__(self, smoke: bool):
        self.large = 32 if smoke else 1024
        self.turns, self.steps = (2, 2) if smoke else (5, 20)
        self.images, self.folder_steps = (6, "2,2") if smoke else (2000, "100,100,100,100")
        rows = ((32, 1), (8, 2), (64, 2)) if smoke else ((1024, 1), (256, 16), (64, 512))
        self.of_steps = {
            f"{size} px, batch {batch}": [
                *(("--generator", "chest64") if size == 64 else ("--resolution", str(size))),
                *("--batch", str(batch)),
            ]
            for size, batch in rows
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help=".csv, added to")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", help=".npz with `test`, uint8 [N, 64, 64]; of quality")
    parser.add_argument("--before", help="an earlier checkout of this repository")
    parser.add_argument("--torch-python", help="an interpreter with PyTorch")
    parser.add_argument("--ilo", help="checkout of the authors' code")
    parser.add_argument("--nvidia", help="checkout of NVIDIA's code")
    parser.add_argument("--compile", action="store_true", help="a rival under torch.compile, too")
    parser.add_argument("--smoke", action="store_true", help="sizes that a CPU has in minutes")
    args = parser.parse_args()
    table, sizes = Table(args.out, args.minutes), Sizes(args.smoke)
    for part in args.only:
        if table.left <= 0:
            table.add(part, "all", "not begun: the time was up")
            continue
        try:
            PARTS[part](table, sizes, args)
        except Ended as error:
            table.add(part, "rest", str(error))


def steps(table: Table, sizes: Sizes, args: argparse.Namespace) -> None:
    for i, (what, size) in enumerate(sizes.of_steps.items()):
        workers: dict[str, tuple[Sequence[str], str]] = {
            p: (_ours(sizes, *size, "--precision", p), HERE) for p in PRECISIONS
        }
        if args.before:
            workers["before"] = (_ours(sizes, *size), args.before)
        if args.torch_python and i == 0:
            workers |= _rivals(sizes, args)
        in_turns(table, what, workers, sizes)


def _ours(sizes: Sizes, *size: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.step", "--serve", "--steps", str(sizes.steps), *size]


def in_turns(
    table: Table, what: str, commands: Mapping[str, tuple[Sequence[str], str]], sizes: Sizes
) -> None:
    """Steps of workers by name, each a command and its folder, which compile side by side; then all
    take a turn, and all again. Ratios are to the first, of the same turn."""
    share = 0.8 / len(commands)
    workers = [
        Worker(name, [*line], place, wait=False, share=share)
        for name, (line, place) in commands.items()
    ]
    with _killed_in_time(table, workers):
        _take_turns(table, what, [w for w in workers if _is_ready(table, what, w)], sizes)


def _is_ready(table: Table, what: str, worker: Worker) -> bool:
    try:
        worker.wait()
    except SystemExit as error:
        table.add("steps", f"{what}, {worker.name}", f"failed: {error}")
        return False
    return True


def _take_turns(table: Table, what: str, workers: Sequence[Worker], sizes: Sizes) -> None:
    seconds: dict[str, list[float]] = {w.name: [] for w in workers}
    try:
        for turn in range(sizes.turns):
            for w in workers if turn % 2 == 0 else workers[::-1]:
                seconds[w.name].append(w.step_seconds(sizes.steps))
    except SystemExit as error:
        table.add("steps", what, f"ended: {error}")
        return
    for w in workers:
        of_first = zip(seconds[w.name], seconds[workers[0].name], strict=True)
        ratio = statistics.median(a / b for a, b in of_first)
        name = f"{what}, {w.name}"
        table.add("steps", name, 1e3 * statistics.median(seconds[w.name]), "ms a step")
        table.add("steps", name, ratio, f"of {workers[0].name}")
        table.add("steps", name, w.peak_gib, "GiB")


@contextlib.contextmanager
def _killed_in_time(table: Table, workers: Sequence[Worker]) -> Iterator[None]:
    """Workers are ended when the time is up, so that what waits for one of them goes on."""

    def kill() -> None:
        for w in workers:
            w.process.kill()
            w.process.wait()

    timer = threading.Timer(max(1, table.left), kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        kill()


def folder(table: Table, sizes: Sizes, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as place:
        images = Path(place) / "images"
        images.mkdir()
        rng = np.random.default_rng(0)
        for i in range(sizes.images):
            Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(images / f"{i}.png")
        for precision in PRECISIONS:
            command = [*_command(place, images), "--out", f"{place}/{precision}"]
            command += ["--steps", sizes.folder_steps, "--precision", precision]
            with _busy() as samples:
                began = time.monotonic()
                table.output(command)
                seconds = time.monotonic() - began
            what = f"{sizes.images} images, {precision}"
            table.add("folder", what, seconds, "s")
            _add_busy(table, what, samples)


def _command(place: str, images: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "ilo_jax.solve", "superres", "--factor", "4"),
        *("--images", str(images)),
    ]


@contextlib.contextmanager
def _busy() -> Iterator[list[int]]:
    """Gets a tenth of a second each the per cent of it that the GPU was busy, from nvidia-smi."""
    samples: list[int] = []
    if shutil.which("nvidia-smi") is None:
        yield samples
        return
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen([*query, "-lms", "100"], stdout=file)
        try:
            yield samples
        finally:
            process.terminate()
            process.wait()
            file.seek(0)
            samples += [int(line) for line in file if line.strip().isdigit()]


def _add_busy(table: Table, what: str, samples: Sequence[int]) -> None:
    """From the first of three full samples in a row, when there are steps, to the last busy one."""
    full = [all(s >= 90 for s in samples[i : i + 3]) for i in range(len(samples) - 2)]
    if True not in full:
        table.add("folder", f"{what}, busy", "not measured: no nvidia-smi, or it saw no steps")
        return
    first, last = full.index(True), max(i for i, s in enumerate(samples) if s > 0)
    table.add("folder", f"{what}, busy", statistics.mean(samples[first : last + 1]), "%")


def command(table: Table, sizes: Sizes, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as place:
        size = str(sizes.large)
        table.output([sys.executable, "-m", "benchmarks.gpu_side", "generator", size, f"{place}/g"])
        image = Path(place) / "image.png"
        rng = np.random.default_rng(0)
        Image.fromarray(rng.integers(0, 256, (sizes.large,) * 2, np.uint8)).save(image)
        for cache in ("empty", "full"):
            began = time.monotonic()
            line = [
                *_command(place, image),
                "--generator",
                f"{place}/g",
                "--out",
                f"{place}/{cache}",
            ]
            table.output(line, JAX_COMPILATION_CACHE_DIR=f"{place}/cache")
            what = f"one image of {size} px, cache {cache}"
            table.add("command", what, time.monotonic() - began, "s")
    first = [sys.executable, "-m", "benchmarks.gpu_side", "first"]
    with tempfile.TemporaryDirectory() as cache:
        for state in ("empty", "full"):
            found = json.loads(table.output(first, JAX_COMPILATION_CACHE_DIR=cache))
            table.add("command", f"first steps at 64 px, cache {state}", found[0], "s")


def rounds(table: Table, sizes: Sizes, args: argparse.Namespace) -> None:
    for precision in PRECISIONS:
        line = [sys.executable, "-m", "benchmarks.gpu_side", "rounds", str(sizes.large), precision]
        with tempfile.TemporaryDirectory() as cache:
            for state in ("empty", "full"):
                found = json.loads(table.output(line, JAX_COMPILATION_CACHE_DIR=cache))
                what = f"{sizes.large} px, {precision}, cache {state}"
                table.add("rounds", what, found["compile_s"], "s to compile")
        table.add("rounds", f"{sizes.large} px, {precision}", found["peak_gib"], "GiB at most")


def circulant(table: Table, sizes: Sizes, args: argparse.Namespace) -> None:
    line = [sys.executable, "-m", "benchmarks.parts", "--resolution"]
    line.append(str(max(128, sizes.large)))  # where its ball is of 64x64 pixels
    for found in re.finditer(r"(.*): .*, (\S+) % \[", table.output(line)):
        table.add("circulant", found[1], float(found[2]), "% of a step")


def _rivals(sizes: Sizes, args: argparse.Namespace) -> Mapping[str, tuple[Sequence[str], str]]:
    """Workers of PyTorch at the first of the sizes."""
    device = "cuda" if shutil.which("nvidia-smi") else "cpu"
    size = ["--resolution", str(sizes.large)]
    script = [args.torch_python, str(Path(__file__).with_name("torch_step.py"))]
    modes = {"torch.compile": ["compile"]} if args.compile else {}
    if args.nvidia:
        modes |= {
            f"{mode}, {precision}": [mode, "--nvidia", args.nvidia, *half]
            for mode in (("nvidia", "nvidia-graph") if device == "cuda" else ("nvidia",))
            for precision, half in (("float32", []), ("float16", ["--half"]))
        }
    if args.ilo:
        modes |= {"authors": ["authors", "--ilo", args.ilo]}
    return {
        name: ([*script, *mode, *size, "--device", device], HERE) for name, mode in modes.items()
    }


def quality(table: Table, sizes: Sizes, args: argparse.Namespace) -> None:
    if not args.data:
        raise Ended("not measured: expected --data")
    from benchmarks.gpu_quality import measure  # with all that figures need, which steps do not

    measure(table, args.data, args.out.with_suffix(""), args.smoke)


PARTS: dict[str, Callable[[Table, Sizes, argparse.Namespace], None]] = {
    part.__name__: part for part in (steps, folder, command, rounds, circulant, quality)
}


if __name__ == "__main__":
    main()
