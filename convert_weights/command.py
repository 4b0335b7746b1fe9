"""The command line of `python -m convert_weights`."""

import argparse
import math
import pathlib
import sys
from collections.abc import Sequence

from convert_weights.convert import convert
from convert_weights.preview import write_preview
from convert_weights.sources import NETWORKS, cache_folder
from ilo_jax.errors import InputError
from ilo_jax.priors import NO_FACTS

FACTS = ("growth", "scarce", "residual", "reach", "batch", "grey", "notice", "licence")


def run(arguments: Sequence[str] | None = None) -> int:
    """Converts; the exit code is 2 for bad input, 1 if only the preview failed."""
    parser = argparse.ArgumentParser(
        prog="python -m convert_weights",
        description="Convert StyleGAN2 weights for ilo_jax: PyTorch state dicts in rosinality's "
        "naming, and NVIDIA's PyTorch and TensorFlow pickles. Files are told apart by what they "
        "hold, and nothing in them is executed.",
        epilog=f"names: {', '.join(NETWORKS)}. Downloads are kept in {cache_folder()}; "
        "set ILO_JAX_CACHE for another folder.",
    )
    parser.add_argument(
        "source",
        help="checkpoint file, address, hf://owner/name/file, name of a known network, or a "
        "generator that was converted already",
    )
    parser.add_argument("out", help="folder to write, or one file NAME.safetensors; must not exist")
    parser.add_argument("--preview", metavar="FILE.png", help="draw a grid of samples")
    parser.add_argument(
        "--radii",
        metavar="R,R,...",
        type=_radii,
        default=(),
        help="l1 radii of ILO's balls at the generator's usual cuts, kept with it as the default",
    )
    for name, metavar, text in (
        (
            "growth",
            "X",
            "how they grow where much is measured: times 1 + X s / (1 - s), s the share of an "
            "image that is determined",
        ),
        (
            "scarce",
            "SHARE",
            "up to which share of an image determined ILO begins from the mean of W",
        ),
        (
            "residual",
            "MSE",
            "mean squared distance of images of its kind from its range, of values in [-1, 1]",
        ),
        (
            "reach",
            "MSE",
            "mean squared error that CSGM leaves of images of its kind (benchmarks/reach.py); what "
            "is far beyond is said to be of another kind",
        ),
    ):
        default = getattr(NO_FACTS, name)
        parser.add_argument(f"--{name}", metavar=metavar, type=float, default=default, help=text)
    parser.add_argument(
        "--batch", metavar="N", type=int, default=0, help="images at a time on one device"
    )
    parser.add_argument("--grey", action="store_true", help="its images have equal channels")
    parser.add_argument(
        "--notice", default="", metavar="TEXT", help="what is said wherever its images are shown"
    )
    parser.add_argument(
        "--licence", default="", metavar="TEXT", help="of its weights and images, kept with it"
    )
    options = parser.parse_args(arguments)
    preview = None if options.preview is None else pathlib.Path(options.preview)
    try:
        if preview is not None and (preview.is_dir() or not preview.parent.is_dir()):
            raise InputError(f"{preview}: expected a file in a folder that exists")
        generator, report = convert(
            options.source,
            options.out,
            radii=options.radii,
            **{name: getattr(options, name) for name in FACTS},
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, value in report.items():
        print(f"{name:14}{value}")
    try:
        if preview is not None:
            write_preview(preview, generator)
    except InputError as error:
        print(f"error: {error}; {options.out} is written", file=sys.stderr)
        return 1
    return 0


def _radii(text: str) -> tuple[float, ...]:
    radii = tuple(float(number) for number in text.split(","))
    if not all(0 <= radius < math.inf for radius in radii):
        raise ValueError(text)
    return radii


_radii.__name__ = "radii"  # in argparse's message
