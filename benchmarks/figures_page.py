"""What `benchmarks.figures` draws and writes of its rows: figures, tables and the page."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import sna
from benchmarks.claims import AUTO, Verdict, best_of, markdown, verdicts
from benchmarks.classical import BASELINES
from benchmarks.drawing import (
    AXES,
    COLOURS,
    Picture,
    Point,
    curves,
    points,
    read_picture,
    sheet,
)
from benchmarks.methods import PANELS, Case, Row, mse_of, pose, psnr_db, psnr_of, read_rows

SHEET = """![Truth, measurement and reconstructions]({folder}/figure{figure}.png)

*The first two images, PSNR below each. {credit}*

{table}"""

TEMPLATE = Path(__file__).with_name("figures_page.md")

RADIOGRAPHS = """The images are real radiographs of patients whom the generator never saw. The data
set is not part of the repository; `benchmarks/quality.py` says what it is."""
OTHERS = """Images and generator are those of whoever made this page, who knows whether the
generator was trained on them."""
GREY = """They reconstruct one
channel, since the three of an image are equal, as the generator's are: a denoiser gets the mean
of three noisy channels, and circulant measurements of three channels are explained by one, so that
m / n = 50 % are more measurements than unknowns."""
COLOUR = """They reconstruct
each channel by itself; their weights were chosen on radiographs of 64 px."""
FRONTIER = """
## Figures 6 and 7: error against time

    python -m benchmarks.frontier --data chest_xray_64.npz --torch-python PYTHON --out docs/figures

Inversion of eight radiographs in one batch, 100 steps in each of ILO's four layers, on two idle
processor cores; compiling is not in the seconds. A point of ILO is the state after a layer, the
first of them CSGM's. PYTHON is an interpreter with PyTorch, in which `benchmarks/torch_loop.py`
does the same ([frontier.csv]({folder}/frontier.csv)).

![MSE and LPIPS by elapsed seconds]({folder}/frontier.png)

More steps hardly help CSGM; a second layer for the same time divides its error by five. The paper
says of faces that ILO finds better images in fewer steps in all.
"""


class Subject(NamedTuple):
    """Whose images they are.

    Attributes:
      radiographs: whether they are those of the data set that the docs are of.
      grey: whether all channels are equal.
      credit: what is said below every picture.
    """

    radiographs: bool
    grey: bool
    credit: str


CASES = {
    **{name: case for panel in PANELS.values() for name, case in panel.items()},
    "inpaint box": Case("inpaint", {"box": 24}),
    "denoise 30": sna.CASE,
}
CURVES = (*COLOURS, *BASELINES)

PICTURES = {
    1: ("inpaint box", "inpaint 10 %", "inpaint 5 %", "inpaint 1 %"),
    3: ("denoise 25", "denoise 100", "compress 5 %", "compress 2 %"),
    4: ("superres 4x", "superres 8x", "superres 16x"),
}
SHOWN = 2  # the first images of the test set, whatever they look like
COLUMNS = ("CSGM", "PULSE", "ILO", AUTO)


def picture_file(out: Path, case: str, variant: str, image: int) -> Path:
    """Of a reconstruction that is shown."""
    name = re.sub("[^a-z0-9]+", "-", f"{case} {variant} {image}".lower())
    return out / "images" / f"{name}.png"


def pictures(out: Path, rows: Sequence[Row], truth: jax.Array, figure: int) -> list[Picture]:
    """Of the cases that are measured."""
    found = []
    for case in PICTURES[figure]:
        best = best_of(rows, case, tuple(BASELINES))
        columns = {**{v: v for v in COLUMNS}, "classical": best}
        if best is None or not all(
            mse_of(rows, case, variant) and picture_file(out, case, variant, 0).exists()
            for variant in (*COLUMNS, best)
        ):
            continue
        operator, measurement, _ = pose(CASES[case], truth, 0)
        measured = np.asarray(operator.picture(measurement))
        for i in range(min(SHOWN, len(truth))):
            results = {
                column: _shown(picture_file(out, case, str(variant), i), truth[i])
                for column, variant in columns.items()
            }
            found.append(Picture(case, np.asarray(truth[i]), measured[i], results, best))
    return found


def _shown(path: Path, truth: jax.Array) -> tuple[np.ndarray, float]:
    """A picture, and its PSNR in dB."""
    image = read_picture(path)
    return image, float(psnr_db(image, truth))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table of a figure."""
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def draw(out: Path, truth: jax.Array, subject: Subject) -> str:
    """Writes figures and tables into the folder; the page."""
    rows = read_rows(out / "rows.csv")
    found = points(rows, CURVES)
    curves(found).savefig(out / "figure2.png", dpi=130)
    write_csv(out / "figure2.csv", Point._fields, found)
    claims = verdicts(rows)
    write_csv(out / "claims.csv", Verdict._fields, claims)
    sheets = {}
    for figure in PICTURES:
        shown = pictures(out, rows, truth, figure)
        if shown:
            sheet(shown, subject.credit).save(out / f"figure{figure}.png")
            header = ("measured", *COLUMNS, "best classical", "method")
            lines = [
                (p.case, *(f"{psnr:.2f}" for _, psnr in p.found.values()), p.classical)
                for p in shown
            ]
            write_csv(out / f"figure{figure}.csv", header, lines)
            sheets[figure] = SHEET.format(
                folder=out.name,
                figure=figure,
                credit=subject.credit,
                table=table(header, lines),
            )
    table_1 = sna_lines(rows)
    write_csv(out / "table1.csv", ("variant", "without_sna_db", "with_sna_db"), table_1)
    counts = {p.images for p in found}
    images = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(max(counts, default=0))
    by: dict[str, dict[str, None]] = {}
    for row in rows:
        by.setdefault(row.device, {})[row.commit] = None
    return TEMPLATE.read_text().format(
        provenance="; ".join(f"{device} at {', '.join(commits)}" for device, commits in by.items()),
        whose=RADIOGRAPHS if subject.radiographs else OTHERS,
        title=", from real radiographs" if subject.radiographs else "",
        credit=subject.credit,
        channels=GREY if subject.grey else COLOUR,
        size=truth.shape[1],
        frontier=FRONTIER.format(folder=out.name) if (out / "frontier.png").exists() else "",
        folder=out.name,
        images=f"{images} images and seeds a point",
        claims=markdown(claims),
        figure2="\n\n".join(
            f"**{AXES[panel][0]}**\n\n{panel_table(rows, found, panel)}"
            for panel in dict.fromkeys(p.panel for p in found)
        ),
        sna="\n".join([sna.HEADER, *(sna.line(*line) for line in table_1)]),
        **{f"figure{f}": sheets.get(f, "Not measured yet.") for f in PICTURES},
    )


def sna_lines(rows: Sequence[Row]) -> list[tuple[str, float, float]]:
    """Of Table 1: variant, mean PSNR without and with SNA."""
    lines = []
    for name in sna.NAMES:
        without, with_sna = (
            psnr_of(rows, "denoise 30", f"{name}, {w} SNA") for w in ("without", "with")
        )
        if without.size and with_sna.size:
            lines.append((name, float(without.mean()), float(with_sna.mean())))
    return lines


def panel_table(rows: Sequence[Row], found: Sequence[Point], panel: str) -> str:
    """Mean and standard error, a row a variant, the least of a column in bold."""
    mine = [p for p in found if p.panel == panel]
    levels = sorted({p.level for p in mine})
    of_level = {p.level: best_of(rows, p.case, CURVES) for p in mine}
    lines = []
    for variant in dict.fromkeys(p.variant for p in mine):
        cells = {
            p.level: f"{p.mse:.3g} ± {p.standard_error:.2g}" for p in mine if p.variant == variant
        }
        best = {level for level, name in of_level.items() if name == variant}
        shown = [f"**{cells[n]}**" if n in best else cells.get(n, "") for n in levels]
        lines.append((variant, *shown))
    return table((AXES[panel][1], *(f"{level:g}" for level in levels)), lines)


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    rule = ("---",) * len(header)
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines))
