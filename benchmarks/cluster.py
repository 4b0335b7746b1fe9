"""A run by `--ray` of this machine beside the plain command, and one over many small rows.

    python -m benchmarks.cluster rate --images 2000 --turns 3
    python -m benchmarks.cluster store --images 2000 --turns 3
    python -m benchmarks.cluster rows --rows 1000000

`rate`: the same images of 64 px, by the plain command on all cores and by a worker on each, in
turns, from the start of each process to its end; the ratios are those of the rates, by the clock
and, since other processes may have the cores meanwhile, by what each took of them. `store`: both
by `--ray`, from a folder into a folder, and from Parquet into Parquet in an S3 of moto's, on the
same cores. `rows`: rows of Parquet files, a generator of 8 px and one step, into Parquet: the most
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
from typing import NamedTuple

import jax
import numpy as np
import psutil
from PIL import Image

from ilo_jax.app.demo import SAMPLES
from ilo_jax.files.find import find_images
from ilo_jax.files.generators import save
from ilo_jax.stylegan2 import GeneratorConfig, random_generator

_OF_A_TABLE = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    for name in ("rate", "store"):
        mode = modes.add_parser(name)
        mode.add_argument("--images", type=int, default=2000)
        mode.add_argument("--steps", default="25,25,25,25")
        mode.add_argument("--turns", type=int, default=3)
    rows = modes.add_parser("rows")
    rows.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if args.mode == "rate":
            measure_rate(args.images, args.steps, args.turns)
        elif args.mode == "store":
            measure_store(args.images, args.steps, args.turns)
        else:
            measure_rows(args.rows)


def write_photos(count: int) -> None:
    rng = np.random.default_rng(0)
    originals = [np.asarray(Image.open(file)) for file in find_images([str(SAMPLES)])]
    Path("photos").mkdir()
    for i in range(count):
        noise = rng.integers(-8, 9, originals[0].shape)
        picture = np.clip(originals[i % len(originals)] + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(f"photos/im{i:06d}.png")


def measure_rate(count: int, steps: str, turns: int) -> None:
    write_photos(count)
    line = f"superres --factor 4 --steps {steps} --images photos --out"
    in_turns({"plain": f"{line} plain", "--ray": f"{line} ray --ray"}, count, turns)


def measure_store(count: int, steps: str, turns: int) -> None:
    import s3fs  # pyright: ignore[reportMissingImports]
    from moto.server import ThreadedMotoServer  # pyright: ignore[reportMissingImports]
    from pyarrow import Table, parquet  # pyright: ignore[reportMissingImports]

    write_photos(count)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    os.environ |= {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "secret"}
    store = s3fs.S3FileSystem()
    store.mkdir("bucket")
    files = sorted(Path("photos").iterdir())
    for start in range(0, count, _OF_A_TABLE):
        part = files[start : start + _OF_A_TABLE]
        columns = {"key": [f.stem for f in part], "bytes": [f.read_bytes() for f in part]}
        with store.open(f"bucket/in/{start:08d}.parquet", "wb") as file:
            parquet.write_table(Table.from_pydict(columns), file)
    line = f"superres --factor 4 --steps {steps} --ray"
    lines = {
        "folders": f"{line} --images photos --out folder",
        "store": f"{line} --images s3://bucket/in/*.parquet --out s3://bucket/out",
    }
    in_turns(lines, count, turns)
    server.stop()


def in_turns(lines: dict[str, str], count: int, turns: int) -> None:
    """Each command `turns` times; prints the rate of the second over that of the first."""
    taken: dict[str, list[Cost]] = {name: [] for name in lines}
    for turn in range(turns):
        for name, line in lines.items():
            words = line.split()
            words[words.index("--out") + 1] += str(turn)
            cost = run(words)
            taken[name].append(cost)
            said = f"{cost.seconds:.0f} s, {cost.cores:.0f} s of a core"
            print(f"{name}: {said}, {count / cost.seconds:.2f} images/s", flush=True)
    (first, ours), (second, theirs) = taken.items()
    for what in ("seconds", "cores"):
        pairs = zip(ours, theirs, strict=True)
        ratios = sorted(round(getattr(o, what) / getattr(t, what), 3) for o, t in pairs)
        print(f"rate of {second} over {first} by {what}: {statistics.median(ratios)} {ratios}")


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
    cost = run(words)
    times = sorted(path.stat().st_mtime for path in Path("out").glob("part-*.parquet"))
    tenth = len(times) // 10
    first, last = times[tenth] - times[0], times[-1] - times[-1 - tenth]
    print(f"{count} rows in {cost.seconds:.0f} s; driver {cost.memory / 2**20:.0f} MiB at most")
    print(f"rate of the last tenth over that of the first: {first / last:.2f}")


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


class Cost(NamedTuple):
    """Of a command: seconds of the clock, of cores by all of its processes, and at most how many
    bytes of memory its first one had."""

    seconds: float
    cores: float
    memory: int


def run(words: list[str]) -> Cost:
    began, most, cores = time.monotonic(), 0, dict[int, float]()
    process = subprocess.Popen([sys.executable, "-m", "ilo_jax.solve", *words])
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            most = max(most, watched.memory_info().rss)
            for one in (watched, *watched.children(recursive=True)):
                times = one.cpu_times()
                cores[one.pid] = times.user + times.system
        except psutil.NoSuchProcess:  # which has just ended
            continue
        time.sleep(0.5)
    if process.wait() != 0:
        raise SystemExit(f"failed: {' '.join(words)}")
    return Cost(time.monotonic() - began, sum(cores.values()), most)


if __name__ == "__main__":
    main()
