"""A run by `--ray` of this machine beside the plain command, and one over many small rows.

    python -m benchmarks.cluster rate --images 2000 --turns 3
    python -m benchmarks.cluster rows --rows 1000000

`rate`: the same images of 64 px, by the plain command on all cores and by a worker on each, in
turns, in seconds of the clock, from the start of each process to its end; the ratio is that of
the rates. `rows`: rows of Parquet files, a generator of 8 px and one step, into Parquet: the most
memory of the driver, and how fast the last tenth of the parts was written, over the first.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import psutil
from PIL import Image

from ilo_jax.app.demo import SAMPLES
from ilo_jax.files.find import find_images
from ilo_jax.files.generators import save
from ilo_jax.stylegan2 import GeneratorConfig, random_generator


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    rate = modes.add_parser("rate")
    rate.add_argument("--images", type=int, default=2000)
    rate.add_argument("--steps", default="25,25,25,25")
    rate.add_argument("--turns", type=int, default=3)
    rows = modes.add_parser("rows")
    rows.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if args.mode == "rate":
            measure_rate(args.images, args.steps, args.turns)
        else:
            measure_rows(args.rows)


def measure_rate(count: int, steps: str, turns: int) -> None:
    rng = np.random.default_rng(0)
    originals = [np.asarray(Image.open(file)) for file in find_images([str(SAMPLES)])]
    Path("photos").mkdir()
    for i in range(count):
        noise = rng.integers(-8, 9, originals[0].shape)
        picture = np.clip(originals[i % len(originals)] + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(f"photos/im{i:06d}.png")
    line = f"superres --factor 4 --images photos --steps {steps} --out"
    taken: dict[str, list[float]] = {"plain": [], "ray": []}
    for turn in range(turns):
        for name, options in (("plain", []), ("ray", ["--ray"])):
            seconds, _ = run([*line.split(), f"{name}{turn}", *options])
            taken[name].append(seconds)
            print(f"{name}: {seconds:.0f} s, {count / seconds:.2f} images/s", flush=True)
    ratios = [p / r for p, r in zip(taken["plain"], taken["ray"], strict=True)]
    print(f"rate by --ray over plain: {statistics.median(ratios):.2f} {sorted(ratios)}")


def measure_rows(count: int) -> None:
    from pyarrow import Table, parquet  # pyright: ignore[reportMissingImports]

    config = GeneratorConfig(channels=(16, 8), w_dim=16, z_dim=16, mapping_layers=2)
    save(Path("gen"), random_generator(config, jax.random.key(0)), about={})
    rng = np.random.default_rng(0)
    images = [png(rng.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(1000)]
    at_once = 10_000
    for start in range(0, count, at_once):
        keys = [f"im{i:08d}" for i in range(start, min(start + at_once, count))]
        contents = [images[i % len(images)] for i in range(len(keys))]
        parquet.write_table(
            Table.from_pydict({"key": keys, "bytes": contents}), f"in{start:08d}.parquet"
        )
    line = "invert --images in*.parquet --generator gen --steps 1 --method csgm --batch-size 256"
    words = [*line.split(), "--out", "out", "--ray", "--parquet"]
    seconds, memory = run(words)
    times = sorted(path.stat().st_mtime for path in Path("out").glob("part-*.parquet"))
    tenth = len(times) // 10
    first, last = times[tenth] - times[0], times[-1] - times[-1 - tenth]
    print(f"{count} rows in {seconds:.0f} s; driver {memory / 2**20:.0f} MiB at most")
    print(f"rate of the last tenth over that of the first: {first / last:.2f}")


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def run(words: list[str]) -> tuple[float, int]:
    """Seconds, and bytes of memory at most."""
    began, most = time.monotonic(), 0
    process = subprocess.Popen([sys.executable, "-m", "ilo_jax.solve", *words])
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            most = max(most, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.2)
    if process.wait() != 0:
        raise SystemExit(f"failed: {' '.join(words)}")
    return time.monotonic() - began, most


if __name__ == "__main__":
    main()
