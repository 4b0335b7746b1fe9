"""Bytes that a step moves on an H100, counted in the program that XLA makes for one, without a GPU.

    python -m benchmarks.traffic --resolution 1024 --batch 1

Needs `pip install "jax[cuda13]"` in an environment of its own. A step is that of `benchmarks.step`;
each instruction of its loop counts the arrays that it reads and writes, each once. The floor: the
features that a layer reads and writes, once forward and twice backward. What is not known without
a GPU are the forms of convolutions that are measured there, and what any of this takes in seconds.
With PYTHONPATH=CHECKOUT, `python benchmarks/traffic.py` counts the step of that clone.
"""

import argparse
import math
import re
from collections import defaultdict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from benchmarks.step import begin, random_prior
from ilo_jax.solve import Run, Search, steps
from ilo_jax.stylegan2 import PRECISIONS, GeneratorConfig, config_f

H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  memory_bandwidth: 3352320000000
  device_memory_size: 84942979072
  l2_cache_size: 52428800
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 2 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
SIZES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "u64": 8}
MOVES_NOTHING = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while")
Computations = dict[str, list["Instruction"]]


class Instruction(NamedTuple):
    """Of a program in XLA's text form: what it gives, by which operation, of what."""

    name: str
    kind: str
    operation: str
    operands: list[str]
    rest: str


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--largest", type=int, default=10, help="instructions that are listed")
    args = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")  # an attached GPU is left alone
    jax.default_backend = lambda: "gpu"  # by which ours chooses its forms

    config = config_f(args.resolution)
    program = compile_step(config, args.batch, args.precision)
    moved = count(computations(program.as_text()))
    floor = args.batch * floor_of(config) // (1 if args.precision == "float32" else 2)
    memory = program.memory_analysis().temp_size_in_bytes
    total = sum(size for size, _ in moved)
    print(f"a step moves {total / 1e9:.2f} GB, {total / floor:.2f} of its floor, {floor / 1e9:.2f}")
    print(f"temporary memory {memory / 2**30:.2f} GiB")
    groups: dict[str, list[int]] = defaultdict(list)
    for size, instruction in moved:
        target = re.search(r'custom_call_target="([^"]*)"', instruction.rest)
        groups[target[1] if target else instruction.operation].append(size)
    for name, sizes in sorted(groups.items(), key=lambda group: -sum(group[1])):
        print(f"{sum(sizes) / 1e6:8.1f} MB  {name}, {len(sizes)} of them")
    for size, instruction in sorted(moved, key=lambda each: -each[0])[: args.largest]:
        layer = re.search(r'op_name="[^"]*?((?:layers|to_rgb)_[^"]*)"', instruction.rest)
        print(f"{size / 1e6:8.1f} MB  {instruction.name}: {layer[1] if layer else ''}")


def compile_step(config: GeneratorConfig, batch: int, precision: str) -> Any:
    """For one H100."""
    topology = topologies.get_topology_desc("", "cuda", target_config=H100, topology="1x1x1")
    place = jax.sharding.SingleDeviceSharding(topology.devices[0])

    def start() -> Run:
        return begin(random_prior(config).with_precision(precision), batch)

    def advance(run: Run, number: jax.Array) -> Search:
        return steps(run, number).search  # pyright: ignore[reportArgumentType]

    arguments = jax.eval_shape(start), jax.ShapeDtypeStruct((), jnp.int32)
    placed = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), arguments
    )
    # Nothing is timed on a device, and code is not optimized: only what the program is.
    options: dict[str, Any] = {"xla_gpu_autotune_level": 0, "xla_backend_optimization_level": 0}
    return jax.jit(advance).lower(*placed).compile(options)


def floor_of(config: GeneratorConfig) -> int:
    """Bytes of an image in float32."""
    values = 0
    for layer in range(config.num_layers):
        side, reads = config.layer_resolution(layer), config.layer_channels(max(0, layer - 1))
        values += side**2 * config.layer_channels(layer) + (side // (1 + layer % 2)) ** 2 * reads
    return 3 * 4 * values


def computations(text: str) -> Computations:
    found: Computations = {}
    current: list[Instruction] = []
    for line in text.splitlines():
        if begun := re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            current = found.setdefault(begun[1], [])
        elif parts := re.match(r"\s+(?:ROOT )?%([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)", line):
            name, kind, operation, rest = parts.groups()
            operands = re.findall(r"%([\w.\-]+)", rest.split(")", 1)[0])
            current.append(Instruction(name, kind, operation, operands, rest))
    return found


def count(program: Computations) -> list[tuple[int, Instruction]]:
    """Bytes of each instruction of the loop that moves most, which is that of the steps."""
    everything = " ".join(each.rest for body in program.values() for each in body)
    loops = set(re.findall(r"body=%([\w.\-]+)", everything))
    return max((_moved(program, loop) for loop in loops), key=lambda body: sum(s for s, _ in body))


def _moved(program: Computations, name: str) -> list[tuple[int, Instruction]]:
    kinds = {each.name: each.kind for each in program[name]}
    moved = []
    for each in program[name]:
        if each.operation not in MOVES_NOTHING:
            called = re.search(r"calls=%([\w.\-]+)", each.rest)
            inside = program[called[1]] if called and each.operation == "fusion" else []
            read = [_read(inside, i, kinds[name]) for i, name in enumerate(each.operands)]
            moved.append((sum(read) + size_of(each.kind), each))
    return moved


def _read(inside: list[Instruction], index: int, kind: str) -> int:
    """Bytes of an operand, or of the slices of it that are all that a fusion reads."""
    called = {
        e.name for e in inside if e.operation == "parameter" and e.rest.startswith(f"{index})")
    }
    uses = [e for e in inside if called.intersection(e.operands)]
    if uses and all(each.operation in ("slice", "dynamic-slice") for each in uses):
        return min(size_of(kind), sum(size_of(each.kind) for each in uses))
    return size_of(kind)


def size_of(kind: str) -> int:
    """Bytes of an array, or of all of a tuple, by its type: `f32[1,4,4,512]{3,2,1,0}`."""
    arrays = re.findall(r"(\w+)\[([\d,]*)\]", kind)
    return sum(SIZES[t] * math.prod(int(n) for n in axes.split(",") if n) for t, axes in arrays)


if __name__ == "__main__":
    main()
