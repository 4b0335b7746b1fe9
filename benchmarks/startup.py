"""Seconds to compile, and to the first steps, with an empty and a full compilation cache.

    python -m benchmarks.startup --resolution 256 1024

First, ILO's four rounds on config-f, random weights, batch 1, super-resolution 4x, one step a
round, in a process of its own: what `reconstruct` takes over what it takes a second time is what
tracing and compiling takes; with an empty cache, then with what that left. Then the
command line on the embedded generator and one of its images: from the start of the process to the
first steps that the progress bar shows (ten); and the demo, to its first picture.

In front, seconds of the clock; behind, those of the processor over all threads, which other work on
the machine hardly changes and which the clock would not exceed on an idle machine.
"""

import argparse
import functools
import json
import os
import pty
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

import ilo_jax
from benchmarks.step import random_prior
from ilo_jax.app.cli import start_quickly
from ilo_jax.app.demo import SAMPLES
from ilo_jax.app.programs import kept_steps
from ilo_jax.ops import superresolution
from ilo_jax.solve import ilo
from ilo_jax.stylegan2 import config_f


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--resolution", type=int, nargs="*", default=[256, 1024])
    parser.add_argument("--repeats", type=int, default=3, help="with a full cache")
    parser.add_argument("--compile", type=int, help="what a process of its own does")
    args = parser.parse_args()
    if args.compile:
        print(json.dumps(compile_seconds(args.compile)))
        return
    for resolution in args.resolution:
        command = [sys.executable, "-m", "benchmarks.startup", "--compile", str(resolution)]
        report(f"{resolution} px, compile", functools.partial(_answer, command), args.repeats)
    report("command line, first steps", first_steps, args.repeats)
    report("demo, first picture", first_picture, args.repeats)


class Seconds(NamedTuple):
    clock: float
    processor: float


def report(what: str, seconds: Callable[[], Seconds], repeats: int) -> None:
    """Prints `seconds()` with an empty and a full cache."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
        empty, *full = [seconds() for _ in range(repeats + 1)]
    clock, processor = map(statistics.median, zip(*full, strict=True))
    print(
        f"{what}: cache empty {empty.clock:.1f} s ({empty.processor:.1f}), "
        f"full {clock:.1f} s ({processor:.1f})",
        flush=True,
    )


def _answer(command: list[str]) -> Seconds:
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return Seconds(*json.loads(found))


def compile_seconds(resolution: int, precision: str = "float32") -> Seconds:
    """Of all programs of four rounds, in this process, which keeps them as the command does."""
    start_quickly()
    prior = random_prior(config_f(resolution)).with_precision(precision)
    operator = superresolution(prior.image_shape, 4)
    measurement = operator(jax.random.uniform(jax.random.key(2), (1, *prior.image_shape)))
    method = ilo(prior, (1, 1, 1, 1), radii=1000.0)

    def run() -> Seconds:
        clock, processor = time.perf_counter(), time.process_time()
        found = ilo_jax.reconstruct(
            prior, operator, measurement, jax.random.key(3), method, take_steps=kept_steps
        )
        jax.block_until_ready(found)
        return Seconds(time.perf_counter() - clock, time.process_time() - processor)

    first, second = run(), run()
    return Seconds(first.clock - second.clock, first.processor - second.processor)


def first_steps() -> Seconds:
    """To the first steps of an image of the demo's."""
    image = str(sorted(Path(SAMPLES).glob("*.png"))[0])
    line = ["superres", "--factor", "4", "--images", image]
    return until_shown(rb"(?<!\d)[1-9]\d*/400", line)


def first_picture() -> Seconds:
    """Of the demo."""
    return until_shown(b"first picture: ", [])


def until_shown(pattern: bytes, line: list[str]) -> Seconds:
    """Of `python -m ilo_jax.solve LINE`, on a terminal, until it shows something; then it is
    ended."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "ilo_jax.solve", *line, "--out", out]
        terminal, end = pty.openpty()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=end, stderr=end, env=os.environ | {"COLUMNS": "120"}
        )
        os.close(end)
        shown = b""
        while not re.search(pattern, shown):
            shown += os.read(terminal, 4096)
        seconds = time.perf_counter() - start
        process.terminate()
        process.wait()
        os.close(terminal)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Seconds(seconds, processor)


if __name__ == "__main__":
    main()
