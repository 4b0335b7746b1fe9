"""ILO in PyTorch on the weights of a generator of ours; run by `benchmarks.loops` and
`benchmarks.frontier`, in PyTorch's environment.

    PYTHON benchmarks/torch_loop.py {eager,compile} PROBLEM.npz

The rules are ours: latents on the sphere, cuts before blocks 0, 1, ..., l1 balls around the feature
map, mean squared error and geocross, Adam on its ramp, the image of least error kept; inversion,
where the measurement is the image. PROBLEM, of `benchmarks.loops`, holds the weights, the targets
`[B, 3, H, W]`, and the radius at each cut.

Each line on standard input is the steps of each round and a file for the images, `-` for none;
each answer, seconds from the start to the end of each round. The first compiles.
"""
# pyright: reportMissingImports=false

import argparse
import json
import math
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch_step import Weights, apply_layers, norm

GEOCROSS = 0.001


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("mode", choices=("eager", "compile"))
    parser.add_argument("problem")
    args = parser.parse_args()
    problem = {k: torch.from_numpy(v) for k, v in np.load(args.problem).items()}
    weights = read_weights(problem)
    layers = apply_layers if args.mode == "eager" else torch.compile(apply_layers, dynamic=False)
    print(json.dumps({"compile_s": 0.0}), flush=True)
    for line in sys.stdin:
        *steps, out = line.split()
        images, seconds = solve(layers, weights, problem, [int(n) for n in steps])
        if out != "-":
            np.save(out, torch.stack(images).numpy())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": seconds, "peak_gib": peak}), flush=True)


def read_weights(problem: dict) -> Weights:
    count = sum(name.startswith("layer") for name in problem) // 6
    fields = ("kernel", "energy", "strength", "bias", "weight", "offset")
    layers = [tuple(problem[f"layer{i}_{f}"] for f in fields) for i in range(count)]
    fields = ("kernel", "bias", "weight", "offset")
    heads = [tuple(problem[f"head{i}_{f}"] for f in fields) for i in range((count + 1) // 2)]
    return Weights(problem["const"], layers, heads)


def solve(layers, weights: Weights, problem: dict, steps: list[int]):
    """Images `[B, 3, H, W]` after each round, and seconds until then."""
    began = time.perf_counter()
    torch.manual_seed(0)
    target, mean, std = problem["target"], problem["mean"], problem["std"]
    batch, count = len(target), len(weights.layers)
    z = torch.randn(batch, count + 1, len(mean))
    noises = [torch.randn(batch, 1, n, n) for n in (4 * 2 ** ((i + 1) // 2) for i in range(count))]
    x, rgb, layer = weights.const.expand(batch, -1, -1, -1), None, 0
    best, least = torch.zeros_like(target), torch.full((batch,), torch.inf)
    images, seconds = [], []
    for index, total in enumerate(steps):
        cut = max(2 * index - 1, 0)
        with torch.no_grad():
            w = F.leaky_relu(std * z + mean, 0.2)
            x, rgb = apply_layers(weights, x, rgb, w, noises, layer, cut)
        layer, center = cut, x
        chosen = range(cut, min(5 + 2 * index, count))
        z.requires_grad_()
        for i in chosen:
            noises[i].requires_grad_()
        x = x.clone().requires_grad_(index > 0)
        spheres = [z, *(noises[i] for i in chosen)]
        norms = [norm(v.detach()) for v in spheres]
        adam = torch.optim.Adam([*spheres, x] if index else spheres, lr=0.1)
        for step in range(total):
            adam.param_groups[0]["lr"] = 0.1 * ramp(step / total)
            adam.zero_grad()
            w = F.leaky_relu(std * z + mean, 0.2)
            image = layers(weights, x, rgb, w, noises, cut, count)[1]
            error = (image - target).pow(2).mean((1, 2, 3))
            (error.sum() + GEOCROSS * geocross(z[:, cut:])).backward()
            adam.step()
            with torch.no_grad():
                for v, n in zip(spheres, norms, strict=True):
                    v.mul_(n / norm(v))
                if index:
                    x.copy_(center + project_l1_ball(x - center, problem["radii"][index - 1]))
                better = error.detach() < least
                least = torch.where(better, error.detach(), least)
                best = torch.where(better[:, None, None, None], image.detach(), best)
        for v in (*spheres, x):
            v.requires_grad_(False)
        images.append(best)
        seconds.append(time.perf_counter() - began)
    return images, seconds


def ramp(t: float) -> float:
    return min(t / 0.05, 1.0) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1.0 - t) / 0.75)))


def geocross(z: torch.Tensor) -> torch.Tensor:
    """Mean over pairs of the squared angle between latents, summed over images."""
    x, y = z[:, :, None], z[:, None]
    length = [((a).pow(2).sum(-1) + 1e-9).sqrt() for a in (x - y, x + y)]
    return (2 * torch.atan2(*length)).pow(2).mean((1, 2)).sum() * z.shape[-1] / 8


def project_l1_ball(x: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Duchi et al. (2008), of each of a batch, by sorting."""
    size = x.flatten(1).abs()
    ordered = size.sort(descending=True)[0]
    excess = ordered.cumsum(1) - radius
    count = torch.arange(1, size.shape[1] + 1)
    last = (ordered * count > excess).sum(1, keepdim=True)
    threshold = (excess.gather(1, last - 1) / last).clamp(min=0)
    return (x.sign().flatten(1) * (size - threshold).clamp(min=0)).view_as(x)


if __name__ == "__main__":
    main()
