"""Items in, batches through a program, what was found out: the one pipeline of all commands.

A batch is divided over the local devices and padded to as many runs on each, a power of two, so
that few programs exist and a nearly empty batch costs what it holds.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import jax

from ilo_jax.app.memory import is_out_of_memory
from ilo_jax.errors import InputError

Item = TypeVar("Item")
Found = TypeVar("Found")


class Reporter(Protocol):
    """Where a command tells how it goes."""

    def say(self, line: str) -> None:
        """A note or a complaint, one line."""
        ...

    def batch(self, done: int, count: int, total: int, rounds: Sequence[int]) -> None:
        """A batch of `count` images begins; `done` of `total` are finished; `rounds` are the steps
        of each round that is ahead."""
        ...

    def progress(self, steps: int) -> None:
        """`steps` steps of the current batch are done, over all rounds."""
        ...


@dataclasses.dataclass(frozen=True)
class Pipeline(Generic[Item, Found]):
    """What a command does with its items.

    Attributes:
      solve: `(items, size) -> found`, in programs of `size` runs.
      write: `(items, found, seconds)`, with the seconds of an item; commits a batch.
      begin: `(items, size)`: a batch begins.
      name: of an item, for errors.
      kind: of an item; a batch is of one kind.
      runs: of an item in a program.
      width: runs at a time on a device, at most.
      at_once: items at a time, at most; None for what `width` allows.
      devices: over which a batch is divided; None for all local ones.
      remedies: what helps, beside more memory, when one run does not fit.
    """

    solve: Callable[[list[Item], int], Found]
    write: Callable[[list[Item], Found, float], None]
    begin: Callable[[list[Item], int], None]
    name: Callable[[Item], object]
    runs: int
    width: int
    kind: Callable[[Item], Hashable] = lambda item: None
    at_once: int | None = None
    devices: int | None = None
    remedies: str = "or a smaller generator"

    def run(self, items: Iterable[Item], say: Callable[[str], None]) -> None:
        """All items, in batches. One that does not fit into memory is solved with half as many
        runs on a device, and so are those behind it.

        Args:
          items: an item is drawn when the batches before its own are committed.
          say: gets a line when memory runs out.

        Raises:
          InputError: a single run on a device does not fit into memory.
        """
        items, width = iter(items), self.width
        devices = self.devices or jax.local_device_count()
        while True:
            count = max(1, devices * width // self.runs)
            batch, rest = self._alike(itertools.islice(items, min(count, self.at_once or count)))
            items = itertools.chain(rest, items)
            if not batch:
                return
            size = program_size(len(batch) * self.runs, width, devices)
            self.begin(batch, size)
            began = time.perf_counter()
            try:
                found = self.solve(batch, size)
            except jax.errors.JaxRuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                width = self._halved(-(-size // devices), batch, say)
                items = itertools.chain(batch, items)
                continue
            self.write(batch, found, (time.perf_counter() - began) / len(batch))

    def _alike(self, items: Iterator[Item]) -> tuple[list[Item], list[Item]]:
        """The items of the first one's kind, up to the first of another, and that one."""
        batch: list[Item] = []
        for item in items:
            if batch and self.kind(item) != self.kind(batch[0]):
                return batch, [item]
            batch.append(item)
        return batch, []

    def _halved(self, width: int, batch: list[Item], say: Callable[[str], None]) -> int:
        if width == 1:
            raise InputError(
                f"{self.name(batch[0])}: out of memory with one at a time on a device; expected a "
                f"device with more memory, {self.remedies}"
            )
        say(f"out of memory with {width} at a time on a device; going on with {width // 2}")
        return width // 2


def program_size(runs: int, most: int, devices: int) -> int:
    """Runs in a program that has room for `runs`, or else for `most` on each device: as many on
    each, a power of two unless that is more than `most`."""
    devices = min(devices, runs)
    each = -(-runs // devices)
    return devices * min(most, 1 << (each - 1).bit_length())


def padded(items: Sequence[Item], size: int) -> list[list[Item]]:
    """The items in programs of `size`, the last one filled up with its last item."""
    parts = [list(items[i : i + size]) for i in range(0, len(items), size)]
    parts[-1] += parts[-1][-1:] * (size - len(parts[-1]))
    return parts
