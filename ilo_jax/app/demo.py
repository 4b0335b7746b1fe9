"""The demo: the first tasks on the bundled images, CSGM beside ILO at the same number of steps."""

import dataclasses
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.reconstruct import reconstruct
from ilo_jax.app.run import Run
from ilo_jax.app.samples import tiles_of
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
_IMAGES = 8
_SHOWN = 2


def demo(out: Path, seed: int, console: Console) -> None:
    """Runs the demo into `out`, and prints a table and where the contact sheet lies.

    Raises:
      InputError: `out` cannot be used.
    """
    prior = load(EMBEDDED_DEFAULT)
    paths = find_images([str(SAMPLES)])[:_IMAGES]
    table = Table(title=f"PSNR in dB, mean over {len(paths)} images")
    for column in ("task", "CSGM", "ILO", "MSE of CSGM / ILO"):
        table.add_column(column, justify="left" if column == "task" else "right")
    rows: list[list[Tile]] = []
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
        for path in paths[:_SHOWN]:
            found = [(r.image(path.stem), r.finished()[path.stem]) for r in finished]
            truth, *others = tiles_of(runs["ilo"], path, found)
            rows.append([Tile(truth.image, task.name), *others])
    notice = prior.facts.notice
    sheet = contact_sheet(["truth", "measurement", "CSGM", "ILO"], rows, notice)
    write_atomically(out / "contact_sheet.png", encode_png(sheet))
    printer = Console(highlight=False)
    printer.print(table)
    if notice:
        printer.print(notice)
    printer.print(f"contact sheet: {out / 'contact_sheet.png'}", soft_wrap=True)


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
