"""The rows of `benchmarks.gpu`, and the time that is left for more."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIELDS = ("part", "what", "value", "unit", "device", "commit", "at_s")
HERE = str(Path(__file__).parents[1])


class Ended(Exception):
    """The time is up, or a program has failed; in one line."""


class Table:
    """The rows so far, in a file; and the time that is left."""

    def __init__(self, out: Path, minutes: float):
        self.out, self.began, self.seconds = out, time.monotonic(), 60 * minutes
        # In a process of its own, since a process that has looked keeps memory of the device.
        look = (
            "from benchmarks.methods import device_and_commit; print(*device_and_commit(), sep='|')"
        )
        self.device, self.commit = self.output([sys.executable, "-c", look]).strip().split("|")

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.began)

    def add(self, part: str, what: str, value: Any, unit: str = "") -> None:
        is_new = not self.out.exists()
        if isinstance(value, float):
            value = f"{value:.4g}"
        row = (part, what, value, unit, self.device, self.commit, round(self.seconds - self.left))
        with self.out.open("a", newline="") as file:
            csv.writer(file).writerows([FIELDS, row] if is_new else [row])
        print(f"{part}: {what}: {value} {unit}", flush=True)

    def output(self, command: Sequence[str], **settings: str) -> str:
        """What a program prints."""
        try:
            done = subprocess.run(
                command,
                cwd=HERE,
                env=os.environ | settings,
                stdout=subprocess.PIPE,
                text=True,
                timeout=max(1, self.left),
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            raise Ended("ended: the time was up") from error
        except subprocess.CalledProcessError as error:
            raise Ended(f"failed: status {error.returncode} of {' '.join(command)}") from error
        return done.stdout
