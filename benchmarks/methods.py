"""Every method on every task, on held-out radiographs, at the same seed and number of steps.

    python -m benchmarks.methods --data chest_xray_64.npz --out docs/methods.csv

One row an image goes to the CSV file; what is there already is not done again. The data set is
not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse
import csv
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.ops import TASKS
from ilo_jax.solve import METHODS, solve
from ilo_jax.solve.images import from_uint8
from ilo_jax.solve.loop import batch_mesh
from ilo_jax.stylegan2 import load

STEPS = 200


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
      perceptual: the name of LPIPS among the losses; None where it is not defined.
    """

    task: str
    options: Mapping[str, Any]
    perceptual: str | None = None


CASES = {
    "inpaint 5 %": Case("inpaint", {"observed": 0.05}, "lpips_filled"),
    "inpaint 10 %": Case("inpaint", {"observed": 0.1}, "lpips_filled"),
    "inpaint 25 %": Case("inpaint", {"observed": 0.25}, "lpips_filled"),
    "inpaint 50 %": Case("inpaint", {"observed": 0.5}, "lpips_filled"),
    "inpaint 100 %": Case("inpaint", {"observed": 1.0}, "lpips"),
    "denoise 25": Case("denoise", {"sigma": 25.0}, "lpips"),
    "superres 4x": Case("superres", {"factor": 4}, "lpips"),
    "superres 8x": Case("superres", {"factor": 8}),
    "superres 16x": Case("superres", {"factor": 16}),
    "compress 5 %": Case("compress", {"measurements": 0.05}),
    "compress 10 %": Case("compress", {"measurements": 0.1}),
}

QUARTER, HALF = STEPS // 4, STEPS // 2
RADII = [300.0, 100.0, 30.0]  # the best of five choices on six images of the training set
BOTH = {"mse": [1.0], "lpips": [1.0], "geocross": [0.001]}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "CSGM": ("csgm", {"steps": [STEPS]}),
    "CSGM, LPIPS": (
        "csgm",
        {"steps": [STEPS], "weights": {"lpips": [1.0], "geocross": [0.001]}},
    ),
    "CSGM, both": ("csgm", {"steps": [STEPS], "weights": BOTH}),
    "PULSE": ("pulse", {"steps": [STEPS]}),
    "Dhar et al.": ("dhar", {"steps": [HALF, HALF]}),
    "projector": ("projector", {"steps": [STEPS]}),
    "ILO": ("ilo", {"steps": [QUARTER] * 4, "radii": RADII}),
    "ILO, no balls": ("ilo", {"steps": [QUARTER] * 4}),
    "ILO, both": ("ilo", {"steps": [QUARTER] * 4, "radii": RADII, "weights": BOTH}),
    "Algorithm 1": ("ilo-range", {"steps": [QUARTER, 30, 20, 30, 20, 30, 20]}),
}
"""Method and its settings, the same in every case but where LPIPS is not defined: there the
projector uses MSE, and variants with LPIPS are left out."""

FIELDS = ("case", "variant", "image", "psnr_db", "measurement_mse", "seconds")


def settings(case: Case, variant: str) -> tuple[str, dict[str, Any]] | None:
    """Method and settings of a cell; None where there is none."""
    method, chosen = VARIANTS[variant]
    chosen = dict(chosen)
    weights = chosen.get("weights", {n: [w] for n, w in METHODS[method].weights.items()})
    if "lpips" in weights:
        if case.perceptual is None and method != "projector":
            return None
        name = case.perceptual or "mse"
        chosen["weights"] = {name if n == "lpips" else n: w for n, w in weights.items()}
    return method, chosen


class Scores(NamedTuple):
    """Of a run, one a image."""

    psnr_db: np.ndarray
    measurement_mse: np.ndarray
    seconds: float


def reconstruct(
    case: Case,
    method: str,
    chosen: Mapping[str, Any],
    truth: jax.Array,
    seed: int,
    sna: bool | None = None,
) -> Scores:
    """Measures `truth` and reconstructs it.

    Args:
      chosen: of `Method.plan`.
      truth: `[B, 64, 64, 3]`.
      sna: by the task if None.
    """
    generator, task = load("chest64"), TASKS[case.task]
    k_operator, k_noise, k_solve = jax.random.split(jax.random.key(seed), 3)
    operator = task.build(k_operator, generator.config.image_shape, **case.options)
    measurement = operator.measure(k_noise, truth)
    plan = METHODS[method].plan(generator.config, **chosen, sna=task.sna if sna is None else sna)
    began = time.perf_counter()
    image = solve(
        generator,
        operator,
        measurement,
        k_solve,
        plan.schedule,
        plan.hyper,
        losses=plan.losses,
        mesh=batch_mesh(len(truth)),
    )[-1].image
    image = jnp.clip(image, -1, 1)
    psnr = 10 * jnp.log10(4 / jnp.mean((image - truth) ** 2, (1, 2, 3)))
    errors = jax.vmap(operator.error)(operator(image), measurement)
    seconds = (time.perf_counter() - began) / len(truth)
    return Scores(np.asarray(psnr), np.asarray(errors), seconds)


def held_out(path: str, images: int) -> jax.Array:
    """The first images of `test`: `[images, 64, 64, 3]` in [-1, 1]."""
    pixels = np.load(path)["test"][:images]
    return jnp.asarray(np.repeat(from_uint8(pixels)[..., None], 3, -1))


def markdown(rows: list[dict[str, Any]]) -> str:
    """Mean PSNR of every cell, the best of a row in bold, and by how much ILO beats CSGM."""
    header = [*VARIANTS, "MSE, CSGM / ILO"]
    lines = ["| task | " + " | ".join(header) + " |", "|---" * (len(header) + 1) + "|"]
    for case in CASES:
        psnr = {
            v: np.array(
                [float(r["psnr_db"]) for r in rows if (r["case"], r["variant"]) == (case, v)]
            )
            for v in VARIANTS
        }
        found = {v: p.mean() for v, p in psnr.items() if p.size}
        best = max(found, key=lambda v: found[v], default=None)
        cells = [f"{found[v]:.2f}" if v in found else "" for v in VARIANTS]
        cells = [f"**{c}**" if v == best else c for v, c in zip(VARIANTS, cells, strict=True)]
        errors = [np.mean(10 ** (-psnr[v] / 10)) for v in ("CSGM", "ILO") if psnr[v].size]
        cells.append(f"{errors[0] / errors[1]:.2f}" if len(errors) == 2 else "")
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--out", required=True, type=Path, help="CSV file, a row an image")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    truth = held_out(args.data, args.images)
    if not args.out.exists():
        args.out.write_text(",".join(FIELDS) + "\n")
    with open(args.out, newline="") as file:
        rows = list(csv.DictReader(file))
    for case in args.cases:
        for variant in args.variants:
            if any((r["case"], r["variant"]) == (case, variant) for r in rows):
                continue
            chosen = settings(CASES[case], variant)
            if chosen is None:
                continue
            scores = reconstruct(CASES[case], *chosen, truth, args.seed)
            jax.clear_caches()  # a hundred cells' programs are more than a process may hold
            found = [
                (case, variant, i, float(psnr), float(error), scores.seconds)
                for i, (psnr, error) in enumerate(zip(*scores[:2], strict=True))
            ]
            with open(args.out, "a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(found)
            rows += [dict(zip(FIELDS, row, strict=True)) for row in found]
            print(f"{case}, {variant}: {scores.psnr_db.mean():.2f} dB", flush=True)
    print(markdown(rows))


if __name__ == "__main__":
    main()
