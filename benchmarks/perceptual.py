"""LPIPS and its gradient with respect to one image, while the other stays the same.

    python -m benchmarks.perceptual
    python -m benchmarks.perceptual --torch-python PYTHON

Times, in turns, the use of the other's features computed once, as the solver has it; of both
computed every time; and, with PYTHON an interpreter that has PyTorch and the package lpips, of that
package. Ratios are medians over rounds, each of times in the same round; in brackets, the least and
the greatest.
"""

import argparse
import pathlib
import statistics
import time
from collections.abc import Callable

import jax

from benchmarks.rivals import Worker
from ilo_jax import lpips

SIZES = ((64, 16), (256, 1))
"""Pixels a side, and images."""


@jax.jit
@jax.value_and_grad
def fixed(x, network, target):
    return lpips.distance(lpips.features(network, x), target).sum()


@jax.jit
@jax.value_and_grad
def both(x, network, y):
    return lpips.lpips(network, x, y).sum()


def seconds(f: Callable, *args) -> float:
    start = time.perf_counter()
    jax.block_until_ready(f(*args))
    return time.perf_counter() - start


def ratio(above: list[float], below: list[float]) -> str:
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--network", choices=lpips.NETWORKS, default="vgg")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--torch-python")
    args = parser.parse_args()

    network = lpips.load(args.network)
    for size, batch in SIZES:
        x, y = jax.random.uniform(jax.random.key(0), (2, batch, size, size, 3), minval=-1)
        target = jax.jit(lpips.features)(network, y)
        timed = {
            "fixed": lambda x=x, target=target: seconds(fixed, x, network, target),
            "both": lambda x=x, y=y: seconds(both, x, network, y),
        }
        rivals = []
        if args.torch_python:
            script = str(pathlib.Path(__file__).with_name("torch_perceptual.py"))
            options = ["--size", str(size), "--batch", str(batch)]
            rival = Worker("torch", [args.torch_python, script, args.network, *options])
            timed["torch"] = lambda rival=rival: rival.step_seconds(1)
            rivals = [rival]
        for time_once in timed.values():
            time_once()  # compiles
        found: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(args.rounds):
            for name, time_once in timed.items():
                found[name].append(time_once())
        print(f"{args.network}, {size} px, {batch} images:", flush=True)
        for name, values in found.items():
            print(
                f"  {name:6} {statistics.median(values):.3f} s, least {min(values):.3f}"
                f"   fixed over it {ratio(found['fixed'], values)}"
                f"   of least {min(found['fixed']) / min(values):.2f}"
            )
        for rival in rivals:
            rival.close()


if __name__ == "__main__":
    main()
