"""The demo: the first tasks on the bundled images, CSGM beside ILO at the same number of steps."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from ilo_jax.ops import TASKS
from ilo_jax.solve.contact_sheet import Tile, contact_sheet
from ilo_jax.solve.files import write_atomically
from ilo_jax.solve.images import encode_png, find_images
from ilo_jax.solve.progress import ProgressReporter
from ilo_jax.solve.results import Results
from ilo_jax.solve.run import reconstruct, tiles_of
from ilo_jax.solve.settings import Run, Settings
from ilo_jax.stylegan2 import EMBEDDED_DEFAULT, NOTICES, load

SAMPLES = Path(__file__).parent / "samples"
_STEPS = {"csgm": (150,), "ilo": (50, 50, 50)}
_IMAGES = 8
_SHOWN = 2


def demo(out: Path, seed: int, console: Console) -> None:
    """Runs the demo into `out`, and prints a table and where the contact sheet lies.

    Raises:
      InputError: `out` cannot be used.
    """
    generator = load(EMBEDDED_DEFAULT)
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
        runs = {
            method: Run.create(Settings(task.name, task.demo, method, seed, steps), generator, None)
            for method, steps in _STEPS.items()
        }
        for method, run in runs.items():
            folder = out / f"{task.name}-{method}"
            title = f"{task.name}, {method.upper()}: "
            with ProgressReporter(console, title) as reporter:
                outcome = reconstruct(run, paths, folder, reporter)
            assert outcome.summary is not None
            psnr[method] = outcome.summary["psnr_db"]["mean"]
            finished.append(Results.open(folder, run.settings.description()))
        ratio = 10 ** ((psnr["ilo"] - psnr["csgm"]) / 10)
        table.add_row(name, f"{psnr['csgm']:.2f}", f"{psnr['ilo']:.2f}", f"{ratio:.2f}")
        for path in paths[:_SHOWN]:
            found = [(r.image(path.stem), r.finished()[path.stem]) for r in finished]
            truth, *others = tiles_of(runs["ilo"], path, found)
            rows.append([Tile(truth.image, task.name), *others])
    sheet = contact_sheet(["truth", "measurement", "CSGM", "ILO"], rows, NOTICES[EMBEDDED_DEFAULT])
    write_atomically(out / "contact_sheet.png", encode_png(sheet))
    printer = Console(highlight=False)
    printer.print(table)
    printer.print(NOTICES[EMBEDDED_DEFAULT])
    printer.print(f"contact sheet: {out / 'contact_sheet.png'}", soft_wrap=True)
