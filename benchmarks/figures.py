"""The paper's Figures 1 to 4, its Table 1 and its claims, from real radiographs.

    python -m benchmarks.figures --data chest_xray_64.npz --out docs/figures

Measures what is not in `OUT/rows.csv` yet, a row an image, cheap cells first, then draws what
there is: PNG and CSV files in the folder, and the page `OUT.md` beside it. `--draw` draws only. The
data set is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

import jax

from benchmarks import auto, classical, methods, sna
from benchmarks.claims import GENERATIVE
from benchmarks.classical import BASELINES
from benchmarks.drawing import COLOURS
from benchmarks.figures_page import CASES, PICTURES, SHOWN, draw, picture_file
from benchmarks.methods import (
    STEPS,
    VARIANTS,
    Case,
    Solver,
    Variant,
    append_rows,
    held_out,
    mse_of,
    read_rows,
    reconstruct,
    rows_of,
)
from ilo_jax.app.cli import start_quickly
from ilo_jax.errors import InputError
from ilo_jax.files.generators import digest_of
from ilo_jax.files.images import write_png

LONGER = {f"CSGM, {n} steps": Variant("csgm", {"steps": [n]}) for n in (300, 1000)}

SMOKE_CASE = "inpaint 5 %"


def solvers(steps: int) -> dict[str, Callable[[Case], Solver | None]]:
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
        return lambda case: methods.solver(case, by_steps[name], sna=added)

    def baseline(name: str) -> Callable[[Case], Solver | None]:
        return lambda case: classical.solver(name, case)

    return {
        **{name: baseline(name) for name in BASELINES},
        **{name: method(name) for name in ("ILO", *GENERATIVE, *LONGER)},
        auto.VARIANT: lambda _: auto.solver(by_steps["ILO"]),
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
    out: Path, truth: jax.Array, seed: int, wanted: Iterable[tuple[str, str]], steps: int
) -> None:
    """Appends to `rows.csv` what it lacks of the cells, and keeps the pictures that are shown."""
    table = solvers(steps)
    for _, of_task in itertools.groupby(wanted, lambda cell: CASES[cell[0]].task):
        for case, variant in of_task:
            solver = table[variant](CASES[case])
            if solver is not None:
                _measure_cell(out, truth, seed, case, variant, solver)
        jax.clear_caches()  # the programs of all tasks are more than a process may hold


def _measure_cell(
    out: Path, truth: jax.Array, seed: int, case: str, variant: str, solver: Solver
) -> None:
    done = mse_of(read_rows(out / "rows.csv"), case, variant)
    is_shown = seed == 0 and any(case in cases for cases in PICTURES.values())
    shown = range(SHOWN if is_shown else 0)
    lacking = [
        i
        for i in range(len(truth))
        if (seed, i) not in done
        or (i in shown and not picture_file(out, case, variant, i).exists())
    ]
    if not lacking:
        return
    found = reconstruct(CASES[case], solver, truth, seed, lacking)
    for i, image in zip(lacking, found.image, strict=True):
        if i in shown:
            write_png(picture_file(out, case, variant, i), image[..., :1])
    rows = rows_of(case, variant, seed, lacking, found)
    append_rows(out / "rows.csv", [r for r in rows if (seed, r.image) not in done])
    print(f"{case}, {variant}: {found.psnr_db.mean():.2f} dB, {found.seconds:.1f} s", flush=True)


def expect_generator(out: Path) -> None:
    """Rows are of one generator, whose digest is noted in the folder.

    Raises:
      InputError: the rows are another's.
    """
    note = out / "generator.txt"
    digest = digest_of("chest64")
    if not note.exists():
        note.write_text(f"{digest}\n")
    elif note.read_text().strip() != digest:
        raise InputError(f"{out}: rows of another generator; expected another --out")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--out", required=True, type=Path, help="folder")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1)
    names = sorted({variant for _, variant in cells()})
    parser.add_argument("--variants", nargs="+", choices=names, default=names)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--draw", action="store_true", help="measure nothing")
    only.add_argument("--smoke", action="store_true", help="OUT/smoke: 2 images, 8 steps, one case")
    args = parser.parse_args()

    out = args.out / "smoke" if args.smoke else args.out
    images, steps = (2, 8) if args.smoke else (args.images, STEPS)
    start_quickly()  # the levels of a task share their programs
    if args.smoke:  # eight steps are over before a program is compiled
        jax.config.update("jax_disable_most_optimizations", True)
    wanted = [c for c in cells() if c[1] in args.variants]
    if args.smoke:
        wanted = [c for c in wanted if c[0] == SMOKE_CASE]
    (out / "images").mkdir(parents=True, exist_ok=True)
    if not args.draw:
        expect_generator(out)
    truth = held_out(args.data, images)
    if not args.draw:
        for seed in range(args.seeds):
            measure(out, truth, seed, wanted, steps)
    page = out.with_name(f"{out.name}.md")
    page.write_text(draw(out, truth))
    print(page)


if __name__ == "__main__":
    main()
