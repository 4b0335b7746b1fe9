"""What is said of an image: a row of `metrics.csv`."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np

from ilo_jax.files.find import natural_key
from ilo_jax.files.images import to_uint8

SSIM_WINDOW = 7

OK, NOT_FINITE = "ok", "not finite"


@dataclasses.dataclass(frozen=True)
class Row:
    """Metrics of one image: a row of `metrics.csv`.

    Attributes:
      name: the image's file name without its extension.
      psnr_db, ssim: against the truth; None without one (an empty cell). See `evaluate`.
      measurement_mse: mean square error of the reconstruction's measurements; None without an
        image.
      seconds: the image's share of its batch's time; None of a file that cannot be read.
      input: digest of everything that the image is made of.
      status: `ok`, or why there is no image.
    """

    name: str
    psnr_db: float | None
    ssim: float | None
    measurement_mse: float | None
    seconds: float | None
    input: str
    status: str = OK


METRICS = ("psnr_db", "ssim", "measurement_mse", "seconds")


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


def statistics(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and population standard deviation; None where there are none or they are not finite."""
    known = [value for value in values if value is not None]
    if not known or not np.isfinite(known).all():
        return {"mean": None, "std": None}
    return {"mean": float(np.mean(known)), "std": float(np.std(known))}


def write_rows(rows: Iterable[Row]) -> bytes:
    """The file's bytes; rows in natural order, numbers to six digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *METRICS, "input", "status"])
    for row in sorted(rows, key=lambda row: natural_key(row.name)):
        values = [getattr(row, metric) for metric in METRICS]
        numbers = ["" if value is None else f"{value:.6g}" for value in values]
        writer.writerow([row.name, *numbers, row.input, row.status])
    return text.getvalue().encode(errors="surrogateescape")


def read_rows(content: bytes) -> list[Row]:
    """Of the file's bytes.

    Raises:
      ValueError, KeyError, TypeError: it is damaged.
    """
    text = content.decode(errors="surrogateescape")
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)

    def number(text: str) -> float | None:
        return float(text) if text else None

    return [
        Row(
            name=line["name"],
            psnr_db=number(line["psnr_db"]),
            ssim=number(line["ssim"]),
            measurement_mse=number(line["measurement_mse"]),
            seconds=number(line["seconds"]),
            input=line["input"],
            status=line["status"],
        )
        for line in table
    ]
