"""`python -m convert_weights SOURCE OUT`."""

import argparse
import math
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
    parser.add_argument(
        "--radii",
        metavar="R,R,...",
        type=_radii,
        default=(),
        help="l1 radii of ILO's balls at the generator's usual cuts, kept with it as the default",
    )
    parser.add_argument(
        "--notice", default="", metavar="TEXT", help="what is said wherever its images are shown"
    )
    parser.add_argument(
        "--licence", default="", metavar="TEXT", help="of its weights and images, kept with it"
    )
    options = parser.parse_args(arguments)
    try:
        report = convert(
            options.source,
            options.out,
            options.preview,
            radii=options.radii,
            notice=options.notice,
            licence=options.licence,
        )
        for name, value in report.items():
            print(f"{name:14}{value}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _radii(text: str) -> tuple[float, ...]:
    radii = tuple(float(number) for number in text.split(","))
    if not all(0 <= radius < math.inf for radius in radii):
        raise ValueError(text)
    return radii


_radii.__name__ = "radii"  # in argparse's message


if __name__ == "__main__":
    sys.exit(main())
