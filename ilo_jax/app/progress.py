"""The progress bar."""

import bisect
import itertools
import math
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

_SECONDS = 30.0
_LONG = 60.0  # seconds, from which on a run is told how long it takes


class ProgressReporter:
    """Shows images, round, steps and time left of a batch, and of all of a long run; a `Reporter`.
    Where nobody watches, such as a log, it writes a line a batch instead, at most one in half a
    minute."""

    def __init__(self, console: Console, title: str = ""):
        """Args: title: put in front."""
        self._ends: list[int] = [0]
        self._title = title
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),  # what gives way on a narrow terminal
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("steps,"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            console=console,
        )
        self._task = self._bar.add_task(title, total=None)
        self._prefix = ""
        self._written = -math.inf
        self._after = 0.0
        self._first: tuple[float, int] | None = None
        self._told = False

    def __enter__(self) -> "ProgressReporter":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar.live.is_started:  # it starts with the first batch
            self._bar.stop()

    def say(self, line: str) -> None:
        self._bar.console.print(line, markup=False, soft_wrap=True)

    def batch(self, done: int, count: int, total: int, rounds: Sequence[int]) -> None:
        self._ends = list(itertools.accumulate(rounds))
        numbers = f"image {done + 1}" if count == 1 else f"images {done + 1}-{done + count}"
        self._prefix = f"{self._title}{numbers} of {total}"
        self._after, self._first = (total - done - count) / count, None
        if not self._bar.console.is_terminal:
            if time.monotonic() - self._written >= _SECONDS:
                self._written = time.monotonic()
                self.say(self._prefix)
            return
        self._bar.start()
        self._bar.reset(self._task, total=self._ends[-1], description=self._prefix)

    def progress(self, steps: int) -> None:
        left = self._left(steps)
        if not self._bar.console.is_terminal:
            if left > _LONG and not self._told:
                self.say(f"{self._prefix}: all of them in about {_text(left)}")
                self._told = True
            return
        at = min(bisect.bisect_left(self._ends, steps), len(self._ends) - 1)
        self._bar.update(
            self._task,
            completed=steps,
            description=f"{self._prefix}, round {at + 1} of {len(self._ends)}"
            + (f", all in about {_text(left)}" if left > _LONG else ""),
        )

    def _left(self, steps: int) -> float:
        """Seconds for all images, by those of this batch's steps, the first ones left out, in which
        programs are compiled; 0 while they are not known, or in the last batch."""
        if self._first is None:
            self._first = (time.monotonic(), steps)
        began, before = self._first
        if steps == before or self._after <= 0:
            return 0
        of_step, of_batch = (time.monotonic() - began) / (steps - before), self._ends[-1]
        return of_step * (of_batch * (1 + self._after) - steps)


def _text(seconds: float) -> str:
    """To the minute, or above two hours to the hour."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
