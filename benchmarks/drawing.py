"""The drawings of `benchmarks.figures`: curves of errors, and rows of pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.claims import AUTO, DETERMINED
from benchmarks.classical import BASELINES
from benchmarks.methods import PANELS, Row, mse_of
from ilo_jax.files.contact_sheet import Tile, contact_sheet

ATTRIBUTION = (
    "Radiographs: Kermany, Zhang & Goldbaum, doi 10.17632/rscbjbr9sj.2, CC BY 4.0, reduced to "
    "64x64. Research data, not for diagnosis."
)

AXES = {
    "inpaint": ("Inpainting", "pixels observed, %", 100),
    "denoise": ("Denoising", "sigma, of 255", 1),
    "superres": ("Super-resolution", "factor", 1),
    "compress": ("Circulant measurements", "m / n, %", 100),
}
"""Title and axis of a panel, and what its number is multiplied with."""

COLOURS = {
    "ILO": "#d55e00",
    AUTO: "#e69f00",
    "CSGM": "#0072b2",
    "CSGM, LPIPS": "#56b4e9",
    "CSGM, both": "#009e73",
    "PULSE": "#cc79a7",
}
"""Of the curves, in their order (Okabe & Ito, 2008); classical methods are grey."""

_GREYS = ("#000000", "#777777", "#aaaaaa")
_LINES = ("s--", "^:", "v-.")


class Point(NamedTuple):
    """A point of Figure 2: mean and standard error over images and seeds."""

    panel: str
    case: str
    level: float
    variant: str
    images: int
    mse: float
    standard_error: float


def points(rows: Sequence[Row], variants: Sequence[str]) -> list[Point]:
    """Of every cell that is measured."""
    found = []
    for panel, cases in PANELS.items():
        for variant in variants:
            for name, case in cases.items():
                errors = np.array(list(mse_of(rows, name, variant).values()))
                if errors.size:
                    (level,) = case.options.values()
                    spread = errors.std(ddof=1) / len(errors) ** 0.5 if len(errors) > 1 else 0.0
                    number = round(level * AXES[panel][2], 3)
                    found.append(
                        Point(
                            panel, name, number, variant, len(errors), errors.mean(), float(spread)
                        )
                    )
    return found


def curves(found: Sequence[Point]) -> Figure:
    """Figure 2."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    for axis, panel in zip(figure.subplots(2, 2).ravel(), PANELS, strict=True):
        title, label, _ = AXES[panel]
        mine = [p for p in found if p.panel == panel]
        for variant in dict.fromkeys(p.variant for p in mine):
            _curve(axis, variant, [p for p in mine if p.variant == variant and p.mse > DETERMINED])
        levels = sorted({p.level for p in mine})
        axis.set_title(title, fontsize=11)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks(levels, [f"{level:g}" for level in levels])
        axis.minorticks_off()
        axis.set_xlabel(label)
        axis.set_ylabel("mean squared error")
        axis.spines[["top", "right"]].set_visible(False)
        if mine:
            axis.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, -0.16),  # below, where no curve is
                ncols=4,
                frameon=False,
                fontsize=7,
            )
    return figure


def _curve(axis: Axes, variant: str, found: Sequence[Point]) -> None:
    if variant in BASELINES:
        peers = [n for n, b in BASELINES.items() if b.task == BASELINES[variant].task]
        kind, shade = divmod(peers.index(variant), len(_GREYS))
        colour, line = _GREYS[shade], _LINES[kind]
    else:
        colour, line = COLOURS[variant], "o-"
    axis.errorbar(
        [p.level for p in found],
        [p.mse for p in found],
        [p.standard_error for p in found],
        fmt=line,
        color=colour,
        label=variant,
        linewidth=2.2 if variant.startswith("ILO") else 1.2,
        markersize=4,
        capsize=2,
    )


class Picture(NamedTuple):
    """A row of Figure 1, 3 or 4.

    Attributes:
      truth, measured: `[h, w, C]` in [-1, 1].
      found: by column, the image and its PSNR in dB; `classical` has the best method's name too.
    """

    case: str
    truth: np.ndarray
    measured: np.ndarray
    found: Mapping[str, tuple[np.ndarray, float]]
    classical: str


def sheet(pictures: Sequence[Picture], credit: str) -> Image.Image:
    """Truth, measurement and reconstructions, with their PSNR."""
    columns = list(pictures[0].found)
    labels = ["truth", "measured", *columns]
    tiles = []
    for picture in pictures:
        captions = [
            f"{psnr:.1f} dB" if name != "classical" else f"{psnr:.1f} dB, {picture.classical}"
            for name, (_, psnr) in picture.found.items()
        ]
        images = [image for image, _ in picture.found.values()]
        tiles.append(
            [
                Tile(picture.truth),
                Tile(np.clip(picture.measured, -1, 1), picture.case),
                *(Tile(i, c) for i, c in zip(images, captions, strict=True)),
            ]
        )
    return contact_sheet(labels, tiles, credit)


def read_picture(path: Path) -> np.ndarray:
    """`[H, W, C]` in [-1, 1], one channel of a grey file."""
    pixels = np.asarray(Image.open(path), np.float32) / 127.5 - 1
    return pixels[..., None] if pixels.ndim == 2 else pixels
