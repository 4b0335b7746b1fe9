"""`history.csv`: how loss and measurement error of each image went down."""

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ilo_jax.files.atomic import append, write_atomically

COLUMNS = ("name", "restart", "step", "loss", "error")


class History:
    """A file that grows; its rows are not kept in memory, since there are many.

    Columns: the image's name, its restart from 1, the steps taken over all rounds, what the last of
    them minimized, and the least measurement error so far.
    """

    def __init__(self, path: Path):
        self.path = path
        self._checked = False

    def add(
        self, name: str, steps: Sequence[int], curves: np.ndarray, others: Collection[str]
    ) -> None:
        """Writes rows of an image.

        Args:
          curves: `[K, len(steps), 2]`, loss and error of each restart.
          others: names whose rows in the file are valid; all others go, such as those of an image
            that is computed again.

        Raises:
          InputError: they cannot be written.
        """
        rows = [
            (name, k + 1, step, f"{loss:.6g}", f"{error:.6g}")
            for k, of_restart in enumerate(curves)
            for step, (loss, error) in zip(steps, of_restart, strict=True)
        ]
        self.add_lines(_text(rows), others)

    def add_lines(self, lines: bytes, others: Collection[str]) -> None:
        """Writes lines of such a file, of one image or several; otherwise as `add`."""
        if not self._checked:
            write_atomically(self.path, _text([COLUMNS, *self._rows(others)]))
            self._checked = True
        append(self.path, lines)

    def gather(self, others: Iterable[Path]) -> None:
        """Writes the file again, with the rows of other such files, each image in one of them."""
        there = [other for other in others if other.exists()]
        if not there:
            return  # with `--auto`
        write_atomically(self.path, _text([COLUMNS]))
        for other in there:
            content = other.read_bytes()
            append(self.path, content[content.find(b"\n") + 1 :])

    def of(self, names: Collection[str]) -> dict[str, list[list[tuple[int, float, float]]]]:
        """Of each restart of the named images, `(step, loss, error)`."""
        found: dict[str, list[list[tuple[int, float, float]]]] = {}
        for name, restart, step, loss, error in self._rows(names):
            restarts = found.setdefault(name, [])
            while len(restarts) < int(restart):
                restarts.append([])
            restarts[int(restart) - 1].append((int(step), float(loss), float(error)))
        return found

    def _rows(self, names: Collection[str]) -> Iterator[list[str]]:
        """Those of the named images; not a last one that a killed run was writing."""
        if not self.path.exists():
            return
        with self.path.open(newline="", errors="surrogateescape") as file:
            whole = (line for line in file if line.endswith("\n"))
            for row in csv.reader(whole):
                if len(row) == len(COLUMNS) and row[0] in names and row[1].isdecimal():
                    yield row


def by_name(lines: bytes) -> dict[str, bytes]:
    """Lines of such a file, those of each image."""
    text = io.StringIO(lines.decode(errors="surrogateescape"), newline="")
    rows: dict[str, list[list[str]]] = {}
    for row in csv.reader(text):
        rows.setdefault(row[0], []).append(row)
    return {name: _text(of_name) for name, of_name in rows.items()}


def _text(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="surrogateescape")
