"""Seconds of one optimization step of ILO, beside the floor: its convolutions alone.

A step is CSGM's, as the solver takes it: latents through the mapping proxy, the synthesis network
forward, the mean squared error of its image, backward to latents and the first five noise maps,
Adam, the spheres, the best image kept. Several are one program. The floor is the time of plain
'same' 3x3 convolutions of the network's sizes, forward and input gradient each, measured
in the same process, in turns. `step_gib` is what the process grows by while it takes steps, weights
and variables being there already; on an accelerator, the temporary memory of its program.

    python -m benchmarks.step --resolution 1024 --batch 1
    python -m benchmarks.step --generator chest64 --batch 32
    python -m benchmarks.step --method robust

The last is that of robust restoration in W+, with LPIPS at every scale. With `--serve` it answers
`benchmarks.rivals`.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

import ilo_jax
from ilo_jax import ops
from ilo_jax.priors import Prior
from ilo_jax.solve import Method, Mse, Run, Search, csgm, init, robust, steps
from ilo_jax.stylegan2 import (
    PRECISIONS,
    GeneratorConfig,
    StyleGAN2,
    config_f,
    random_generator,
)

ENOUGH = 1_000_000
"""Steps of the round, whatever of them is taken."""

METHODS: dict[str, Callable[[Prior], Method]] = {
    "csgm": lambda prior: csgm(prior, ENOUGH, objective=Mse()),
    "robust": lambda prior: robust(prior, (1, ENOUGH, 1)),
    "robust-mse": lambda prior: robust(prior, (1, ENOUGH, 1), objective=Mse()),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--generator", help="a checkpoint; by default config-f, random weights")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--channels", type=int, nargs="+", help="instead of config-f's")
    parser.add_argument("--w-dim", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--method", choices=METHODS, default="csgm")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--steps", type=int, default=3, help="steps in one program")
    parser.add_argument("--repeats", type=int, default=5, help="programs that are timed")
    parser.add_argument("--serve", action="store_true", help="time one for every line of input")
    args = parser.parse_args()

    if args.generator:
        prior = ilo_jax.load(args.generator)
    elif args.channels:
        width = args.w_dim
        prior = random_prior(GeneratorConfig(tuple(args.channels), w_dim=width, z_dim=width))
    else:
        prior = random_prior(config_f(args.resolution))
    if args.precision != "float32":
        prior = prior.with_precision(args.precision)
    config = prior.generator.config
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(prior))

    start = time.perf_counter()
    run = begin(prior, args.batch, args.method)
    compiled = compile_steps(run)
    compile_seconds = time.perf_counter() - start

    def timed() -> float:
        nonlocal run
        start = time.perf_counter()
        search = jax.block_until_ready(compiled(run, jnp.int32(args.steps)))
        assert jnp.isfinite(search.best.error).all()
        run = run.replace(search=search, t=run.t + args.steps)
        return (time.perf_counter() - start) / args.steps

    on_cpu = jax.default_backend() == "cpu"
    before = _status_gib("VmRSS")
    if on_cpu:
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the peak that compiling had
    timed()  # pays for page faults
    step_gib = _status_gib("VmHWM") - before if on_cpu else _temporary_gib(compiled)
    if args.serve:
        print(json.dumps({"compile_s": compile_seconds}), flush=True)
        for _ in sys.stdin:
            step_s = timed()
            peak = _status_gib("VmHWM") if on_cpu else step_gib + weights / 2**30
            print(json.dumps({"step_s": step_s, "peak_gib": peak}), flush=True)
        return
    convolution_floor(config, args.batch)  # compiles
    seconds, floors = [], []
    for _ in range(args.repeats):
        seconds.append(timed())
        floors.append(convolution_floor(config, args.batch))
    ratios = [a / b for a, b in zip(seconds, floors, strict=True)]
    report = {
        "resolution": config.resolution,
        "batch": args.batch,
        "step_s": statistics.median(seconds),
        "least_step_s": min(seconds),
        "floor_s": statistics.median(floors),
        "least_floor_s": min(floors),
        "step/floor": statistics.median(ratios),
        "compile_s": compile_seconds,
        "weights_gib": weights / 2**30,
        "step_gib": step_gib,
    }
    print(json.dumps({k: float(f"{v:.4g}") for k, v in report.items()}))


def _temporary_gib(compiled: jax.stages.Compiled) -> float:
    """Of the program on an accelerator, whose allocator also counts what compiling tried."""
    memory = compiled.memory_analysis()
    assert memory is not None, "this platform does not tell"
    return memory.temp_size_in_bytes / 2**30


def _status_gib(field: str) -> float:
    """Memory of this process, now (VmRSS) or at most (VmHWM); Linux."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**20


def random_prior(config: GeneratorConfig) -> StyleGAN2:
    """With random weights."""
    return StyleGAN2(jax.jit(random_generator, static_argnums=0)(config, jax.random.key(0)))


def begin(prior: Prior, batch: int, method: str = "csgm") -> Run:
    """Before the first step of inverting noise."""
    shape = (batch, *prior.image_shape)
    target = jax.random.uniform(jax.random.key(1), shape, minval=-1, maxval=1)
    operator, key = ops.identity(prior.image_shape), jax.random.key(2)
    return init(prior, operator, target, key, METHODS[method](prior))


def compile_steps(run: Run) -> jax.stages.Compiled:
    """`(run, count) -> Search` after so many steps, which is no part of the program."""

    def advance(run: Run, count: jax.Array) -> Search:
        return steps(run, count).search  # pyright: ignore[reportArgumentType]

    return jax.jit(advance).lower(run, jnp.int32(0)).compile()


def convolution_floor(config: GeneratorConfig, batch: int) -> float:
    """Seconds of the network's convolutions alone: over its layers, a plain 3x3 convolution and
    its input gradient, at the resolution that the layer reads."""
    total = 0.0
    for layer in range(config.num_layers):
        size = config.layer_resolution(layer) // (1 + layer % 2)
        outputs = config.layer_channels(layer)
        inputs = config.layer_channels(layer - 1) if layer else outputs
        kernel = jnp.ones((3, 3, inputs, outputs))
        total += _seconds(jnp.ones((batch, size, size, inputs)), kernel)
        if layer:  # the constant input needs no gradient
            gradient = jnp.ones((batch, size, size, outputs))
            total += _seconds(gradient, jnp.ones((3, 3, outputs, inputs)))
    return total


@jax.jit
def _conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _seconds(x: jax.Array, kernel: jax.Array) -> float:
    jax.block_until_ready((x, kernel))
    start = time.perf_counter()
    jax.block_until_ready(_conv(x, kernel))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
