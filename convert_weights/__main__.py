"""`python -m convert_weights SOURCE OUT`."""

import argparse
import sys

from convert_weights.convert import convert
from convert_weights.sources import NETWORKS, cache_folder
from ilo_jax.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m convert_weights",
        description="Convert StyleGAN2 weights for ilo_jax: PyTorch state dicts in rosinality's "
        "naming, and NVIDIA's PyTorch and TensorFlow pickles. Files are told apart by what they "
        "hold, and nothing in them is executed.",
        epilog=f"names: {', '.join(NETWORKS)}. Downloads are kept in {cache_folder()}; "
        "set ILO_JAX_CACHE for another folder.",
    )
    parser.add_argument("source", help="checkpoint file, address, or name of a known network")
    parser.add_argument("out", help="folder to write; must not exist")
    parser.add_argument("--preview", metavar="FILE.png", help="draw a grid of samples")
    options = parser.parse_args(arguments)
    try:
        for name, value in convert(options.source, options.out, options.preview).items():
            print(f"{name:14}{value}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
