"""The output folder of a run over images.

    DIR/run.json           what was run; a folder holds one run only
    DIR/images/NAME.png    reconstructions
    DIR/variables/NAME.npz with --save-variables: what was optimized; of restarts NAME/K.npz
    DIR/samples/NAME/K.png with --keep-samples: each restart, from 1
    DIR/arrays/NAME.npy    with --save-arrays: reconstructions, float32 [H, W, C]; or NAME.tiff
    DIR/animations/NAME.gif with --animate, or .webp, .mp4
    DIR/tensorboard/       with --tensorboard: event files
    DIR/measurements/NAME.npz with --save-measurement
    DIR/spread/NAME.png    with --samples or --auto: standard deviation of the restarts
    DIR/chosen/NAME.json   with --auto: the image's setting
    DIR/metrics.csv        one row an image, in natural order
    DIR/history.csv        without --auto: how each image's loss and error went down
    DIR/summary.json       when all are done: settings, and mean and std of each metric
    DIR/contact_sheet.png  when all are done
    DIR/report.html        when all are done: pictures, metrics, curves and settings in one page

A table grows by rows, and every other file appears whole or not at all, so an interrupted run goes
on where it was.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ilo_jax.app.animation import encode
from ilo_jax.app.folder import as_json, make_folder, open_folder
from ilo_jax.app.history import History
from ilo_jax.app.metrics import COLUMNS, METRICS, OK, Row, row_of, statistics, texts_of
from ilo_jax.app.table import Table
from ilo_jax.errors import InputError
from ilo_jax.files.arrays import write_npy
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.contact_sheet import Tile, contact_sheet
from ilo_jax.files.find import natural_key
from ilo_jax.files.images import encode_png, from_uint8, write_png, write_tiff

_FIRST = b"\x89PNG\r\n\x1a\n"
_LAST = bytes(4) + b"IEND\xaeB`\x82"

WHITE_SPREAD = 0.25
"""Standard deviation of restarts that is white on their picture, for images in [-1, 1]."""

ARRAYS = {"npy": write_npy, "tiff": write_tiff}
"""What writes results as numbers, by extension."""


class Results:
    """An output folder in use; `Results.open` makes one.

    Attributes:
      out: the folder.
      run: JSON-able description of the run: task, method, steps, seed and all other settings.
      history: of the images that this process has computed, or one before it.
    """

    def __init__(self, out: Path, run: dict, rows: dict[str, Row], table: Table):
        self.out = out
        self.run = run
        self._rows = rows
        self._table = table
        self.history = History(out / "history.csv")

    @classmethod
    def open(
        cls, out: Path | str, run: Mapping[str, Any], beside: Collection[str] = ()
    ) -> "Results":
        """Starts a run in a new or empty folder, or goes on with the same run.

        Args:
          run, beside: as for `open_folder`.

        Raises:
          InputError: as `open_folder`, or a damaged table.
        """
        out = Path(out)
        described = open_folder(out, run, beside)
        make_folder(out / "images")
        table = Table.open(out / "metrics.csv", COLUMNS)
        results = cls(out, described, _rows(out, table), table)
        results.drop(())
        return results

    def finished(self) -> dict[str, Row]:
        """Rows whose image is there and whole, by name, in natural order."""
        return {name: row for name, row in self._sorted() if row.status == OK}

    def failed(self) -> dict[str, Row]:
        """Rows of images that were tried and have none, as `finished`."""
        return {name: row for name, row in self._sorted() if row.status != OK}

    def drop(self, names: Iterable[str]) -> None:
        """Takes rows out, so that they are written no more."""
        for name in names:
            self._rows.pop(name, None)
        self._table.keep(lambda row: row["name"] in self._rows)

    def image(self, name: str) -> np.ndarray:
        """A finished image as it was saved: float32 `[H, W, C]` in [-1, 1]."""
        return read_png(self.out / "images" / f"{name}.png")

    def variables(self, name: str, restart: int | None = None) -> Path:
        """The file of an image's variables, or of those of one of its restarts, from 0."""
        return self._file("variables", name, restart, ".npz")

    def measurement(self, name: str) -> Path:
        """The file of an image's measurement."""
        return self._file("measurements", name, None, ".npz")

    def add_array(self, name: str, image: np.ndarray, kind: str) -> None:
        """Saves an image `[H, W, C]` as numbers, in one of `ARRAYS`."""
        ARRAYS[kind](self._file("arrays", name, None, f".{kind}"), image)

    def add_animation(self, name: str, format: str, frames: Sequence[np.ndarray]) -> None:
        """Saves frames of an image, uint8 `[H, W, C]` each, as a file that plays."""
        file = self._file("animations", name, None, f".{format}")
        write_atomically(file, encode(frames, format))

    def add_sample(self, name: str, restart: int, image: np.ndarray) -> None:
        """Saves the image of a restart, from 0."""
        write_png(self._file("samples", name, restart, ".png"), image)

    def add_history(self, name: str, steps: Sequence[int], curves: np.ndarray) -> None:
        """Saves curves `[K, len(steps), 2]` of an image's restarts, before its row is added."""
        self.history.add(name, steps, curves, self._rows)

    def add_choice(self, name: str, chosen: Mapping[str, Any]) -> None:
        """Saves what `--auto` chose for an image."""
        make_folder(self.out / "chosen")
        write_atomically(self.out / "chosen" / f"{name}.json", as_json(chosen))

    def choice(self, name: str) -> dict[str, Any] | None:
        """What `--auto` chose for an image; None without."""
        path = self.out / "chosen" / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def spread(self, name: str) -> np.ndarray:
        """The spread of an image's restarts as it was saved, to look at: float32 `[H, W, C]`."""
        return read_png(self.out / "spread" / f"{name}.png")

    def add_spread(self, name: str, spread: np.ndarray) -> None:
        """Saves the standard deviation `[H, W, C]` of an image's restarts: black is none, white is
        `WHITE_SPREAD` and more."""
        make_folder(self.out / "spread")
        picture = np.minimum(spread / WHITE_SPREAD, 1) * 2 - 1
        write_png(self.out / "spread" / f"{name}.png", picture)

    def add(self, rows: Sequence[Row], images: Sequence[np.ndarray | None]) -> None:
        """Saves a batch: its images, then the table, so that a row has its image.

        Numbers are kept to six digits.

        Args:
          images: one `[H, W, C]` in [-1, 1] a row; None where the row's status is not ok.
        """
        for row, image in zip(rows, images, strict=True):
            picture = self.out / "images" / f"{row.name}.png"
            if image is not None:
                write_png(picture, image)
            else:
                picture.unlink(missing_ok=True)  # of other inputs
        self._add(rows)

    def adopt(self, rows: Sequence[Row], files: Mapping[str, bytes], history: bytes) -> None:
        """Saves what another process has computed, as `add` does.

        Args:
          files: by their path in the folder.
          history: lines of `history.csv`.
        """
        for path, content in files.items():
            make_folder((self.out / path).parent)
            write_atomically(self.out / path, content)
        for row in rows:
            if row.status != OK:
                (self.out / "images" / f"{row.name}.png").unlink(missing_ok=True)
        if history:
            self.history.add_lines(history, self._rows.keys() - {row.name for row in rows})
        self._add(rows, in_order=False)

    def sort(self) -> None:
        """Brings the rows of the table into natural order."""
        self._table.replace(_in_order(self._table.rows))

    def _add(self, rows: Sequence[Row], in_order: bool = True) -> None:
        texts = [texts_of(row) for row in rows]
        names = {row.name for row in rows}
        with_last = [*self._table.rows[-1:], *texts]
        is_in_order = not in_order or _in_order(with_last) == with_last
        if names.isdisjoint(self._rows) and is_in_order:
            self._table.add(texts)
        else:
            others = [row for row in self._table.rows if row["name"] not in names]
            self._table.replace(_in_order([*others, *texts]))
        self._rows |= {row.name: row for row in map(row_of, texts)}

    def merge(self, tables: Iterable[Path]) -> None:
        """Adds the rows of other tables, whose files are here already.

        Raises:
          InputError: one is damaged.
        """
        for path in tables:
            self._rows |= _rows(self.out, Table.open(path, COLUMNS))
        self._table.replace([texts_of(row) for _, row in self._sorted()])

    def finish(
        self, labels: Sequence[str], rows: Sequence[Sequence[Tile]], footer: str = ""
    ) -> dict:
        """Writes `contact_sheet.png`, where there are rows of it, and `summary.json`.

        Args:
          labels, rows, footer: see `contact_sheet`; the first `MAX_ROWS` images suffice.

        Returns:
          The summary: the run's settings, `images` (their number) and, under the name of each
          metric, `mean` and (population) `std`: see `statistics`.
        """
        finished = list(self.finished().values())
        if rows:
            sheet = contact_sheet(labels, rows, footer, total=len(finished))
            write_atomically(self.out / "contact_sheet.png", encode_png(sheet))
        summary = self.run | {"images": len(finished)}
        for metric in METRICS:
            summary[metric] = statistics([getattr(row, metric) for row in finished])
        write_atomically(self.out / "summary.json", as_json(summary))
        return summary

    def _file(self, kind: str, name: str, restart: int | None, suffix: str) -> Path:
        """Of an image or, counted from 1, of a restart; its folder is made."""
        parts = (name,) if restart is None else (name, str(restart + 1))
        file = self.out.joinpath(kind, *parts[:-1], parts[-1] + suffix)
        make_folder(file.parent)
        return file

    def _sorted(self) -> list[tuple[str, Row]]:
        return sorted(self._rows.items(), key=lambda item: natural_key(item[0]))


def image_of(file: str) -> str:
    """The name of the image that a file of results is of: `KIND/NAME.png`, or, of one of its
    restarts, `KIND/NAME/1.png`."""
    path = Path(file)
    return path.stem if len(path.parts) == 2 else path.parts[1]


def read_png(path: Path) -> np.ndarray:
    """A picture of this package: float32 `[H, W, C]` in [-1, 1]."""
    with Image.open(path) as file:
        pixels = np.asarray(file)
    return from_uint8(pixels[..., None] if pixels.ndim == 2 else pixels)


def is_whole(path: Path) -> bool:
    """Whether a PNG is there, from its first bytes to its last ones."""
    try:
        with path.open("rb") as file:
            if file.read(len(_FIRST)) != _FIRST:
                return False
            file.seek(-len(_LAST), os.SEEK_END)
            return file.read() == _LAST
    except OSError:
        return False


def _rows(out: Path, table: Table) -> dict[str, Row]:
    """Rows of a table by name, without those whose image is gone."""
    try:
        rows = [row_of(row) for row in table.rows]
    except ValueError as error:
        raise InputError(f"{table.path}: damaged ({error}); choose another --out") from error
    return {
        row.name: row
        for row in rows
        if row.status != OK or is_whole(out / "images" / f"{row.name}.png")
    }


def _in_order(rows: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return sorted(rows, key=lambda row: natural_key(row["name"]))
