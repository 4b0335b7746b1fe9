"""The benchmark of robust unsupervised restoration: 31 rows of degradations, every method.

    python -m benchmarks.restoration --data chest_xray_64.npz --out docs/restoration.csv
    python -m benchmarks.restoration --images photos/ --generator faces --out faces.csv

Poirier-Ginter & Lalonde (CVPR 2023): down-sampling (U), photon noise with dead pixels (N), JPEG (A)
and strokes (P), each in five strengths, and their eleven compositions in that order at the middle
one, with 8 bits in a file after every stage. What degrades is Pillow and NumPy; the solver knows
what a user would: the factor but not the filter, photons and fraction of dead pixels, the tables,
the mask. One row an image goes to the CSV file; what is there already, of as many steps, is not
done again. The data set is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse
import csv
import dataclasses
import itertools
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from scipy import stats

from benchmarks.jpeg import compressed
from benchmarks.methods import (
    add_images,
    choose,
    device_and_commit,
    images_of,
    psnr_db,
    shared,
)
from ilo_jax import lpips, ops
from ilo_jax.app.cli import start_quickly
from ilo_jax.files import generators
from ilo_jax.files.images import from_uint8, to_uint8
from ilo_jax.files.jpeg import compression_by
from ilo_jax.ops import Operator
from ilo_jax.priors import Prior
from ilo_jax.solve import EFFORTS, PRESETS, reconstruct
from ilo_jax.solve.candidates import shortened
from ilo_jax.solve.sharp import reconstruct_sharp

NAMES = {"U": "down-sampling", "N": "noise", "A": "JPEG", "P": "strokes"}
LEVELS = ("XS", "S", "M", "L", "XL")
STRENGTHS: Mapping[str, tuple] = {
    "U": (2, 4, 8, 16, 32),
    "N": ((96, 0.04), (48, 0.08), (24, 0.16), (12, 0.32), (6, 0.64)),
    "A": (18, 15, 12, 9, 6),
    "P": (1, 5, 9, 13, 17),
}
"""By degradation: factor; photons a pixel and fraction dead; quality; strokes."""

STEP = 2 / 255
"""Between two values that a file can hold."""

SMALLEST = 4
"""Pixels a side that down-sampling leaves."""

ROWS: Mapping[str, Mapping[str, str]] = {
    f"{NAMES[letter]} {level}": {letter: level} for letter in STRENGTHS for level in LEVELS
} | {
    "".join(letters): dict.fromkeys(letters, "M")
    for count in (2, 3, 4)
    for letters in itertools.combinations(STRENGTHS, count)
}
"""By name, what degrades and how much, in order."""


class Degraded(NamedTuple):
    """What is measured of a batch, and what a solver knows of how."""

    measurement: jax.Array
    operator: Operator


FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def down_sampled(pixels: np.ndarray, factor: int, random: np.random.Generator) -> np.ndarray:
    """uint8 `[h, w, C]`, by one of the filters."""
    height, width = pixels.shape[:2]
    chosen, size = FILTERS[random.integers(len(FILTERS))], (width // factor, height // factor)
    channels = np.moveaxis(pixels, -1, 0)
    return np.stack([np.asarray(Image.fromarray(c).resize(size, chosen)) for c in channels], -1)


def with_photon_noise(
    pixels: np.ndarray, strength: tuple[int, float], random: np.random.Generator
) -> np.ndarray:
    """uint8 `[h, w, C]`; a dead pixel is black in all channels."""
    photons, dead = strength
    counted = random.poisson(pixels / 255 * photons) / photons
    counted *= random.uniform(size=(*pixels.shape[:2], 1)) > dead
    return np.rint(np.clip(counted, 0, 1) * 255).astype(np.uint8)


TRUE: Mapping[str, Callable] = {
    "U": down_sampled,
    "N": with_photon_noise,
    "A": lambda pixels, quality, _: compressed(pixels, quality),
}
KNOWN: Mapping[str, Callable[..., Operator]] = {
    "U": lambda shape, factor: ops.superresolution(shape, factor, "average"),
    "N": lambda shape, noise: ops.dead_pixels(ops.photon_counts(shape, noise[0]), noise[1]),
    "A": lambda shape, quality: ops.jpeg(shape, *compression_by(quality)),
}
"""What a solver assumes."""

stroke_mask = jax.jit(ops.stroke_mask, static_argnums=(1, 2))


def degrade(row: Mapping[str, str], truth: np.ndarray, names: Sequence[str]) -> Degraded:
    """Images `[B, H, W, C]` in [-1, 1] through the stages of a row; what is random depends on each
    image's name."""
    seeds = (zlib.crc32(f"{name} {' '.join(row)}".encode()) for name in names)
    randoms = [np.random.default_rng(seed) for seed in seeds]
    images, known = list(to_uint8(truth)), []
    for letter, level in row.items():
        shape, strength = images[0].shape, STRENGTHS[letter][LEVELS.index(level)]
        if letter == "U":
            strength = min(strength, min(shape[:2]) // SMALLEST)
        if letter == "P":
            keys = [jax.random.key(random.integers(2**31)) for random in randoms]
            masks = np.stack([stroke_mask(key, shape, strength) for key in keys])
            images = [np.rint(m * x).astype(np.uint8) for m, x in zip(masks, images, strict=True)]
            known.append(ops.soft_inpainting(shape, masks))
        else:
            # Under noise it does not matter which filter it was.
            alone = [*row] == ["U"]
            both = zip(images, randoms, strict=True)
            images = [TRUE[letter](pixels, strength, random) for pixels, random in both]
            known.append((ops.unknown_superresolution if alone else KNOWN[letter])(shape, strength))
    operator = ops.composition(*known)
    stored = jnp.asarray(from_uint8(np.stack(images)))
    measurement = ops.map_images(lambda a, y: a.from_picture(y), operator, stored)
    if isinstance(operator, ops.Noise) and operator.is_unknown:
        each = [ops.as_stored(operator, y, STEP) for y in measurement]
        return Degraded(measurement, ops.stack(each))
    return Degraded(measurement, ops.as_stored(operator, measurement, STEP))


Solver = Callable[[Prior, Degraded, jax.Array, float], Mapping[str, np.ndarray]]
"""`(prior, degraded, keys, length)` -> images `[B, H, W, C]`, by the method's name and by that of
whatever else one run gives."""


SHARING = ("csgm", "ilo")
"""Presets that one program serves."""


def by_preset(name: str) -> Solver:
    """A preset with its own numbers."""

    def solve(
        prior: Prior, degraded: Degraded, keys: jax.Array, length: float
    ) -> Mapping[str, np.ndarray]:
        method = shortened(PRESETS[name].make(prior), length)
        method = shared(prior, method) if name in SHARING else method
        measurement, operator = degraded
        found = reconstruct(prior, operator, measurement, keys, method)
        return {name: np.asarray(found.image)}

    return solve


def by_auto(name: str, effort: str) -> Solver:
    """The automatic choice around ILO, and what it makes where it minds LPIPS."""

    def solve(
        prior: Prior, degraded: Degraded, keys: jax.Array, length: float
    ) -> Mapping[str, np.ndarray]:
        auto = EFFORTS[effort]
        auto = dataclasses.replace(auto, length=auto.length * length)
        measurement, operator = degraded
        method = PRESETS["ilo"].make(prior)
        problem = (prior, operator, measurement, keys, method)
        found = choose(*problem, auto)
        minding = reconstruct_sharp(*problem, auto.length, by_trial=lambda: found)
        return {name: found.image, f"{name}, sharp": minding.image}

    return solve


def sharp(
    prior: Prior, degraded: Degraded, keys: jax.Array, length: float
) -> Mapping[str, np.ndarray]:
    """The same alone: without a trial where none is needed."""
    auto = dataclasses.replace(EFFORTS["sharp"], length=length)
    measurement, operator = degraded
    method = PRESETS["ilo"].make(prior)
    return {"auto, sharp": choose(prior, operator, measurement, keys, method, auto).image}


METHODS: Mapping[str, Solver] = {
    **{name: by_preset(name) for name in PRESETS},
    "auto-quick": by_auto("auto-quick", "quick"),
    "auto": by_auto("auto", "full"),
    "auto, sharp": sharp,
}
DEFAULT = ("csgm", "ilo", "auto")

FIELDS = ("row", "method", "image", "psnr_db", "lpips", "length", "device", "commit")


@jax.jit
def distances(network: lpips.Lpips, x: jax.Array, y: jax.Array) -> jax.Array:
    """LPIPS, `[B]`."""
    return lpips.lpips(network, lpips.resized(x), lpips.resized(y))


def interval(values: np.ndarray) -> float:
    """Half of the 95 % interval of a mean (Student's t)."""
    if len(values) < 2:
        return np.nan
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """PSNR and LPIPS of every cell with their 95 % intervals, of the images that all methods of a
    row have; in bold what is best, or whose paired difference from the best has 0 in its interval.
    """
    methods = list(dict.fromkeys(r["method"] for r in rows))
    lines = [f"| | images | {' | '.join(methods)} |", "|---" * (2 + len(methods)) + "|"]
    for name in dict.fromkeys(r["row"] for r in rows):
        of_image = {
            m: {r["image"]: r for r in rows if (r["row"], r["method"]) == (name, m)}
            for m in methods
        }
        there = {m: found for m, found in of_image.items() if found}
        images = [i for i in next(iter(there.values())) if all(i in f for f in there.values())]
        cells = {m: [] for m in methods}
        for field, sign, digits in (("psnr_db", 1, 2), ("lpips", -1, 3)):
            of_method = {
                m: np.array([float(found[i][field]) for i in images]) for m, found in there.items()
            }
            best = max(of_method, key=lambda m, t=of_method, s=sign: s * t[m].mean())
            for m, values in of_method.items():
                text = f"{values.mean():.{digits}f} ± {interval(values):.{digits}f}"
                behind = values - of_method[best]
                close = m == best or not abs(behind.mean()) > interval(behind)
                cells[m].append(f"**{text}**" if close else text)
        row = " | ".join(" / ".join(c) for c in cells.values())
        lines.append(f"| {name} | {len(images)} | {row} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_images(parser)
    parser.add_argument("--out", required=True, type=Path, help="CSV file, a row an image")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(DEFAULT))
    parser.add_argument("--length", type=float, default=1.0, help="of each method's steps, a part")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    start_quickly()
    prior = generators.load(args.generator)
    names, truth = images_of(args, prior)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(args.seed), i))(
        jnp.asarray([zlib.crc32(name.encode()) for name in names], jnp.uint32)
    )
    by = (str(args.length), *device_and_commit())
    network = lpips.load("vgg")
    if not args.out.exists():
        args.out.write_text(",".join(FIELDS) + "\n")
    with open(args.out, newline="") as file:
        rows = [row for row in csv.DictReader(file) if float(row["length"]) == args.length]

    def there(name: str, method: str) -> set[str]:
        return {r["image"] for r in rows if (r["row"], r["method"]) == (name, method)}

    for name, after in itertools.zip_longest(args.rows, args.rows[1:]):
        degraded = None
        for method in args.methods:
            if set(names) <= there(name, method):
                continue
            degraded = degraded or degrade(ROWS[name], truth, names)
            began = time.monotonic()
            images = METHODS[method](prior, degraded, keys, args.length)
            seconds = time.monotonic() - began
            for told, image in images.items():
                image = jnp.clip(image, -1, 1)
                psnr = np.asarray(psnr_db(image, jnp.asarray(truth)))
                lpips_of = np.asarray(distances(network, image, jnp.asarray(truth)))
                done = there(name, told)
                new = [
                    dict(zip(FIELDS, (name, told, n, f"{p:.4f}", f"{d:.5f}", *by), strict=True))
                    for n, p, d in zip(names, psnr, lpips_of, strict=True)
                    if n not in done
                ]
                rows += new
                with open(args.out, "a", newline="") as file:
                    csv.DictWriter(file, FIELDS, lineterminator="\n").writerows(new)
                found = f"{psnr.mean():.2f} dB, {lpips_of.mean():.3f}"
                print(f"{name}, {told}: {found}, {seconds:.1f} s", flush=True)
        if after is None or [*ROWS[after]] != [*ROWS[name]]:
            jax.clear_caches()  # the programs of all rows are more than a process may hold
    print(markdown(rows))


if __name__ == "__main__":
    main()
