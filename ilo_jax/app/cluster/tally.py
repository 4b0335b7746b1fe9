"""One line of how far a run on a cluster is."""

import math
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

_SECONDS = 30.0


class Tally:
    """Counts images, and shows rate, done, failed, left: on a terminal always, in a log each half
    minute."""

    def __init__(
        self,
        console: Console,
        total: int | None,
        clock: Callable[[], float] = time.time,
        what: str = "images",
    ):
        """Args: total: images; None where nobody knows. what: is counted."""
        self.done = self.failed = self.same = 0
        self._total, self._clock, self._what = total, clock, what
        self._began, self._written = clock(), -math.inf
        self._bar = Progress(SpinnerColumn(), TextColumn("{task.description}"), console=console)
        self._task = self._bar.add_task(str(self), total=None)

    def __enter__(self) -> "Tally":
        if self._bar.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def say(self, line: str) -> None:
        """A note or a complaint."""
        self._bar.console.print(line, markup=False, soft_wrap=True)

    def add(self, done: int, failed: int, same: int) -> None:
        """Images that are done, that failed, and that were there already."""
        self.done, self.failed, self.same = (
            self.done + done,
            self.failed + failed,
            self.same + same,
        )
        if self._bar.console.is_terminal:
            self._bar.update(self._task, description=str(self))
        elif self._clock() - self._written >= _SECONDS:
            self._written = self._clock()
            self.say(str(self))

    def __str__(self) -> str:
        tried = self.done + self.failed
        rate = tried / max(self._clock() - self._began, 1e-9)
        parts = [
            f"{rate:.3g} {self._what}/s",
            f"{self.done + self.same} done",
            f"{self.failed} failed",
        ]
        if self._total is not None:
            parts.append(f"{self._total - tried - self.same} left")
        return ", ".join(parts)
