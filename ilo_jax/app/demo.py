"""The demo: the first tasks on the bundled images, CSGM beside ILO at the same number of steps."""

import dataclasses
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.reconstruct import reconstruct
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
_STEPS = {"csgm": (150,), "ilo": (50, 50, 50)}
_IMAGES = 4
_SHOWN = 2
_LABELS = ("truth", "measurement", "CSGM", "ILO", "ILO's error")


def demo(out: Path, seed: int, console: Console) -> None:
    """Runs the demo into `out`, and prints a table and where the contact sheet lies, which is there
    from the first task on.

    Raises:
      InputError: `out` cannot be used.
    """
    prior = load(EMBEDDED_DEFAULT)
    paths = find_images([str(SAMPLES)])[:_IMAGES]
    table = Table(title=f"PSNR in dB, mean over {len(paths)} images")
    for column in ("task", "CSGM", "ILO", "MSE of CSGM / ILO"):
        table.add_column(column, justify="left" if column == "task" else "right")
    rows: list[list[list[Tile]]] = [[] for _ in range(_SHOWN)]
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
        ratio = 10 ** ((psnr["ilo"] - psnr["csgm"]) / 10)
        table.add_row(name, f"{psnr['csgm']:.2f}", f"{psnr['ilo']:.2f}", f"{ratio:.2f}")
        for path, of_image in zip(paths, rows, strict=False):
            found = [(r.image(path.stem), r.finished()[path.stem]) for r in finished]
            truth, *others = tiles_of(runs["ilo"], path, found)
            error = error_map(truth.image, found[-1][0])
            of_image.append([Tile(truth.image, task.name), *others, error])
        # A row a task: the images beside each other.
        drawn = contact_sheet(_LABELS, [row for of_image in rows for row in of_image], notice)
        if not sheet.exists():
            console.print(f"the first picture: {sheet}", soft_wrap=True)
        write_atomically(sheet, encode_png(drawn))
    printer.print(table)
    if notice:
        printer.print(notice)
    printer.print(f"contact sheet: {sheet}", soft_wrap=True)
    printer.print(f"reports: {out / '*' / 'report.html'}", soft_wrap=True)
    printer.print(
        "next, your images: ilo-jax superres --factor 4 --images photos/ --out results",
        soft_wrap=True,
    )


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
