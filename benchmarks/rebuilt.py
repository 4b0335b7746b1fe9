"""The code before its rebuilding against the code after it, in turns, each in processes of its own.

    python -m benchmarks.rebuilt --old CHECKOUT --data chest_xray_64.npz

CHECKOUT is a clone at commit 509ca51, the last of the old. Quality: held-out radiographs by
`chest64` in five tasks, ILO in four rounds and Algorithm 1 as printed, the same seeds; mean PSNR
after each round, and the mean of the differences image by image with its 95 % interval (Student's).
Speed: four rounds of ILO, identity operator, 64 px (`chest64`, batch 16) and 1024 px (config-f,
random weights, batch 1); what a first run takes over a later one is compiling, and a step is a part
of a later one. Each turn is a process of the old and one of the new, with no cache of programs. A
ratio is the median over turns; in brackets, the least and the greatest.

With `--only speed` no data are needed; the data set is not part of the repository,
`benchmarks/quality.py` says what it is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

NEW = Path(__file__).parents[1]

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "invert": ("invert", {}),
    "inpaint 10 %": ("inpaint", {"observed": 0.1}),
    "superres 4x": ("superres", {"factor": 4}),
    "denoise 25": ("denoise", {"sigma": 25.0}),
    "compress 10 %": ("compress", {"measurements": 0.1}),
}

SPEEDS = {
    64: {"resolution": None, "batch": 16, "steps": 25, "repeats": 3},
    1024: {"resolution": 1024, "batch": 1, "steps": 2, "repeats": 3},
}
"""By pixels a side: the problem, steps of each round, and runs after the first."""


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--old", required=True, type=Path, help="clone at commit 509ca51")
    parser.add_argument("--data", type=Path, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--only", choices=("quality", "speed"))
    parser.add_argument("--images", type=int, default=16, help="of quality, 2 or more")
    parser.add_argument("--steps", type=int, default=50, help="of a round of ILO, of quality")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--resolution", type=int, nargs="+", choices=SPEEDS, default=list(SPEEDS))
    parser.add_argument("--turns", type=int, default=3, help="of speed")
    args = parser.parse_args()
    if args.only != "speed":
        if args.data is None:
            parser.error("--data: expected the data set, or --only speed")
        quality(args.old, args.data, args.images, args.steps, args.tasks)
    if args.only != "quality":
        speed(args.old, args.resolution, args.turns)


def quality(old: Path, data: Path, images: int, steps: int, tasks: list[str]) -> None:
    """Prints a row a task, method and round."""
    longer, shorter = max(1, steps * 3 // 5), max(1, steps * 2 // 5)
    methods = {
        "ilo": ((steps,) * 4, (300.0, 100.0, 30.0)),
        "ilo-range": ((steps, *(longer, shorter) * 3), None),
    }
    print("| task | method | round | old, dB | new, dB | new less old, dB |\n" + "|---" * 6 + "|")
    for name in tasks:
        task, options = TASKS[name]
        job = {"what": "quality", "data": str(data.absolute()), "images": images}
        job |= {"task": task, "options": options, "methods": methods}
        job["generator"] = str(generator_of(old))
        before, after = (_ask(side, root, job) for side, root in (("old", old), ("new", NEW)))
        for method in methods:
            for r, (a, b) in enumerate(zip(before[method], after[method], strict=True)):
                mean, half = difference(np.array(a), np.array(b))
                print(
                    f"| {name} | {method} | {r} | {np.mean(a):.2f} | {np.mean(b):.2f} | "
                    f"{mean:+.3f} ± {half:.3f} |",
                    flush=True,
                )


def generator_of(old: Path) -> Path:
    """The checkout's `chest64`, for both sides."""
    return old.absolute() / "ilo_jax" / "stylegan2" / "pretrained" / "chest64"


def difference(old: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """Mean of paired differences, and half the width of its 95 % interval."""
    each = new - old
    half = student.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5
    return float(each.mean()), float(half)


def speed(old: Path, resolutions: list[int], turns: int) -> None:
    """Prints a row a resolution and what is measured."""
    print("\n| px | | old | new | new over old |\n" + "|---" * 5 + "|")
    for resolution in resolutions:
        job = {"what": "speed", "generator": str(generator_of(old)), **SPEEDS[resolution]}
        found = [(_ask("old", old, job), _ask("new", NEW, job)) for _ in range(turns)]
        for what in found[0][0]:
            before, after = zip(*((a[what], b[what]) for a, b in found), strict=True)
            ratios = [b / a for a, b in zip(before, after, strict=True)]
            print(
                f"| {resolution} | {what} | {statistics.median(before):.4g} | "
                f"{statistics.median(after):.4g} | {statistics.median(ratios):.3g} "
                f"[{min(ratios):.3g}, {max(ratios):.3g}] |",
                flush=True,
            )


def _ask(side: str, root: Path, job: dict[str, Any]) -> Any:
    """What a process answers whose `ilo_jax` is the one in `root`."""
    script = str(NEW / "benchmarks" / "rebuilt_side.py")
    settings = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    settings["PYTHONPATH"] = str(root.absolute())
    command = [sys.executable, script, side, json.dumps(job)]
    out = subprocess.run(command, stdout=subprocess.PIPE, env=settings, check=True).stdout
    answer = json.loads(out)
    if not Path(answer["package"]).is_relative_to(root.absolute()):
        sys.exit(f"{root}: the package imported is {answer['package']}; expected a clone's")
    return answer["found"]


if __name__ == "__main__":
    main()
