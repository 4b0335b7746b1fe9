"""A table of results on disk, which grows batch by batch."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically


class Table:
    """A CSV file, whole at any time; `Table.open` makes one.

    Attributes:
      rows: texts by column, in order.
    """

    def __init__(self, path: Path, columns: Sequence[str], rows: list[dict[str, str]]):
        self.rows = rows
        self._path, self._columns = path, list(columns)

    @classmethod
    def open(cls, path: Path, columns: Sequence[str]) -> "Table":
        """With the rows that are there already.

        Raises:
          InputError: the file is damaged, or has other columns.
        """
        if not path.exists():
            return cls(path, columns, [])
        try:
            text = path.read_bytes().decode(errors="surrogateescape")
            table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            rows = list(table)
        except (OSError, csv.Error) as error:
            raise InputError(f"{path}: damaged ({error}); choose another --out") from error
        whole = all(None not in row and None not in row.values() for row in rows)
        if list(table.fieldnames or ()) != list(columns) or not whole:
            raise InputError(
                f"{path}: damaged; expected columns {', '.join(columns)}: choose another --out"
            )
        return cls(path, columns, rows)

    def add(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Writes the file again with further rows.

        Raises:
          InputError: it cannot be written.
        """
        rows = [*self.rows, *map(dict, rows)]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self._path, text.getvalue().encode(errors="surrogateescape"))
        self.rows = rows
