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
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from benchmarks.rivals import Worker
from ilo_jax.ops import identity
from ilo_jax.priors import Prior
from ilo_jax.solve import Method, Result, finish, ilo, init, steps
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.stylegan2 import StyleGAN2, map_latents, synthesize

MODES = ("eager", "compile")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5, help="of each of the four rounds")
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()

    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    prior = ilo_jax.load()
    generator = prior.generator
    z = jax.random.normal(jax.random.key(0), (args.batch, generator.config.z_dim))
    target = jax.jit(synthesize)(generator, map_latents(generator, z))
    rounds = [args.steps] * 4
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *MODES)}
    with tempfile.TemporaryDirectory() as folder:
        rivals = [
            start_rival(mode, args.torch_python, Path(folder), prior, target) for mode in MODES
        ]
        for turn in range(args.turns + 1):
            found = {"ours": invert(prior, target, ilo(prior, rounds))[1][-1]}
            for rival in rivals:
                found[rival.name] = rival.ask(" ".join([*map(str, rounds), "-"]))["seconds"][-1]
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


def invert(prior: Prior, target: jax.Array, method: Method) -> tuple[Result, list[float]]:
    """What came of it, and seconds from the start to the end of each round.

    Args:
      target: `[B, H, W, 3]`, measured as it is.
    """
    ends: list[float] = []
    mesh = batch_mesh(len(target))
    start = time.perf_counter()
    run = init(prior, identity(prior.image_shape), target, jax.random.key(1), method, mesh=mesh)
    for count in method.steps.tolist():
        run = jax.block_until_ready(steps(run, count, mesh))
        ends.append(time.perf_counter() - start)
    return finish(run), ends


def start_rival(
    mode: str, python: str, folder: Path, prior: StyleGAN2, target: jax.Array
) -> Worker:
    """`torch_loop.py` in one of `MODES`, on the generator's weights and the images `target`."""
    problem = folder / "problem.npz"
    np.savez(problem, **_problem(prior, target))  # pyright: ignore[reportArgumentType]
    script = str(Path(__file__).with_name("torch_loop.py"))
    return Worker(mode, [python, script, mode, str(problem)])


def _problem(prior: StyleGAN2, target: jax.Array) -> dict[str, np.ndarray]:
    generator = prior.generator
    params = generator.synthesis["params"]
    arrays = {
        "target": target.transpose(0, 3, 1, 2),
        "radii": jnp.array([prior.facts.radius(cut) for cut in prior.usual_cuts[:3]]),
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
