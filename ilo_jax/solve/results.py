"""The output folder of a run, and the metrics it reports.

    DIR/run.json           what was run; a folder holds one run only
    DIR/images/NAME.png    reconstructions
    DIR/variables/NAME/    with --save-variables: what was optimized
    DIR/spread/NAME.png    with --samples or --auto: standard deviation of the restarts
    DIR/chosen/NAME.json   with --auto: the image's setting
    DIR/metrics.csv        one row an image, in natural order
    DIR/.metrics-I.csv     of several processes: what process I knows, until all are done
    DIR/summary.json       when all are done: settings, and mean and std of each metric
    DIR/contact_sheet.png  when all are done

Every file appears whole or not at all, so an interrupted run goes on where it was.
"""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.solve.contact_sheet import Tile, contact_sheet
from ilo_jax.solve.files import write_atomically
from ilo_jax.solve.images import encode_png, from_uint8, natural_key, to_uint8, write_png

_PARTS = ".metrics-*.csv"

SSIM_WINDOW = 7
WHITE_SPREAD = 0.25
"""Standard deviation of restarts that is white on their picture, for images in [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class Row:
    """Metrics of one image: a row of `metrics.csv`.

    Attributes:
      name: the image's file name without its extension.
      psnr_db, ssim: against the truth; None without one (an empty cell). See `evaluate`.
      measurement_mse: mean square error of the reconstruction's measurements.
      seconds: the image's share of its batch's time.
    """

    name: str
    psnr_db: float | None
    ssim: float | None
    measurement_mse: float
    seconds: float


METRICS = tuple(field.name for field in dataclasses.fields(Row))[1:]


def evaluate(truth: np.ndarray, image: np.ndarray) -> tuple[float, float | None]:
    """PSNR in dB and SSIM of the images as they are saved, in 8 bits.

    Args:
      truth, image: `[H, W, C]` in [-1, 1].

    Returns:
      PSNR, `inf` where the two are equal, and SSIM with scikit-image's uniform 7x7 window,
      None where the image is smaller than the window and SSIM is not defined.
    """
    # Imported late: SciPy, which it needs, takes longer to import than JAX.
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    expected, found = to_uint8(truth), to_uint8(image)
    with np.errstate(divide="ignore"):
        psnr_db = float(peak_signal_noise_ratio(expected, found, data_range=255))
    if min(expected.shape[:2]) < SSIM_WINDOW:
        return psnr_db, None
    ssim = structural_similarity(
        expected, found, win_size=SSIM_WINDOW, data_range=255, channel_axis=-1
    )
    return psnr_db, float(cast(np.floating, ssim))  # a tuple only with `full` or `gradient`


class Results:
    """An output folder in use; `Results.open` makes one.

    Attributes:
      out: the folder.
      run: JSON-able description of the run: task, method, steps, seed and all other settings.
      process: which of the processes that share the folder this is.
    """

    def __init__(self, out: Path, run: dict, rows: dict[str, Row], process: int = 0):
        self.out = out
        self.run = run
        self.process = process
        self._rows = rows

    @classmethod
    def open(cls, out: Path | str, run: dict, process: int = 0) -> "Results":
        """Starts a run in a new or empty folder, or goes on with the same run.

        Args:
          run: JSON-able description of the run; must equal that of the run in the folder, if
            that has an image yet.
          process: each writes a table of its own; that of the first is `metrics.csv`.

        Raises:
          InputError: `out` is a file, holds another run (the message names the settings that
            differ), holds anything else, or cannot be written to.
        """
        out = Path(out)
        run = json.loads(json.dumps(run))
        _check_folder(out)
        stored = _read_run(out)
        if stored is None and any(not name.startswith(".") for name in os.listdir(out)):
            raise InputError(f"{out}: holds other files; expected a new or empty folder for --out")
        if stored and (_tables(out) or any((out / "images").glob("*.png"))):
            _check_same_run(out, stored, run)
        if stored != run:
            write_atomically(out / "run.json", _json(run))
        make_folder(out / "images")
        return cls(out, run, _read_rows(out), process)

    def finished(self) -> dict[str, Row]:
        """Rows of all processes whose image is there and whole, by name, in natural order: those
        from before `open` or `merge`, and this process's own since."""
        return {row.name: row for row in _in_order(self._rows)}

    def image(self, name: str) -> np.ndarray:
        """A finished image as it was saved: float32 `[H, W, C]` in [-1, 1]."""
        return _read_png(self.out / "images" / f"{name}.png")

    def variables(self, name: str) -> Path:
        """The folder of an image's variables."""
        return self.out / "variables" / name

    def add_choice(self, name: str, chosen: Mapping[str, float | list[float]]) -> None:
        """Saves what `--auto` chose for an image."""
        make_folder(self.out / "chosen")
        write_atomically(self.out / "chosen" / f"{name}.json", _json(dict(chosen)))

    def spread(self, name: str) -> np.ndarray:
        """The spread of an image's restarts as it was saved, to look at: float32 `[H, W, C]`."""
        return _read_png(self.out / "spread" / f"{name}.png")

    def add(
        self,
        rows: Sequence[Row],
        images: Sequence[np.ndarray],
        spreads: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Saves a batch: its images, then the table, so that a row has its image.

        Numbers are kept to six digits.

        Args:
          images: one `[H, W, C]` in [-1, 1] a row.
          spreads: standard deviations of restarts, one `[H, W, C]` a row; black is none, white is
            `WHITE_SPREAD` and more.
        """
        if spreads is not None:
            make_folder(self.out / "spread")
            for row, spread in zip(rows, spreads, strict=True):
                picture = np.minimum(spread / WHITE_SPREAD, 1) * 2 - 1
                write_png(self.out / "spread" / f"{row.name}.png", picture)
        for row, image in zip(rows, images, strict=True):
            write_png(self.out / "images" / f"{row.name}.png", image)
        content = _csv(_in_order(self._rows | {row.name: row for row in rows}))
        name = f".metrics-{self.process}.csv" if self.process else "metrics.csv"
        write_atomically(self.out / name, content)
        self._rows = {row.name: row for row in _parse(content)}

    def merge(self) -> None:
        """Brings the tables of all processes together in `metrics.csv`."""
        parts = list(self.out.glob(_PARTS))
        if parts:
            self._rows = _read_rows(self.out)
            write_atomically(self.out / "metrics.csv", _csv(_in_order(self._rows)))
        for part in parts:
            part.unlink()

    def finish(
        self, labels: Sequence[str], rows: Sequence[Sequence[Tile]], footer: str = ""
    ) -> dict:
        """Writes `contact_sheet.png` and `summary.json`.

        Args:
          labels, rows, footer: see `contact_sheet`; the first `MAX_ROWS` images suffice.

        Returns:
          The summary: the run's settings, `images` (their number) and, under the name of each
          metric, `mean` and (population) `std`; null where no image has that metric or where
          they are not finite.
        """
        sheet = contact_sheet(labels, rows, footer, total=len(self._rows))
        write_atomically(self.out / "contact_sheet.png", encode_png(sheet))
        summary = self.run | {"images": len(self._rows)}
        for metric in METRICS:
            summary[metric] = _statistics([getattr(r, metric) for r in self.finished().values()])
        write_atomically(self.out / "summary.json", _json(summary))
        return summary


def _read_png(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        pixels = np.asarray(file)
    return from_uint8(pixels[..., None] if pixels.ndim == 2 else pixels)


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; expected a folder for --out")
    make_folder(out)
    if not os.access(out, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"{out}: not writable; expected a folder for --out with write permission")


def check_new_folder(out: Path) -> None:
    """Raises `InputError` where `out` is anything but a new or empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; expected a new or empty folder for --out")


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be made ({error.strerror}); expected a writable folder for --out"
        ) from error


def _read_run(out: Path) -> dict | None:
    if not (out / "run.json").exists():
        return None
    try:
        stored = json.loads((out / "run.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{out}/run.json: damaged; choose another --out") from error
    if not isinstance(stored, dict):
        raise InputError(f"{out}/run.json: not a description of a run; choose another --out")
    return stored


def _check_same_run(out: Path, stored: dict, run: dict) -> None:
    keys = dict.fromkeys([*run, *stored])
    different = [key for key in keys if key not in run or stored.get(key, _ABSENT) != run[key]]
    if different:
        found = ", ".join(_setting(key, stored) for key in different)
        expected = ", ".join(_setting(key, run) for key in different)
        raise InputError(
            f"{out}: holds a run with {found}; expected {expected}: choose another --out"
        )


_ABSENT = object()


def _setting(key: str, run: dict) -> str:
    if run.get(key, []) == []:
        return f"no {key}"
    value = run[key]
    shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{key} {shown}"


def _tables(out: Path) -> list[Path]:
    """`metrics.csv`, and those of other processes; later ones go before."""
    return [*out.glob("metrics.csv"), *sorted(out.glob(_PARTS))]


def _read_rows(out: Path) -> dict[str, Row]:
    rows = {}
    for path in _tables(out):
        try:
            rows |= {row.name: row for row in _parse(path.read_bytes())}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: damaged; expected columns name, {', '.join(METRICS)}: choose another "
                "--out"
            ) from error
    return {name: row for name, row in rows.items() if _is_whole(out / "images" / f"{name}.png")}


def _in_order(rows: dict[str, Row]) -> list[Row]:
    return [rows[name] for name in sorted(rows, key=natural_key)]


def _is_whole(path: Path) -> bool:
    try:
        with Image.open(path, formats=("PNG",)) as file:
            file.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *METRICS])
    for row in rows:
        values = [getattr(row, metric) for metric in METRICS]
        writer.writerow([row.name, *("" if v is None else f"{v:.6g}" for v in values)])
    return text.getvalue().encode(errors="surrogateescape")


def _parse(content: bytes) -> list[Row]:
    text = content.decode(errors="surrogateescape")
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [
        Row(
            name=line["name"],
            psnr_db=float(line["psnr_db"]) if line["psnr_db"] else None,
            ssim=float(line["ssim"]) if line["ssim"] else None,
            measurement_mse=float(line["measurement_mse"]),
            seconds=float(line["seconds"]),
        )
        for line in table
    ]


def _statistics(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known or not np.isfinite(known).all():
        return {"mean": None, "std": None}
    return {"mean": float(np.mean(known)), "std": float(np.std(known))}


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
