"""What is measured, what is read, and where results go."""

import argparse
from typing import Any

from ilo_jax.app import arguments
from ilo_jax.app.options import READERS
from ilo_jax.app.task import Option, Task


def add_measurement(parser: argparse.ArgumentParser, task: Task) -> None:
    """What a task asks for."""
    group = parser.add_argument_group("measurement")
    if len(task.forms) == 1:
        for option in task.options:
            _add_option(group, option, required=option.default is None)
    else:
        one_of = group.add_mutually_exclusive_group(required=True)
        for form in task.forms:
            _add_option(one_of, form[0], required=False)
        for option in dict.fromkeys(option for form in task.forms for option in form[1:]):
            forms = ", --".join(form[0].name for form in task.forms if option in form)
            _add_option(group, option, f"with --{forms}", required=False)


def add_files(parser: argparse.ArgumentParser, out: str) -> None:
    """What goes in, and where it goes."""
    files = parser.add_argument_group("files")
    files.add_argument(
        "--images", nargs="+", required=True, metavar="PATH", help="image files, folders or globs"
    )
    files.add_argument(
        "--recursive",
        action="store_true",
        default=False,
        help="look into folders inside the folders, too",
    )
    files.add_argument(
        "--range",
        nargs=2,
        type=arguments.limit,
        metavar=("LOW", "HIGH"),
        help="numbers of the files that are black and white, HIGH max for the largest one "
        "(default: the full range of their type)",
    )
    files.add_argument("--out", required=True, metavar="DIR", help=out)
    add_take_over(files)


def add_measured(parser: argparse.ArgumentParser) -> None:
    """Measurements as files, and results as numbers."""
    group = parser.add_argument_group("measurements as files")
    group.add_argument(
        "--measured",
        action="store_true",
        default=False,
        help="the files are measurements already: masked or small images, or arrays in .npy, .npz "
        "or HDF5; no truth, no PSNR",
    )
    group.add_argument(
        "--key",
        metavar="NAME",
        help="the measurement's name in a file of several arrays (default: measurement or kspace)",
    )
    group.add_argument(
        "--slice",
        type=arguments.index,
        metavar="N",
        help="which one of a stack of measurements, of a NIfTI volume or of DICOM frames, from 0 "
        "(default: the middle one; the first frame)",
    )
    group.add_argument(
        "--crop",
        action="store_true",
        default=False,
        help="keep the middle of k-space that is larger than the generator's images",
    )
    group.add_argument(
        "--save-measurement",
        action="store_true",
        default=False,
        help="keep what is measured, in OUT/measurements, for --measured",
    )
    group.add_argument(
        "--save-arrays",
        nargs="?",
        choices=("npy", "tiff"),
        const="npy",
        default=None,
        help="keep results as float32, too, in OUT/arrays (default: npy)",
    )
    group.add_argument(
        "--units",
        choices=("image", "input"),
        default="image",
        help="of --save-arrays: image, [-1, 1]; input, what black and white are in the files: by "
        "--range, DICOM's window, or the full range of their type (default: %(default)s)",
    )


def add_take_over(group: Any) -> None:
    """Of a folder that another command seems to use."""
    group.add_argument(
        "--take-over",
        action="store_true",
        default=False,
        help="use a folder that a run of another machine has left in use: it must have ended",
    )


def _add_option(group: Any, option: Option, *notes: str, required: bool) -> None:
    if option.default is not None:
        notes = (*notes, f"default: {option.default}")
    group.add_argument(
        f"--{option.name}",
        type=READERS[option.type].given,
        metavar=READERS[option.type].metavar,
        required=required,
        help=f"{option.help} ({'; '.join(notes)})" if notes else option.help,
    )
