"""What is said of an image: a row of `metrics.csv`."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax import lpips
from ilo_jax.files.images import from_uint8, to_uint8

SSIM_WINDOW = 7

OK, NOT_FINITE = "ok", "not finite"


@dataclasses.dataclass(frozen=True)
class Row:
    """Metrics of one image: a row of `metrics.csv`.

    Attributes:
      name: the image's file name without its extension.
      psnr_db, ssim, mae, nrmse: against the truth; None without one (an empty cell). See `Scores`.
      lpips: as `perceptual` has it; None where it was not asked for.
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
    mae: float | None = None
    nrmse: float | None = None
    lpips: float | None = None

    @classmethod
    def failed(cls, name: str, digest: str, why: str, seconds: float | None = None) -> "Row":
        """Of an image file that has no image."""
        return cls(name, None, None, None, seconds, digest, why)


METRICS = ("psnr_db", "ssim", "mae", "nrmse", "lpips", "measurement_mse", "seconds")
COLUMNS = ("name", *METRICS, "input", "status")


class Scores(NamedTuple):
    """Of an image against the truth, as they are saved, in 8 bits.

    Attributes:
      psnr_db: `inf` where the two are equal.
      ssim: with scikit-image's uniform 7x7 window, None where the image is smaller than that.
      mae: mean absolute error; 1 is from black to white.
      nrmse: root mean squared error over the root mean square of the truth, black being 0.
    """

    psnr_db: float
    ssim: float | None
    mae: float
    nrmse: float


def evaluate(truth: np.ndarray, image: np.ndarray) -> Scores:
    """How near an image is to the truth; both `[H, W, C]` in [-1, 1]."""
    # Imported late: SciPy, which it needs, takes longer to import than JAX.
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    expected, found = to_uint8(truth), to_uint8(image)
    with np.errstate(divide="ignore"):
        psnr_db = float(peak_signal_noise_ratio(expected, found, data_range=255))
    ssim = None
    if min(expected.shape[:2]) >= SSIM_WINDOW:
        found_ssim = structural_similarity(
            expected, found, win_size=SSIM_WINDOW, data_range=255, channel_axis=-1
        )
        ssim = float(cast(np.floating, found_ssim))  # a tuple only with `full` or `gradient`
    x, y = (pixels.astype(np.float64) / 255 for pixels in (expected, found))
    rmse, size = math.sqrt(np.mean((x - y) ** 2)), math.sqrt(np.mean(x**2))
    nrmse = rmse / size if size else (math.inf if rmse else 0.0)
    return Scores(psnr_db, ssim, float(np.mean(np.abs(x - y))), nrmse)


def perceptual(truth: np.ndarray, image: np.ndarray) -> float:
    """LPIPS by VGG of an image and the truth as they are saved, at 256 px where they are larger;
    both `[H, W, C]` in [-1, 1].

    Raises:
      InputError: its weights are not installed, or the images are too small for it.
    """
    pair = (jnp.asarray(from_uint8(to_uint8(x))) for x in (truth, image))
    return float(_distance(lpips.load("vgg"), *pair))


@jax.jit
def _distance(network: lpips.Lpips, truth: jax.Array, image: jax.Array) -> jax.Array:
    p, q = (lpips.features(network, lpips.resized(x)) for x in (truth, image))
    return lpips.distance(p, q)


GREY = 0.03
"""Difference of channels, on average, up to which an image is grey to look at. Those of `chest64`
differ by 0.01, and by a little more where they were pulled towards colours."""


def colourfulness(image: np.ndarray) -> float:
    """Of an image `[H, W, C]`: how much its channels differ, on average."""
    return float(np.mean(np.ptp(image, -1)))


def loses_colour(truth: np.ndarray, image: np.ndarray) -> bool:
    """Whether an image `[H, W, 3]` in colour has a grey reconstruction: its generator makes
    others."""
    before = colourfulness(truth)
    return before > 0.1 and colourfulness(image) < max(GREY, before / 10)


def statistics(values: Sequence[float | None]) -> dict[str, float | str | None]:
    """Mean and population standard deviation; None where there are none.

    JSON has no infinity: the mean is the text `inf` where a value is infinite (the PSNR of an exact
    result), and the deviation from that is None.
    """
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "std": None}
    if not np.isfinite(known).all():
        return {"mean": "inf", "std": None}
    return {"mean": float(np.mean(known)), "std": float(np.std(known))}


def cell(value: Any) -> str:
    """As tables have a number: six digits, nothing for None."""
    return "" if value is None else f"{value:.6g}"


def texts_of(row: Row) -> dict[str, str]:
    """As the file has it."""
    numbers = {metric: cell(getattr(row, metric)) for metric in METRICS}
    return {"name": row.name, **numbers, "input": row.input, "status": row.status}


def row_of(texts: Mapping[str, str]) -> Row:
    """Of a line of the file.

    Raises:
      ValueError: not a number.
    """
    numbers = {metric: float(texts[metric]) if texts[metric] else None for metric in METRICS}
    return Row(texts["name"], **numbers, input=texts["input"], status=texts["status"])
