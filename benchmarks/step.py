"""Seconds of one optimization step of ILO, beside the floor: its convolutions alone.

A step is: W+ latents through the mapping proxy, the synthesis network forward, the mean
squared error of its image, backward to latents and the first five noise maps, Adam. The
solver runs its steps in a `lax.scan`, and so does this. The floor is the time of plain
'same' 3x3 convolutions of the network's sizes, forward and input gradient each, measured
in the same process, in turns. `step_gib` is what the process grows by while it takes steps, weights
and variables being there already; on an accelerator, the temporary memory of its program.

    python -m benchmarks.step --resolution 1024 --batch 1
    python -m benchmarks.step --generator chest64 --batch 32

With `--serve` it answers `benchmarks.rivals`.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import optax
from jax import lax

from ilo_jax import stylegan2
from ilo_jax.stylegan2 import Generator, GeneratorConfig

OPTIMIZED_NOISES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--generator", help="a checkpoint; by default config-f, random weights")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--channels", type=int, nargs="+", help="instead of config-f's")
    parser.add_argument("--w-dim", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3, help="steps in one scan")
    parser.add_argument("--repeats", type=int, default=5, help="scans that are timed")
    parser.add_argument("--serve", action="store_true", help="time a scan for every line of input")
    args = parser.parse_args()

    if args.generator:
        generator = stylegan2.load(args.generator)
    else:
        config = stylegan2.config_f(args.resolution)
        if args.channels:
            config = GeneratorConfig(
                channels=tuple(args.channels), w_dim=args.w_dim, z_dim=args.w_dim
            )
        generator = stylegan2.random_generator(config, jax.random.key(0))
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(generator))

    start = time.perf_counter()
    carry = initial_carry(generator, args.batch)
    run = jax.jit(run_steps, static_argnums=2, donate_argnums=1)
    compiled = run.lower(generator, carry, args.steps).compile()
    compile_seconds = time.perf_counter() - start

    def timed_scan() -> float:
        nonlocal carry
        start = time.perf_counter()
        carry, loss = jax.block_until_ready(compiled(generator, carry))
        assert jnp.isfinite(loss).all()
        return (time.perf_counter() - start) / args.steps

    before = _status_gib("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the peak that compiling had
    timed_scan()  # pays for page faults
    on_cpu = jax.default_backend() == "cpu"
    step_gib = _status_gib("VmHWM") - before if on_cpu else _temporary_gib(compiled)
    if args.serve:
        print(json.dumps({"compile_s": compile_seconds}), flush=True)
        for _ in sys.stdin:
            step_s = timed_scan()
            peak = _status_gib("VmHWM") if on_cpu else step_gib + weights / 2**30
            print(json.dumps({"step_s": step_s, "peak_gib": peak}), flush=True)
        return
    convolution_floor(generator.config, args.batch)  # compiles
    seconds, floors = [], []
    for _ in range(args.repeats):
        seconds.append(timed_scan())
        floors.append(convolution_floor(generator.config, args.batch))
    ratios = [a / b for a, b in zip(seconds, floors, strict=True)]
    report = {
        "resolution": generator.config.resolution,
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


def initial_carry(generator: Generator, batch: int) -> tuple:
    """Variables (latents before the proxy, the first noise maps), Adam's state, all noise maps,
    target."""
    config = generator.config
    k_z, k_noise, k_target = jax.random.split(jax.random.key(1), 3)
    z = jax.random.normal(k_z, (batch, config.num_latents, config.w_dim))
    noises = stylegan2.sample_noises(k_noise, config, (batch,))
    variables = (z, noises[:OPTIMIZED_NOISES])
    target = jax.random.uniform(k_target, (batch, *config.image_shape), minval=-1, maxval=1)
    return variables, optax.adam(0.1).init(variables), noises[OPTIMIZED_NOISES:], target


def run_steps(generator: Generator, carry: tuple, steps: int) -> tuple[tuple, jax.Array]:
    """A scan of optimization steps; returns the carry and the losses `[steps]`."""
    variables, moments, fixed, target = carry
    norms = jax.tree.map(_norm, variables)

    def loss_of(variables):
        z, noises = variables
        image = stylegan2.synthesize(generator, generator.proxy(z), (*noises, *fixed))
        return jnp.mean((image - target) ** 2)

    def step(state, _):
        variables, moments = state
        loss, gradients = jax.value_and_grad(loss_of)(variables)
        updates, moments = optax.adam(0.1).update(gradients, moments)
        variables = optax.apply_updates(variables, updates)
        variables = jax.tree.map(lambda v, n: v * (n / _norm(v)), variables, norms)
        return (variables, moments), loss

    (variables, moments), losses = lax.scan(step, (variables, moments), length=steps)
    return (variables, moments, fixed, target), losses


def _norm(x: jax.Array) -> jax.Array:
    axes = (-1,) if x.ndim == 3 else (-3, -2, -1)
    return jnp.sqrt(jnp.sum(x**2, axes, keepdims=True))


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
