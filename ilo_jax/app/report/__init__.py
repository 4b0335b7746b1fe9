"""`report.html`: one look at a run, in one file that needs nothing else."""

import base64
import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ilo_jax.app.history import History
from ilo_jax.app.metrics import Row
from ilo_jax.files.images import encode_png, to_pillow

MOST = 500
"""Images that are shown; the others are in `metrics.csv`."""

_SIDE = 256  # larger pictures are reduced
_POINTS = 60  # of a curve, at most


@dataclasses.dataclass(frozen=True)
class Shown:
    """An image of the report.

    Attributes:
      row: its metrics.
      pictures: by label, truth and measurement among them where they are known.
      chosen: what `--auto` chose; None without.
    """

    row: Row
    pictures: Mapping[str, np.ndarray]
    chosen: Mapping[str, Any] | None = None


def report(
    title: str,
    settings: Mapping[str, Any],
    summary: Mapping[str, Any],
    images: Sequence[Shown],
    failed: Sequence[Row],
    history: History,
    notice: str,
) -> bytes:
    """The page: gallery, comparison of any two pictures of an image, a table that sorts, curves of
    loss and error with the ends of rounds, or of what `--auto` held out, the settings, and what
    failed and why.

    Args:
      images: at most `MOST` of those that `summary` counts.
    """
    import jinja2  # where a report is written only

    names = {image.row.name for image in images}
    data = {
        "curves": {_text(name): _thinned(c) for name, c in history.of(names).items()},
        "trials": {_text(i.row.name): i.chosen.get("trials", {}) for i in images if i.chosen},
        "ends": list(itertools.accumulate(settings.get("steps", ()))),
    }
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True
    )
    page = environment.get_template("page.html.j2").render(
        title=title,
        settings=json.dumps(settings, indent=2),
        summary=summary,
        images=[_described(image) for image in images],
        failed=[_named(row) for row in failed],
        omitted=summary["images"] - len(images),
        data=_in_script(data),
        notice=notice,
        style=(folder / "page.css").read_text(),
        script=(folder / "page.js").read_text(),
    )
    return page.encode(errors="replace")


def _described(image: Shown) -> dict[str, Any]:
    metrics = {
        "PSNR, dB": image.row.psnr_db,
        "SSIM": image.row.ssim,
        "MAE": image.row.mae,
        "NRMSE": image.row.nrmse,
        **({} if image.row.lpips is None else {"LPIPS": image.row.lpips}),
        "measurement error": image.row.measurement_mse,
        "seconds": image.row.seconds,
    }
    return _named(image.row) | {
        "metrics": {k: "" if v is None else f"{v:.4g}" for k, v in metrics.items()},
        "pictures": json.dumps({label: _address(p) for label, p in image.pictures.items()}),
        "chosen": "" if image.chosen is None else _chosen(image.chosen),
    }


def _chosen(choice: Mapping[str, Any]) -> str:
    """What `--auto` chose, in words."""
    rounds, error = choice["round"] + 1, choice["held_out_error"]
    parts = [
        f"chosen: {choice['method']}",
        f"{choice['steps']} steps in {rounds} round{'s' * (rounds > 1)}",
        *(f"l1 radius {radius:.4g}" for radius in choice["radii"]),
        "restarts: " + ", ".join(f"{n} {name}" for name, n in choice["restarts"].items()),
        "nothing held out" if error is None else f"error of what was held out {error:.4g}",
    ]
    return "; ".join(parts)


def _named(row: Row) -> dict[str, Any]:
    return {"name": _text(row.name), "status": _text(row.status)}


def _text(name: str) -> str:
    """Of a name that may have bytes that are no text."""
    return name.encode(errors="replace").decode()


def _in_script(data: Any) -> str:
    """JSON that ends no element of a page."""
    return json.dumps(data).replace("<", "\\u003c")


def _address(picture: np.ndarray) -> str:
    image = to_pillow(picture)
    if max(image.size) > _SIDE:
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()


def _thinned(curves: list[list[tuple[int, float, float]]]) -> list[list[list[float | None]]]:
    """With fewer points; JSON has no infinity."""
    found = []
    for curve in curves:
        stride = -(-len(curve) // _POINTS)
        kept = curve[::-1][::stride][::-1]
        found.append([[v if np.isfinite(v) else None for v in point] for point in kept])
    return found
