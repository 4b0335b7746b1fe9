"""The paper's Figures 1 to 4, its Table 1 and its claims, from real radiographs.

    python -m benchmarks.figures --data chest_xray_64.npz --out docs/figures
    python -m benchmarks.figures --images faces/ --generator ffhq --out figures --batch 4

Measures what is not in `OUT/rows.csv` yet, a row an image, cheap cells first, then draws what
there is: PNG and CSV files in the folder, and the page `OUT.md` beside it. `--draw` draws only.
`--jobs` cells are measured side by side, so that on a machine with many cores one compiles while
others run. The data set is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp

from benchmarks import auto, classical, methods, sna
from benchmarks.claims import AUTO, GENERATIVE
from benchmarks.classical import BASELINES
from benchmarks.drawing import ATTRIBUTION, COLOURS
from benchmarks.figures_page import CASES, PICTURES, SHOWN, Subject, draw, picture_file
from benchmarks.methods import (
    PANELS,
    STEPS,
    VARIANTS,
    Case,
    Reconstruction,
    Solver,
    Variant,
    add_images,
    append_rows,
    images_of,
    mse_of,
    read_rows,
    reconstruct,
    rows_of,
)
from ilo_jax.app.cli import start_quickly
from ilo_jax.errors import InputError
from ilo_jax.files import generators
from ilo_jax.files.images import write_png
from ilo_jax.priors import Prior

LONGER = {f"CSGM, {n} steps": Variant("csgm", {"steps": [n]}) for n in (300, 1000)}

SMOKE_CASE = "inpaint 5 %"


def solvers(prior: Prior, steps: int) -> dict[str, Callable[[Case], Solver | None]]:
    """By variant: its solver in a case, None where there is none. A further curve is one row here
    and one of `drawing.COLOURS`.

    Args:
      steps: of the variants that have 200 in the figures; the others' change with it.
    """
    by_steps = {
        name: dataclasses.replace(
            variant,
            options={
                **variant.options,
                "steps": [max(2, n * steps // STEPS) for n in variant.options["steps"]],
            },
        )
        for name, variant in {**VARIANTS, **LONGER}.items()
    }

    def method(name: str, added: bool | None = None) -> Callable[[Case], Solver | None]:
        return lambda case: methods.solver(prior, case, by_steps[name], sna=added)

    def baseline(name: str) -> Callable[[Case], Solver | None]:
        return lambda case: classical.solver(prior, name, case)

    return {
        **{name: baseline(name) for name in BASELINES},
        **{name: method(name) for name in ("ILO", *GENERATIVE, *LONGER)},
        AUTO: lambda _: auto.solver(prior, by_steps["ILO"]),
        **{
            f"{name}, {word} SNA": method(name, added)
            for name in sna.NAMES
            for word, added in (("without", False), ("with", True))
        },
    }


def cells() -> list[tuple[str, str]]:
    """Cases and variants, in order of worth for their cost."""
    levels = [case for case in CASES if case != "denoise 30"]
    late = ("CSGM, both", "CSGM, LPIPS")
    early = [variant for variant in COLOURS if variant not in late]
    table_1 = [
        ("denoise 30", f"{n}, {word} SNA") for n in sna.NAMES for word in ("without", "with")
    ]
    return [
        *((case, variant) for case in levels for variant in BASELINES),
        *((case, variant) for case in levels for variant in early),
        *(cell for cell in table_1 if "both" not in cell[1]),
        *(("inpaint 100 %", variant) for variant in LONGER),
        *((case, variant) for case in levels for variant in late),
        *(cell for cell in table_1 if "both" in cell[1]),
    ]


def measure(
    out: Path,
    prior: Prior,
    truth: jax.Array,
    wanted: Iterable[tuple[str, str]],
    *,
    seeds: int = 1,
    steps: int = STEPS,
    batch: int | None = None,
    jobs: int = 1,
) -> None:
    """Appends to `rows.csv` what it lacks of the cells, and keeps the pictures that are shown.

    Args:
      seeds: how many, from 0 on; each has its own masks, noise and starts.
      batch: images at a time; all if None.
      jobs: cells that are measured side by side.
    """
    table, lock = solvers(prior, steps), threading.Lock()

    def cell(named: tuple[str, str]) -> None:
        case, variant = named
        solver = table[variant](CASES[case])
        if solver is None:
            return
        for seed in range(seeds):
            with lock:
                lacking = _lacking(out, len(truth), seed, case, variant)
            size = batch or len(truth)
            for begin in range(0, len(lacking), size):
                chosen = lacking[begin : begin + size]
                found = reconstruct(CASES[case], solver, truth, seed, chosen)
                with lock:
                    _keep(out, prior.facts.grey, seed, case, variant, chosen, found)

    with ThreadPoolExecutor(jobs) as pool:
        for _, of_task in itertools.groupby(wanted, lambda named: CASES[named[0]].task):
            for _ in pool.map(cell, of_task):  # raises what a cell has raised
                pass
            jax.clear_caches()  # the programs of all tasks are more than a process may hold


def _shown(case: str, seed: int) -> range:
    """Images whose reconstructions are in a figure."""
    is_shown = seed == 0 and any(case in cases for cases in PICTURES.values())
    return range(SHOWN if is_shown else 0)


def _lacking(out: Path, images: int, seed: int, case: str, variant: str) -> list[int]:
    """Images without a row, or without the picture that is shown."""
    done = mse_of(read_rows(out / "rows.csv"), case, variant)
    return [
        i
        for i in range(images)
        if (seed, i) not in done
        or (i in _shown(case, seed) and not picture_file(out, case, variant, i).exists())
    ]


def _keep(
    out: Path,
    grey: bool,
    seed: int,
    case: str,
    variant: str,
    images: Sequence[int],
    found: Reconstruction,
) -> None:
    for i, image in zip(images, found.image, strict=True):
        if i in _shown(case, seed):
            write_png(picture_file(out, case, variant, i), image[..., :1] if grey else image)
    done = mse_of(read_rows(out / "rows.csv"), case, variant)
    rows = rows_of(case, variant, seed, images, found)
    append_rows(out / "rows.csv", [r for r in rows if (seed, r.image) not in done])
    print(f"{case}, {variant}: {found.psnr_db.mean():.2f} dB, {found.seconds:.1f} s", flush=True)


def expect_generator(out: Path, generator: str = "chest64") -> None:
    """Rows are of one generator, whose digest is noted in the folder.

    Raises:
      InputError: the rows are another's.
    """
    note = out / "generator.txt"
    digest = generators.digest_of(generator)
    if not note.exists():
        note.write_text(f"{digest}\n")
    elif note.read_text().strip() != digest:
        raise InputError(f"{out}: rows of another generator; expected another --out")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_images(parser)
    parser.add_argument("--out", required=True, type=Path, help="folder")
    parser.add_argument("--credit", default="", help="a line below the pictures of your images")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--batch", type=int, help="images at a time (default: all)")
    parser.add_argument("--jobs", type=int, default=1, help="cells side by side")
    names = sorted({variant for _, variant in cells()})
    parser.add_argument("--variants", nargs="+", choices=names, default=names)
    parser.add_argument("--tasks", nargs="+", choices=PANELS, default=list(PANELS))
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--draw", action="store_true", help="measure nothing")
    only.add_argument("--smoke", action="store_true", help="OUT/smoke: 2 images, 8 steps, one case")
    args = parser.parse_args()

    out = args.out / "smoke" if args.smoke else args.out
    if args.smoke:
        args.count = 2
    start_quickly()  # the levels of a task share their programs
    if args.smoke:  # eight steps are over before a program is compiled
        jax.config.update("jax_disable_most_optimizations", True)
    wanted = [
        (case, variant)
        for case, variant in cells()
        if variant in args.variants and CASES[case].task in args.tasks
    ]
    if args.smoke:
        wanted = [c for c in wanted if c[0] == SMOKE_CASE]
    (out / "images").mkdir(parents=True, exist_ok=True)
    if not args.draw:
        expect_generator(out, args.generator)
    prior = generators.load(args.generator)
    truth = jnp.asarray(images_of(args, prior)[1])
    if not args.draw:
        measure(
            *(out, prior, truth, wanted),
            seeds=args.seeds,
            steps=8 if args.smoke else STEPS,
            batch=args.batch,
            jobs=args.jobs,
        )
    page = out.with_name(f"{out.name}.md")
    credit = ATTRIBUTION if args.data else " ".join(filter(None, (args.credit, prior.facts.notice)))
    page.write_text(draw(out, truth, Subject(bool(args.data), prior.facts.grey, credit)))
    print(page)


if __name__ == "__main__":
    main()
