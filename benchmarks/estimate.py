"""Images a day on accelerators: an estimate from operation counts.

Floating point operations of a compiled optimization step, as XLA counts them on the CPU (whose
program may differ from an accelerator's), over the published float32 peak of the device times the
part of it that is presumed to be reached.

    python -m benchmarks.estimate --generator chest64
    python -m benchmarks.estimate --resolution 1024
"""

import argparse

import ilo_jax
from benchmarks.step import begin, compile_steps, random_prior
from ilo_jax.stylegan2 import config_f

DEVICES = {
    # float32 outside of the tensor cores (NVIDIA's data sheet). An H200 reached 0.55 and 0.7 of it
    # (docs/scale.md); the H100's arithmetic is the same, its memory has 0.7 of the speed.
    "one H100 SXM": (67e12, 0.4),
    "eight H100 SXM": (8 * 67e12, 0.4),
    # bfloat16 (Google); a float32 product takes up to six of them. The share is a guess.
    "TPU v5e-16": (16 * 197e12 / 6, 0.1),
}
"""Operations a second in float32, and the part of them that is presumed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--generator", help="a checkpoint; by default config-f, random weights")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=400, help="of an image, over all rounds")
    args = parser.parse_args()

    if args.generator:
        prior = ilo_jax.load(args.generator)
    else:
        prior = random_prior(config_f(args.resolution))
    compiled = compile_steps(begin(prior, 1))
    cost = compiled.cost_analysis()
    assert cost is not None, "this platform does not count"
    step = cost["flops"]  # of the loop's body, once
    print(f"{step / 1e9:.2f} GFLOP a step, {args.steps} steps an image")
    for device, (peak, share) in DEVICES.items():
        day = 24 * 3600 * peak * share / (step * args.steps)
        print(f"{device}: {day:.2g} images a day at {share:.0%} of the peak")


if __name__ == "__main__":
    main()
