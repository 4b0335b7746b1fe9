"""Every method on every task, on held-out radiographs, at the same seed and number of steps.

    python -m benchmarks.methods --data chest_xray_64.npz --out docs/methods.csv

One row an image goes to the CSV file; what is there already is not done again. The data set is
not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse
import csv
import dataclasses
import functools
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from benchmarks.levels import padded
from ilo_jax.app.tasks import TASKS
from ilo_jax.files.find import find_images
from ilo_jax.files.images import from_uint8, read_image, to_uint8
from ilo_jax.ops import Measurement, Operator
from ilo_jax.priors import Prior
from ilo_jax.solve import PRESETS, TERMS, Auto, Choice, Method, reconstruct_auto
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.stylegan2 import StyleGAN2

STEPS = 200

SWEEP_BATCH = 128
"""Runs in a program of many methods."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the table: a task, and its options for images of 64 px a side (`at_size`)."""

    task: str
    options: Mapping[str, Any]

    def at_size(self, size: int) -> Mapping[str, Any]:
        """Its options for images of `size` px a side: a box grows with them."""
        return {k: v * size // 64 if k == "box" else v for k, v in self.options.items()}

    def perceptual(self, size: int) -> str | None:
        """The name of LPIPS among the terms; None where it is not defined: measurements that are
        no images, or are smaller than 16 px."""
        match self.task:
            case "inpaint":
                return "lpips_filled"
            case "denoise":
                return "lpips"
            case "superres" if size // self.options["factor"] >= 16:
                return "lpips"
        return None


PANELS = {
    "inpaint": {
        f"inpaint {p} %": Case("inpaint", {"observed": p / 100}) for p in (1, 5, 10, 25, 50, 100)
    },
    "denoise": {
        f"denoise {s}": Case("denoise", {"sigma": float(s)}) for s in (5, 10, 25, 50, 100, 256)
    },
    "superres": {f"superres {f}x": Case("superres", {"factor": f}) for f in (2, 4, 8, 16, 32)},
    "compress": {
        f"compress {p} %": Case("compress", {"measurements": p / 100})
        for p in (1, 2, 5, 10, 25, 50)
    },
}
"""The paper's Figure 2: by task, its levels."""

_IN_TABLE = (
    *(f"inpaint {p} %" for p in (5, 10, 25, 50, 100)),
    "denoise 25",
    *(f"superres {f}x" for f in (4, 8, 16)),
    *(f"compress {p} %" for p in (5, 10)),
)
CASES = {
    name: case for panel in PANELS.values() for name, case in panel.items() if name in _IN_TABLE
}
"""Those of the table of every method."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """A preset, and what of it is set otherwise than by default.

    Attributes:
      options: `steps`, and `radii` where they are not the preset's.
      weights: of the terms of the objective, by name; none for the preset's objective.
    """

    preset: str
    options: Mapping[str, Any]
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)


QUARTER, HALF = STEPS // 4, STEPS // 2
BOTH = {"mse": 1.0, "lpips": 1.0, "geocross": 0.001}
LPIPS = {**BOTH, "mse": 0.0}  # the same program
VARIANTS = {
    "CSGM": Variant("csgm", {"steps": [STEPS]}),
    "CSGM, LPIPS": Variant("csgm", {"steps": [STEPS]}, LPIPS),
    "CSGM, both": Variant("csgm", {"steps": [STEPS]}, BOTH),
    "PULSE": Variant("pulse", {"steps": [STEPS]}),
    "Dhar et al.": Variant("dhar", {"steps": [HALF, HALF]}),
    "projector": Variant("projector", {"steps": [STEPS]}, {"lpips": 1.0, "noise_correlation": 1e5}),
    "ILO": Variant("ilo", {"steps": [QUARTER] * 4}),
    "ILO, from the mean": Variant("ilo-mean", {"steps": [QUARTER] * 4}),
    "ILO, no balls": Variant("ilo", {"steps": [QUARTER] * 4, "radii": float("inf")}),
    "ILO, both": Variant("ilo", {"steps": [QUARTER] * 4}, BOTH),
    "Algorithm 1": Variant("ilo-range", {"steps": [QUARTER, 30, 20, 30, 20, 30, 20]}),
}
"""The same in every case but where LPIPS is not defined: there the projector uses MSE, and variants
with LPIPS are left out."""

Solver = Callable[[Case, Operator, Measurement, jax.Array], jax.typing.ArrayLike]
"""`(case, operator, measurement, keys) -> images`: a batch `[B, H, W, C]`, a key an image."""


class Row(NamedTuple):
    """Of the CSV file; `seconds` are the batch's, divided by its images.

    Attributes:
      device, commit: what measured it, and of which state of the code.
    """

    case: str
    variant: str
    seed: int
    image: int
    psnr_db: float
    measurement_mse: float
    seconds: float
    device: str
    commit: str


def choose(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    keys: jax.Array,
    method: Method,
    auto: Auto,
) -> Choice:
    """The automatic choice, in programs that leave room for other processes on a device."""
    size = min(SWEEP_BATCH, auto.restarts * len(keys))
    return reconstruct_auto(prior, operator, measurement, keys, method, auto, batch_size=size)


@functools.cache
def device_and_commit() -> tuple[str, str]:
    """For rows: the kind of device, and the commit of the checkout, with `+` where files that are
    under version control differ from it. Where there is no history, as on a machine that files were
    copied to, `ILO_JAX_COMMIT` says the commit."""
    (device, *others) = jax.local_devices()
    kind = f"{os.cpu_count()} CPU cores" if device.platform == "cpu" else device.device_kind
    if others and device.platform != "cpu":
        kind = f"{1 + len(others)} {kind}"
    if "ILO_JAX_COMMIT" in os.environ:
        return kind, os.environ["ILO_JAX_COMMIT"]
    changed = _git("diff", "HEAD", "--name-only", "--", "*.py")
    return kind, _git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _git(*words: str) -> str:
    """What git says of the checkout."""
    root = Path(__file__).parent
    said = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return said.stdout.strip()


@functools.cache
def prior() -> StyleGAN2:
    """The embedded generator."""
    return ilo_jax.load("chest64")


def is_defined(prior: Prior, case: Case, variant: Variant) -> bool:
    """Whether a variant is anything in a case."""
    has_lpips = "lpips" in variant.weights and variant.preset != "projector"
    return case.perceptual(prior.image_shape[0]) is not None or not has_lpips


def method_of(prior: Prior, case: Case, variant: Variant, sna: bool | None = None) -> Method:
    """With SNA by the task if None."""
    options = dict(variant.options)
    if variant.weights:
        names = {"lpips": case.perceptual(prior.image_shape[0]) or "mse"}
        terms = (w * TERMS[names.get(n, n)]() for n, w in variant.weights.items())
        options["objective"] = functools.reduce(lambda a, b: a + b, terms)
    return PRESETS[variant.preset].make(prior, **options, sna=sna)


def shared(prior: Prior, method: Method) -> Method:
    """With the rounds and cuts of all variants, so that those with one objective share a
    program."""
    cuts = (*prior.usual_cuts[:3], prior.depth)
    return method.with_cuts(cuts).padded(max(4, method.rounds)).with_growth()


def solver(prior: Prior, case: Case, variant: Variant, sna: bool | None = None) -> Solver | None:
    """The solver of a cell of the table; None where there is none.

    Args:
      sna: by the task if None.
    """
    if not is_defined(prior, case, variant):
        return None
    return functools.partial(_solve, prior, variant, sna)


def _solve(
    prior: Prior,
    variant: Variant,
    sna: bool | None,
    case: Case,
    operator: Operator,
    measurement: Measurement,
    keys: jax.Array,
) -> jax.Array:
    method = shared(prior, method_of(prior, case, variant, sna))
    mesh = batch_mesh(len(keys))
    if "lpips" not in variant.weights:  # which compares whole measurements
        operator, measurement = padded(operator, measurement)
    return ilo_jax.reconstruct(prior, operator, measurement, keys, method, mesh=mesh).image


class Problem(NamedTuple):
    """What is measured of a batch of images, and a key for each."""

    operator: Operator
    measurement: Measurement
    keys: jax.Array


def pose(case: Case, truth: jax.Array, seed: int) -> Problem:
    """Measures `truth`, `[B, H, W, C]`; the same for every solver."""
    k_operator, k_noise, k_solve = jax.random.split(jax.random.key(seed), 3)
    options = case.at_size(truth.shape[1])
    operator = TASKS[case.task].build(k_operator, truth.shape[1:], **options)
    keys = jax.random.split(k_solve, len(truth))
    return Problem(operator, operator.measure(k_noise, truth), keys)


class Reconstruction(NamedTuple):
    """Of a batch, one an image.

    Attributes:
      image: `[B, H, W, C]` in [-1, 1].
      psnr_db, measurement_mse: `[B]`.
      seconds: an image.
    """

    image: np.ndarray
    psnr_db: np.ndarray
    measurement_mse: np.ndarray
    seconds: float


def reconstruct(
    case: Case, solver: Solver, truth: jax.Array, seed: int, chosen: Sequence[int] | None = None
) -> Reconstruction:
    """Measures `truth`, `[B, H, W, C]`, and reconstructs the images chosen, by default all."""
    indices = np.arange(len(truth)) if chosen is None else np.array(chosen)
    problem = pose(case, truth, seed)
    operator, truth = problem.operator, truth[indices]
    measurement, keys = jax.tree.map(lambda a: a[indices], problem[1:])
    began = time.perf_counter()
    image = solver(case, operator, measurement, keys)
    image = jnp.clip(jax.block_until_ready(jnp.asarray(image)), -1, 1)
    seconds = (time.perf_counter() - began) / len(truth)
    errors = jax.vmap(operator.error)(operator(image), measurement)
    return Reconstruction(
        np.asarray(image), np.asarray(psnr_db(image, truth)), np.asarray(errors), seconds
    )


def psnr_db(image: jax.typing.ArrayLike, truth: jax.Array) -> jax.Array:
    """`[...]`, in dB, of images `[..., H, W, C]` in [-1, 1]."""
    return 10 * jnp.log10(4 / jnp.mean((jnp.asarray(image) - truth) ** 2, (-3, -2, -1)))


def rows_of(
    case: str, variant: str, seed: int, images: Iterable[int], found: Reconstruction
) -> list[Row]:
    """Rows of the CSV file."""
    return [
        Row(case, variant, seed, i, float(psnr), float(error), found.seconds, *device_and_commit())
        for i, psnr, error in zip(images, found.psnr_db, found.measurement_mse, strict=True)
    ]


def read_rows(path: Path) -> list[Row]:
    """Of a CSV file; none where there is no file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [
            Row(case, variant, int(seed), int(image), float(psnr), float(error), float(s), *by)
            for case, variant, seed, image, psnr, error, s, *by in list(csv.reader(file))[1:]
        ]


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """To a CSV file, which is begun where there is none."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(Row._fields)
        writer.writerows(rows)


def mse_of(rows: Iterable[Row], case: str, variant: str) -> dict[tuple[int, int], float]:
    """Of a cell, by seed and image; of images in [-1, 1]."""
    return {
        (r.seed, r.image): 4 * 10 ** (-r.psnr_db / 10)
        for r in rows
        if (r.case, r.variant) == (case, variant)
    }


def psnr_of(rows: Iterable[Row], case: str, variant: str) -> np.ndarray:
    """Of all images and seeds of a cell, in dB."""
    return np.array([r.psnr_db for r in rows if (r.case, r.variant) == (case, variant)])


def add_images(parser: argparse.ArgumentParser) -> None:
    """`--data` or `--images`, `--generator` and `--count`, which `images_of` reads."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help=".npz with `test`, uint8 [N, 64, 64]")
    source.add_argument("--images", nargs="+", help="image files or folders")
    parser.add_argument("--generator", default="chest64")
    parser.add_argument("--count", type=int, help="of images (default: 64 on a GPU, 8 on a CPU)")


def images_of(args: argparse.Namespace, prior: Prior) -> tuple[list[str], np.ndarray]:
    """Names, and truths `[B, H, W, C]` in [-1, 1] as 8 bits have them."""
    count = args.count or (8 if jax.default_backend() == "cpu" else 64)
    if args.data is not None:
        truth = np.asarray(held_out(args.data, count))
        return [str(i) for i in range(len(truth))], truth
    files = find_images(args.images)[:count]
    truth = np.stack([read_image(file, prior.image_shape)[0] for file in files])
    return [file.stem for file in files], from_uint8(to_uint8(truth))


def held_out(path: str, images: int) -> jax.Array:
    """The first images of `test`: `[images, 64, 64, 3]` in [-1, 1]."""
    return as_images(np.load(path)["test"][:images])


def trained_on(path: str, images: int) -> jax.Array:
    """Some of `train`, evenly spaced: `[images, 64, 64, 3]` in [-1, 1]."""
    pixels = np.load(path)["train"]
    return as_images(pixels[:: len(pixels) // images][:images])


def as_images(pixels: np.ndarray) -> jax.Array:
    """uint8 `[N, 64, 64]` -> `[N, 64, 64, 3]` in [-1, 1]."""
    return jnp.asarray(np.repeat(from_uint8(pixels)[..., None], 3, -1))


def markdown(rows: list[Row]) -> str:
    """Mean PSNR of every cell, the best of a row in bold, and by how much ILO beats CSGM."""
    header = [*VARIANTS, "MSE, CSGM / ILO"]
    lines = ["| task | " + " | ".join(header) + " |", "|---" * (len(header) + 1) + "|"]
    for case in CASES:
        psnr = {v: psnr_of(rows, case, v) for v in VARIANTS}
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
    rows = read_rows(args.out)
    for _, cases in itertools.groupby(args.cases, lambda case: CASES[case].task):
        for case, variant in itertools.product(cases, args.variants):
            by = solver(prior(), CASES[case], VARIANTS[variant])
            if by is None or mse_of(rows, case, variant):
                continue
            found = reconstruct(CASES[case], by, truth, args.seed)
            new = rows_of(case, variant, args.seed, range(args.images), found)
            append_rows(args.out, new)
            rows += new
            print(f"{case}, {variant}: {found.psnr_db.mean():.2f} dB", flush=True)
        jax.clear_caches()  # the programs of all tasks are more than a process may hold
    print(markdown(rows))


if __name__ == "__main__":
    main()
