"""A table that grows by rows, so that what was computed is never computed again."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ilo_jax.errors import InputError
from ilo_jax.files.atomic import append, write_atomically


class Table:
    """A CSV file; `Table.open` makes one. Further rows are written behind the others, and a last
    one that a killed run was writing does not count.

    Attributes:
      path: the file.
      rows: texts by column, in order.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], rows: list[dict[str, str]], stored: bool = False
    ):
        self.rows = rows
        self.path, self._columns = path, list(columns)
        self._stored = stored  # whether the file has these rows and no others

    @classmethod
    def open(cls, path: Path, columns: Sequence[str]) -> "Table":
        """With the rows that are there already.

        Raises:
          InputError: the file is damaged, or has other columns.
        """
        if not path.exists():
            return cls(path, columns, [])
        try:
            content = path.read_bytes()
            text = content[: content.rfind(b"\n") + 1].decode(errors="surrogateescape")
            table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            rows = list(table)
        except (OSError, csv.Error) as error:
            raise InputError(f"{path}: damaged ({error}); choose another --out") from error
        whole = all(None not in row and None not in row.values() for row in rows)
        if list(table.fieldnames or ()) != list(columns) or not whole:
            raise InputError(
                f"{path}: damaged; expected columns {', '.join(columns)}: choose another --out"
            )
        return cls(path, columns, rows, stored=content.endswith(b"\n"))

    def add(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Writes further rows.

        Raises:
          InputError: they cannot be written.
        """
        if not self._stored:
            self.replace([*self.rows, *rows])
            return
        self._stored = False  # unless all of them are written
        append(self.path, self._text(rows, header=False))
        self.rows += map(dict, rows)
        self._stored = True

    def replace(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Writes the file again, with these rows.

        Raises:
          InputError: it cannot be written.
        """
        rows = list(map(dict, rows))
        write_atomically(self.path, self._text(rows, header=True))
        self.rows, self._stored = rows, True

    def keep(self, wanted: Callable[[Mapping[str, str]], bool]) -> None:
        """Forgets all other rows; the file does so when it is written next."""
        kept = [row for row in self.rows if wanted(row)]
        self._stored &= len(kept) == len(self.rows)
        self.rows = kept

    def _text(self, rows: Iterable[Mapping[str, str]], header: bool) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode(errors="surrogateescape")
