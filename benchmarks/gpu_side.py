"""What `benchmarks.gpu` runs in processes of its own, since JAX keeps a device's memory.

python -m benchmarks.gpu_side generator RESOLUTION FOLDER: saves one with random weights
python -m benchmarks.gpu_side rounds RESOLUTION PRECISION: compiling four rounds, and peak memory
python -m benchmarks.gpu_side first: seconds of the command to its first ten steps
"""

import json
import resource
import sys

import jax

from benchmarks.startup import compile_seconds, first_steps
from benchmarks.step import random_prior
from ilo_jax.files.generators import save
from ilo_jax.stylegan2 import config_f


def main() -> None:
    what, *given = sys.argv[1:]
    if what == "generator":
        save(given[1], random_prior(config_f(int(given[0]))).generator, about={})
    elif what == "first":
        print(json.dumps(first_steps()))
    elif what == "rounds":
        seconds = compile_seconds(int(given[0]), given[1]).clock
        print(json.dumps({"compile_s": seconds, "peak_gib": _peak_gib()}))
    else:
        sys.exit(f"{what}: expected generator, rounds or first")


def _peak_gib() -> float:
    """Of the device; of a CPU, of the process."""
    stats = jax.local_devices()[0].memory_stats()
    if stats:
        return stats["peak_bytes_in_use"] / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
