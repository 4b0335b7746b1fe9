"""The step of `benchmarks.step` in PyTorch; run by `benchmarks.rivals`, in PyTorch's environment.

    PYTHON benchmarks/torch_step.py {eager,compile} --resolution 1024 --batch 1

is a generator written for speed: frozen weights, styles scale the activations, one plain
convolution a layer for the whole batch, the FIR filter as shifted adds. With

    PYTHON benchmarks/torch_step.py authors --ilo CHECKOUT

it is the generator of github.com/giannisdaras/ilo as its loop uses it; with `--device cuda`, with
its own CUDA kernels, which PyTorch builds on import. With

    PYTHON benchmarks/torch_step.py {nvidia,nvidia-graph} --nvidia CHECKOUT

it is the generator of github.com/NVlabs/stylegan3 (`training/networks_stylegan2.py`) with weights
that are frozen, with its own CUDA kernels, and with `--half` its four highest resolutions in
float16; `nvidia-graph` is the step as one CUDA graph, which only a GPU has.

Each line on standard input is a number of steps to take; each answer, seconds a step.
"""
# pyright: reportMissingImports=false

import argparse
import json
import math
import resource
import sys
import time
from typing import NamedTuple

import torch
import torch.nn.functional as F

OPTIMIZED_NOISES = 5
NVIDIA = ("nvidia", "nvidia-graph")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("mode", choices=("eager", "compile", "authors", *NVIDIA))
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--channels", type=int, nargs="+", help="instead of config-f's")
    parser.add_argument("--w-dim", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--ilo", help="checkout of the authors' code")
    parser.add_argument("--nvidia", help="checkout of NVIDIA's code")
    parser.add_argument("--half", action="store_true", help="NVIDIA's float16 blocks")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_default_device(args.device)

    channels = args.channels or (512, 512, 512, 512, 512, 256, 128, 64, 32)
    channels = channels[: round(math.log2(args.resolution)) - 1]
    if args.mode == "authors":
        draw = authors_generator(args.ilo, args.resolution)
    elif args.mode in NVIDIA:
        draw = nvidia_generator(args.nvidia, args.resolution, args.half)
    else:
        draw = fast_generator(random_weights(channels, args.w_dim))
    if args.mode == "compile":
        draw = torch.compile(draw)
    graph = args.mode == "nvidia-graph"
    step = stepper(draw, len(channels), args.w_dim, args.batch, capturable=graph)
    if graph:
        step = as_graph(step)

    serve(step, args.device)


def serve(step, device: str) -> None:
    """Takes a step, then as many as each line of input says; answers with seconds of one."""

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        return (time.perf_counter() - start) / steps

    print(json.dumps({"first_step_s": seconds(1)}), flush=True)
    for line in sys.stdin:
        answer = {"step_s": seconds(int(line)), "peak_gib": peak_gib(device)}
        print(json.dumps(answer), flush=True)


def wait(device: str) -> None:
    """Until what was asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_gib(device: str) -> float:
    """Of the process's memory; on a GPU, of what its arrays took there."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def as_graph(step):
    """The same step, recorded once and then replayed."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # what is built and allocated the first time is no part of the graph
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def stepper(draw, blocks: int, w_dim: int, batch: int, capturable: bool = False):
    """One step on latents `[batch, 2 blocks, w_dim]` and the first noise maps, in place."""
    sizes = [4 * 2 ** ((i + 1) // 2) for i in range(2 * blocks - 1)]
    z = torch.randn(batch, 2 * blocks, w_dim, requires_grad=True)
    noises = [torch.randn(batch, 1, n, n) for n in sizes]
    variables = [z, *(n.requires_grad_() for n in noises[:OPTIMIZED_NOISES])]
    norms = [norm(v.detach()) for v in variables]
    mean, std = torch.randn(w_dim), torch.rand(w_dim)
    target = torch.rand(batch, 3, sizes[-1], sizes[-1]) * 2 - 1
    adam = torch.optim.Adam(variables, lr=0.1, capturable=capturable)

    def step() -> None:
        adam.zero_grad()
        image = draw(F.leaky_relu(std * z + mean, 0.2), noises)
        F.mse_loss(image, target).backward()
        adam.step()
        with torch.no_grad():
            for v, n in zip(variables, norms, strict=True):
                v.mul_(n / norm(v))

    return step


def norm(v: torch.Tensor) -> torch.Tensor:
    return v.pow(2).sum(tuple(range(2, v.ndim)), keepdim=True).sqrt()


class Weights(NamedTuple):
    """Frozen weights of a generator.

    const: `[1, C, 4, 4]`.
    layers: of each layer kernel `[O, I, 3, 3]` (`[I, O, 3, 3]` where it doubles the resolution),
      energy of the kernel `[I, O]`, strength of the noise, bias `[1, O, 1, 1]`, and of its style
      weight `[I, w_dim]` and offset `[I]`.
    heads: of each block's image kernel `[3, C]` and bias `[1, 3, 1, 1]`, weight and offset.
    """

    const: torch.Tensor
    layers: list[tuple]
    heads: list[tuple]


def random_weights(channels: tuple[int, ...], w_dim: int) -> Weights:
    def affine(width: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(width, w_dim) / w_dim**0.5, torch.ones(width)

    const = torch.randn(1, channels[0], 4, 4)
    layers, heads = [], []
    for i in range(2 * len(channels) - 1):
        outputs, inputs = channels[(i + 1) // 2], channels[i // 2]
        kernel = torch.randn(outputs, inputs, 3, 3)
        energy = kernel.pow(2).sum((2, 3)).T
        kernel = kernel.transpose(0, 1).contiguous() if i % 2 else kernel
        bias = 0.1 * torch.randn(1, outputs, 1, 1)
        layers.append((kernel, energy, 0.1, bias, *affine(inputs)))
        if i % 2 == 0:
            kernel = torch.randn(3, outputs) / outputs**0.5
            heads.append((kernel, torch.zeros(1, 3, 1, 1), *affine(outputs)))
    return Weights(const, layers, heads)


def fast_generator(weights: Weights):
    """`draw(w [B, L, w_dim], noises) -> image [B, 3, H, W]`."""

    def draw(w: torch.Tensor, noises: list[torch.Tensor]) -> torch.Tensor:
        x = weights.const.expand(w.shape[0], -1, -1, -1)
        return apply_layers(weights, x, None, w, noises, 0, len(weights.layers))[1]

    return draw


def apply_layers(
    weights: Weights,
    x: torch.Tensor,
    rgb: torch.Tensor | None,
    w: torch.Tensor,
    noises: list[torch.Tensor],
    start: int,
    stop: int,
):
    """Features and RGB that layer `start` reads -> those that layer `stop` reads."""
    for i in range(start, stop):
        kernel, energy, strength, bias, weight, offset = weights.layers[i]
        style = F.linear(w[:, i], weight, offset)
        demodulation = torch.rsqrt(style**2 @ energy + 1e-8)
        y = x * style[:, :, None, None]
        if i % 2:
            t = F.pad(F.conv_transpose2d(y, kernel, stride=2), (1, 1, 1, 1))
            y = fir(fir(t, 2), 3)
        else:
            y = F.conv2d(y, kernel, padding=1)
        y = y * demodulation[:, :, None, None] + strength * noises[i] + bias
        x = F.leaky_relu(y, 0.2) * 2**0.5
        if i % 2 == 0:
            kernel, bias, weight, offset = weights.heads[i // 2]
            style = F.linear(w[:, i + 1], weight, offset)
            part = torch.einsum("bchw,bkc->bkhw", x, style[:, None] * kernel) + bias
            rgb = part if rgb is None else part + upsample(rgb)
    return x, rgb


def fir(t: torch.Tensor, axis: int) -> torch.Tensor:
    n = t.shape[axis] - 3
    a, b, c, d = (t.narrow(axis, i, n) for i in range(4))
    return 0.25 * (a + d) + 0.75 * (b + c)


def upsample(x: torch.Tensor) -> torch.Tensor:
    batch, channels, h, w = x.shape
    spread = F.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
    spread = spread.reshape(batch, channels, 2 * h, 2 * w)
    return fir(fir(F.pad(spread, (2, 1, 2, 1)), 2), 3)


def authors_generator(checkout: str, resolution: int):
    """The authors' class, called as their loop calls it: weights are left to require gradients."""
    import torch.utils.cpp_extension

    if torch.get_default_device().type == "cpu":
        # Their CUDA extensions are compiled on import; on CPU none of them is called.
        torch.utils.cpp_extension.load = lambda *args, **kwargs: None
    sys.path.insert(0, checkout)
    from model import Generator

    generator = Generator(resolution, 512, 8).eval()

    def draw(w: torch.Tensor, noises: list[torch.Tensor]) -> torch.Tensor:
        return generator([w], input_is_latent=True, noise=noises)[0]

    return draw


def nvidia_generator(checkout: str, resolution: int, half: bool):
    """NVIDIA's synthesis network, with the noise maps that it is given in place of its own."""
    import torch.utils.cpp_extension

    build = torch.utils.cpp_extension.load

    def importable(name: str, **options):
        """Where their code looks for what was built, which PyTorch has given up putting there."""
        sys.modules[name] = build(name, **options)

    torch.utils.cpp_extension.load = importable
    sys.path.insert(0, checkout)
    from training.networks_stylegan2 import SynthesisNetwork

    network = SynthesisNetwork(
        512, resolution, 3, num_fp16_res=4 if half else 0, conv_clamp=256 if half else None
    )
    network.requires_grad_(requires_grad=False).eval().to(torch.get_default_device())
    layers = [
        layer
        for block in (getattr(network, f"b{size}") for size in network.block_resolutions)
        for layer in (getattr(block, "conv0", None), block.conv1)
        if layer is not None
    ]

    def draw(w: torch.Tensor, noises: list[torch.Tensor]) -> torch.Tensor:
        for layer, noise in zip(layers, noises, strict=True):
            layer.noise_const = noise
        return network(w, noise_mode="const")

    return draw


if __name__ == "__main__":
    main()
