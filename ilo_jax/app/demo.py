"""The demo: the paper's four tasks on the bundled images, CSGM beside ILO at the same number of
steps."""

import dataclasses
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.reconstruct import reconstruct
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run
from ilo_jax.app.samples import error_map, tiles_of
from ilo_jax.app.settings import Settings
from ilo_jax.app.tasks import TASKS, Task
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.contact_sheet import Tile, contact_sheet
from ilo_jax.files.find import find_images
from ilo_jax.files.generators import EMBEDDED_DEFAULT, load
from ilo_jax.files.images import encode_png
from ilo_jax.priors import Prior
from ilo_jax.solve import align

SAMPLES = Path(__file__).parent / "samples"
_STEPS = {"csgm": (120,), "ilo": (40, 40, 40)}
_IMAGES = 4
_SHOWN = 2
_LABELS = ("truth", "measurement", "CSGM", "ILO", "ILO's error")


def demo(out: Path, seed: int, console: Console) -> None:
    """Runs the demo into `out`, and prints a table and where the contact sheet lies, which is there
    from the first method's images on.

    Raises:
      InputError: `out` cannot be used.
    """
    prior = load(EMBEDDED_DEFAULT)
    paths = find_images([str(SAMPLES)])[:_IMAGES]
    table = Table(title=f"PSNR in dB, mean over {len(paths)} images")
    for column in ("task", "CSGM", "ILO", "MSE of CSGM / ILO"):
        table.add_column(column, justify="left" if column == "task" else "right")
    shown = paths[:_SHOWN]
    rows: dict[Path, list[list[Tile]]] = {path: [] for path in shown}
    sheet, notice, printer = out / "contact_sheet.png", prior.facts.notice, Console(highlight=False)
    for task in TASKS.values():
        if task.demo is None:
            continue
        name = " ".join([task.name, *(f"{k} {v:g}" for k, v in task.demo.items())])
        psnr, finished = {}, []
        runs = _runs(task, seed, prior)
        for method, run in runs.items():
            folder = out / f"{task.name}-{method}"
            title = f"{task.name}, {method.upper()}: "
            with ProgressReporter(console, title) as reporter:
                outcome = reconstruct(run, paths, folder, reporter)
            assert outcome.summary is not None
            psnr[method] = outcome.summary["psnr_db"]["mean"]
            finished.append(outcome.results)
            if not sheet.exists():
                first = [_row(task, run, path, finished) for path in shown]
                _draw(sheet, first, notice)
                console.print(f"the first picture: {sheet}", soft_wrap=True)
        ratio = 10 ** ((psnr["ilo"] - psnr["csgm"]) / 10)
        table.add_row(name, f"{psnr['csgm']:.2f}", f"{psnr['ilo']:.2f}", f"{ratio:.2f}")
        for path, of_image in rows.items():
            row = _row(task, runs["ilo"], path, finished)
            of_image.append([*row, error_map(row[0].image, row[-1].image)])
        # A row a task: the images beside each other.
        _draw(sheet, [row for of_image in rows.values() for row in of_image], notice)
    printer.print(table)
    if notice:
        printer.print(notice)
    printer.print(f"contact sheet: {sheet}", soft_wrap=True)
    printer.print(f"reports: {out / '*' / 'report.html'}", soft_wrap=True)
    printer.print(
        "next, your images: ilo-jax superres --factor 4 --images photos/ --out results",
        soft_wrap=True,
    )


def _row(task: Task, run: Run, path: Path, finished: list[Results]) -> list[Tile]:
    """Truth, measurement, and what methods have made of it."""
    found = [(results.image(path.stem), results.finished()[path.stem]) for results in finished]
    truth, *others = tiles_of(run, path, found)
    return [Tile(truth.image, task.name), *others]


def _draw(sheet: Path, rows: list[list[Tile]], notice: str) -> None:
    drawn = contact_sheet(_LABELS[: len(rows[0])], rows, notice)
    write_atomically(sheet, encode_png(drawn))


def _runs(task: Task, seed: int, prior: Prior) -> dict[str, Run]:
    """By method; all with the same cuts and rounds, so that they share a program."""
    runs = {
        method: Run.create(Settings(task.name, task.demo or {}, method, seed, steps), prior)
        for method, steps in _STEPS.items()
    }
    aligned = align([run.method for run in runs.values()])
    return {
        name: dataclasses.replace(run, method=method)
        for (name, run), method in zip(runs.items(), aligned, strict=True)
    }
