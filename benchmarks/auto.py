"""The automatic choice against the best fixed setting, and whether the restarts' spread tells
where they are wrong.

    python -m benchmarks.auto --data chest_xray_64.npz --out docs/auto.csv

For every case: PSNR of each candidate in a plain run, of the one that is best with the truth known
and of the automatic choice at either effort; and rank correlations of spread and error, of pixels
within an image and of images. The data set is not part of the repository; `benchmarks/quality.py`
says what it is.
"""

import argparse
import csv
from collections.abc import Collection, Iterator
from pathlib import Path

import jax
import numpy as np
from scipy.stats import rankdata

from benchmarks.levels import padded
from benchmarks.methods import (
    CASES,
    SWEEP_BATCH,
    VARIANTS,
    Case,
    Solver,
    Variant,
    choose,
    held_out,
    method_of,
    pose,
    prior,
    psnr_db,
)
from ilo_jax.app.cli import start_quickly
from ilo_jax.ops import Measurement, Operator
from ilo_jax.priors import Prior
from ilo_jax.solve import EFFORTS, sweep
from ilo_jax.solve.candidates import CANDIDATES, candidates

FIELDS = ("case", "setting", "image", "psnr_db", "spread", "rank_correlation")
NAMES = {"full": "auto", "quick": "auto quick"}
"""Of efforts in the CSV file."""


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's."""
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def measure(
    name: str, case: Case, truth: jax.Array, seed: int, there: Collection[str]
) -> Iterator[list[tuple]]:
    """Rows of the CSV file, of the settings that are not there: first of all candidates."""
    method = method_of(prior(), case, VARIANTS["ILO"])
    operator, measurement, keys = pose(case, truth, seed)
    tried = candidates(prior(), method, tuple(CANDIDATES))
    if not {*tried} <= {*there}:
        runs = sweep(
            prior(), operator, measurement, keys, list(tried.values()), batch_size=SWEEP_BATCH
        )
        yield [
            (name, label, i, float(p), "", "")
            for label, image in zip(tried, runs.image[:, 0], strict=True)
            for i, p in enumerate(psnr_db(np.clip(image, -1, 1), truth))
        ]
    for effort, setting in NAMES.items():
        if setting in there:
            continue
        found = choose(prior(), operator, measurement, keys, method, EFFORTS[effort])
        wrong = np.abs(found.image - truth)
        ranks = [
            rank_correlation(spread.mean(-1), error.mean(-1))
            for spread, error in zip(found.spread, wrong, strict=True)
        ]
        psnr = psnr_db(found.image, truth)
        yield [
            (name, setting, i, float(psnr[i]), found.spread[i].mean(), rank)
            for i, rank in enumerate(ranks)
        ]
        print(f"  {effort}: {', '.join(found.method)}; rounds {found.round.tolist()}", flush=True)


def solver(prior: Prior, variant: Variant) -> Solver:
    """The automatic choice around a variant of ILO."""

    def solve(case: Case, operator: Operator, measurement: Measurement, keys: jax.Array):
        method = method_of(prior, case, variant)
        problem = padded(operator, measurement)
        return choose(prior, *problem, keys, method, EFFORTS["full"]).image

    return solve


def markdown(rows: list[dict[str, str]]) -> str:
    """A row a case."""
    lines = [
        "| task | images | default | best fixed, with the truth | `--auto` | over the best | "
        "`--auto quick` over `--auto` (images) | spread and error, images | pixels |",
        "|---" * 9 + "|",
    ]
    for case in dict.fromkeys(r["case"] for r in rows):
        mine = [r for r in rows if r["case"] == case]
        psnr = {
            setting: {r["image"]: float(r["psnr_db"]) for r in mine if r["setting"] == setting}
            for setting in dict.fromkeys(r["setting"] for r in mine)
        }
        if not {*NAMES.values()} <= psnr.keys():
            continue  # interrupted
        mean = {setting: np.mean(list(found.values())) for setting, found in psnr.items()}
        quick, full = (psnr[setting] for setting in ("auto quick", "auto"))
        both = quick.keys() & full.keys()
        less = np.mean([quick[i] - full[i] for i in both])
        by_auto = [r for r in mine if r["setting"] == "auto"]
        best = max(v for k, v in mean.items() if k not in NAMES.values())
        within = np.nanmean([float(r["rank_correlation"]) for r in by_auto])
        spread = [float(r["spread"]) for r in by_auto]
        error = [-float(r["psnr_db"]) for r in by_auto]
        lines.append(
            f"| {case} | {len(by_auto)} | {mean['as it is']:.2f} | {best:.2f} | "
            f"{mean['auto']:.2f} | {mean['auto'] - best:+.2f} | {less:+.2f} ({len(both)}) | "
            f"{rank_correlation(np.array(spread), np.array(error)):.2f} | {within:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--out", required=True, type=Path, help="CSV file, a row an image")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    start_quickly()
    truth = held_out(args.data, args.images)
    if not args.out.exists():
        args.out.write_text(",".join(FIELDS) + "\n")
    with open(args.out, newline="") as file:
        rows = list(csv.DictReader(file))
    for name in args.cases:
        there = {r["setting"] for r in rows if r["case"] == name}
        if {*CANDIDATES, *NAMES.values()} <= there:
            continue
        print(name, flush=True)
        for found in measure(name, CASES[name], truth, args.seed, there):
            with open(args.out, "a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(found)
            rows += [dict(zip(FIELDS, map(str, row), strict=True)) for row in found]
        jax.clear_caches()
    print(markdown(rows))


if __name__ == "__main__":
    main()
