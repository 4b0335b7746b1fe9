"""`python -m convert_weights SOURCE OUT`."""

import argparse
import sys

from convert_weights.convert import convert
from ilo_jax.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m convert_weights",
        description="Convert StyleGAN2 weights for ilo_jax. Nothing in the file is executed.",
    )
    parser.add_argument("source", help="checkpoint file")
    parser.add_argument("out", help="folder to write; must not exist")
    options = parser.parse_args(arguments)
    try:
        for name, value in convert(options.source, options.out).items():
            print(f"{name:10}{value}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
