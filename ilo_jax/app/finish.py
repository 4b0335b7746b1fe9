"""What is said of all images when the last is done: summary, contact sheet, report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ilo_jax.app.metrics import Row
from ilo_jax.app.report import MOST, Shown, report
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run
from ilo_jax.app.samples import error_map, tiles_of
from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.contact_sheet import MAX_ROWS, Tile


def finish(
    run: Run,
    paths: Sequence[Path],
    results: Results,
    say: Callable[[str], None],
    computed: bool,
) -> tuple[dict[str, Any] | None, list[Path]]:
    """Summary, contact sheet and report, and the files that failed.

    Args:
      say: gets a line on what cannot be shown.
      computed: whether there is anything new, without which a report is left as it is.

    Raises:
      InputError: something cannot be written.
    """
    rows, failed = results.finished(), results.failed()
    finished = [file for file in paths if file.stem in rows]
    without_image = [file for file in paths if file.stem in failed]
    if not finished:
        return None, without_image
    path = results.out / "report.html"
    writes_report = computed or not path.exists()
    wanted = finished[: MOST if writes_report else MAX_ROWS]
    shown = dict(_tiles(run, wanted, rows, results, say))
    labels = [] if run.settings.measured else ["truth"]
    labels += ["measurement", str(run.settings.method).upper()]
    labels += ["spread"] if run.restarts > 1 else []
    notice = run.prior.facts.notice
    summary = results.finish(labels, list(shown.values())[:MAX_ROWS], notice)
    if writes_report:
        images = [
            Shown(rows[name], _pictures(labels, tiles), results.choice(name))
            for name, tiles in shown.items()
        ]
        title = f"{run.settings.task}: {results.out.resolve().name}"
        page = report(
            title, results.run, summary, images, list(failed.values()), results.history, notice
        )
        write_atomically(path, page)
    return summary, without_image


def _tiles(
    run: Run,
    files: Sequence[Path],
    rows: Mapping[str, Row],
    results: Results,
    say: Callable[[str], None],
) -> Iterator[tuple[str, list[Tile]]]:
    """By name: truth (if there is one), measurement, result, and spread of restarts."""
    for file in files:
        name = file.stem
        try:
            tiles = tiles_of(run, file, [(results.image(name), rows[name])])
        except InputError as error:  # gone since it was measured
            say(f"not on the contact sheet: {error}")
            continue
        yield name, tiles + ([Tile(results.spread(name))] if run.restarts > 1 else [])


def _pictures(labels: Sequence[str], tiles: Sequence[Tile]) -> dict[str, np.ndarray]:
    """By label, and of a result whose truth is known its error."""
    pictures = {label: tile.image for label, tile in zip(labels, tiles, strict=True)}
    if "truth" in pictures:
        truth, _, result, *_ = pictures.values()
        pictures["error"] = error_map(truth, result).image
    return pictures
