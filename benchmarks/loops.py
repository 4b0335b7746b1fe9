"""ILO's whole loop beside the same loop in PyTorch, on the embedded generator.

    python -m benchmarks.loops --torch-python PYTHON --batch 32 --steps 5

PYTHON is an interpreter that has PyTorch. Inversion of images that the generator draws, four rounds
with the default radii. In turns, ours and `torch_loop.py`, eager and compiled, take `--steps` steps
a round; images a second are for rounds of 100 steps, which are that many times longer. A ratio is
the median over turns; in brackets, the least and the greatest.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.rivals import Worker
from ilo_jax.ops import Identity
from ilo_jax.solve import METHODS, Solution, solve
from ilo_jax.solve.loop import batch_mesh
from ilo_jax.solve.settings import RADII
from ilo_jax.stylegan2 import EMBEDDED_DEFAULT, Generator, load, map_latents, synthesize

MODES = ("eager", "compile")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5, help="of each of the four rounds")
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()

    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    generator = load(EMBEDDED_DEFAULT)
    z = jax.random.normal(jax.random.key(0), (args.batch, generator.config.z_dim))
    target = jax.jit(synthesize)(generator, map_latents(generator, z))
    steps = [args.steps] * 4
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *MODES)}
    with tempfile.TemporaryDirectory() as folder:
        rivals = [
            start_rival(mode, args.torch_python, Path(folder), generator, target) for mode in MODES
        ]
        for turn in range(args.turns + 1):
            found = {"ours": invert(generator, target, "ilo", steps)[1][-1]}
            for rival in rivals:
                found[rival.name] = rival.ask(" ".join([*map(str, steps), "-"]))["seconds"][-1]
            if turn:  # the first compiles
                for name, value in found.items():
                    seconds[name].append(value)
    for rival in rivals:
        rival.close()
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(values, seconds["ours"], strict=True)]
        rate = args.batch / (statistics.median(values) * 100 / args.steps)
        print(
            f"{name:8} {rate:.4f} images a second, over ours "
            f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        )


def invert(
    generator: Generator, target: jax.Array, method: str, steps: Sequence[int]
) -> tuple[list[Solution], list[float]]:
    """Solutions after each round, and seconds from the start to each of them.

    Args:
      target: `[B, H, W, 3]`, measured as it is.
    """
    radii = RADII[EMBEDDED_DEFAULT] if method == "ilo" else None
    plan = METHODS[method].plan(generator.config, steps, radii=radii)
    ends: list[float] = []

    def progress(index: int, done: int, error: jax.Array) -> None:
        jax.block_until_ready(error)
        if done == steps[index]:
            ends.append(time.perf_counter() - start)

    start = time.perf_counter()
    solutions = solve(
        generator,
        Identity(generator.config.image_shape),
        target,
        jax.random.key(1),
        plan.schedule,
        plan.hyper,
        losses=plan.losses,
        progress=progress,
        mesh=batch_mesh(len(target)),
    )
    return solutions, ends


def start_rival(
    mode: str, python: str, folder: Path, generator: Generator, target: jax.Array
) -> Worker:
    """`torch_loop.py` in one of `MODES`, on the generator's weights and the images `target`."""
    problem = folder / "problem.npz"
    np.savez(problem, **_problem(generator, target))  # pyright: ignore[reportArgumentType]
    script = str(Path(__file__).with_name("torch_loop.py"))
    return Worker(mode, [python, script, mode, str(problem)])


def _problem(generator: Generator, target: jax.Array) -> dict[str, np.ndarray]:
    params = generator.synthesis["params"]
    arrays = {
        "target": target.transpose(0, 3, 1, 2),
        "radii": jnp.array(RADII[EMBEDDED_DEFAULT]),
        "mean": generator.proxy.mean,
        "std": generator.proxy.std,
        "const": params["const"].transpose(2, 0, 1)[None],
    }
    for i in range(generator.config.num_layers):
        layer = params[f"layers_{i}"]
        kernel = layer["kernel"]
        arrays |= {
            f"layer{i}_kernel": kernel.transpose((2, 3, 0, 1) if i % 2 else (3, 2, 0, 1)),
            f"layer{i}_energy": (kernel**2).sum((0, 1)),
            f"layer{i}_strength": layer["noise_strength"],
            f"layer{i}_bias": layer["bias"][None, :, None, None],
            f"layer{i}_weight": layer["affine"]["kernel"].T,
            f"layer{i}_offset": layer["affine"]["bias"],
        }
    for i in range(generator.config.num_blocks):
        head = params[f"to_rgb_{i}"]
        arrays |= {
            f"head{i}_kernel": head["kernel"].T,
            f"head{i}_bias": head["bias"][None, :, None, None],
            f"head{i}_weight": head["affine"]["kernel"].T,
            f"head{i}_offset": head["affine"]["bias"],
        }
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


if __name__ == "__main__":
    main()
