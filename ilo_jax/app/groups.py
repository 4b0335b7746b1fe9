"""Groups of options that commands of `python -m ilo_jax.solve` share."""

import argparse
from collections.abc import Callable
from typing import Any

from ilo_jax.app import arguments
from ilo_jax.app.animation import FORMATS
from ilo_jax.app.options import READERS
from ilo_jax.app.task import Option, Task
from ilo_jax.files.generators import EMBEDDED_DEFAULT
from ilo_jax.solve import EFFORTS, PRESETS, TERMS
from ilo_jax.solve.methods import Preset
from ilo_jax.solve.methods.numbers import join
from ilo_jax.stylegan2 import PRECISIONS


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


def add_generator(group: Any) -> None:
    """Which generator, and which of its classes."""
    group.add_argument(
        "--generator",
        default=EMBEDDED_DEFAULT,
        metavar="NAME_OR_DIR",
        help="a folder or .safetensors file written by convert_weights, or an embedded one "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--label",
        type=arguments.index,
        metavar="N",
        help="the class, from 0, of a class-conditional generator",
    )


def add_method(parser: argparse.ArgumentParser) -> None:
    """How it is solved."""
    methods = (f"{name}: {m.help}" for name, m in PRESETS.items())
    method = parser.add_argument_group("method", "; ".join(methods) + ".")
    add_generator(method)
    method.add_argument(
        "--method",
        choices=PRESETS,
        help="what is optimized, as docs/methods.md has it (default: ilo; ilo-mean where the task "
        "measures next to nothing and no cuts, radii or learning rates are given)",
    )
    method.add_argument(
        "--steps",
        type=arguments.steps,
        metavar="N,N,...",
        help="steps of each round"
        + _defaults(lambda m: ",".join(map(str, m.steps)))
        + "; ilo-range: of CSGM's, then of ball and projection in turns",
    )
    method.add_argument(
        "--cuts",
        type=arguments.numbered,
        metavar="L,L,...",
        help="first layer of G2 in each round of ilo, or each repetition of ilo-range; 0 is CSGM's "
        "round (default: blocks 0, 1, 2, ...; ilo-range: block 2)",
    )
    method.add_argument(
        "--lr",
        type=arguments.rates,
        metavar="X[,X...]",
        help="learning rate, one or one a round" + _defaults(lambda m: join(m.rate)),
    )
    method.add_argument(
        "--radii",
        type=arguments.radii,
        metavar="R[,R...]",
        help="l1 radius of the feature map, one or one for each round that cuts, inf for no limit "
        "(default: the generator's, or else inf"
        + "".join(f"; {name}: {m.radii:g}" for name, m in PRESETS.items() if m.radii is not None)
        + ")",
    )
    method.add_argument(
        "--weights",
        type=arguments.weight,
        nargs="+",
        metavar="TERM=X[,X...]",
        help=f"terms of the objective, each with one weight or one a round: {', '.join(TERMS)} "
        "(default: mse=1 geocross=0.001; pulse and projector have their own)",
    )
    method.add_argument(
        "--tolerance", type=arguments.rate, metavar="X", help="of the term dead_zone (default: 0.1)"
    )
    method.add_argument(
        "--sna",
        action=argparse.BooleanOptionalAction,
        help="Stochastic Noise Addition: generated images get noise like the measurement's "
        "(default: where that is Gaussian and not clipped; denoise clips)",
    )
    method.add_argument(
        "--batch-size",
        type=arguments.batch_size,
        metavar="N",
        help="images at a time on each device (of a CPU, each core), or auto: as many as fit into "
        "memory (default: by the size of the generator, 1 at 1024 px; at 64 px 32 over all cores "
        "of a CPU, 256 on an accelerator); halved when memory runs out",
    )
    method.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of the generator's features and convolutions; bfloat16 has half the bytes, for "
        "GPUs and TPUs, and gives other last digits (default: float32)",
    )
    # No default: one given before the task is kept.
    method.add_argument(
        "--seed",
        type=arguments.seed,
        help="of all that is random; same command, same bytes (default: 0)",
    )


def add_endings(parser: argparse.ArgumentParser) -> None:
    """What only single runs have: references, restarts, variables, video."""
    method = parser.add_argument_group("restarts and references")
    method.add_argument(
        "--reference",
        metavar="PATH",
        help="image, or folder of images of the same names, for the term reference",
    )
    method.add_argument(
        "--auto",
        nargs="?",
        choices=EFFORTS,
        const="full",
        default=None,
        metavar="quick",
        help="choose start, depth, radii, learning rate and steps for each image by a part of its "
        "measurement that is held out; the result is the mean of restarts, in all ten times a "
        "plain run, or with quick three times",
    )
    method.add_argument(
        "--samples",
        type=arguments.positive,
        default=1,
        metavar="K",
        help="restarts of each image: their mean is the result, their spread is drawn beside it "
        "(default: %(default)s)",
    )
    method.add_argument(
        "--keep-samples",
        action="store_true",
        default=False,
        help="keep each restart's image, in OUT/samples/NAME",
    )
    method.add_argument(
        "--consistent",
        action="store_true",
        default=False,
        help="end with the nearest image of the same measurement, as far as its noise allows, for "
        "linear tasks whose noise is Gaussian or rounding",
    )
    method.add_argument(
        "--reproducible",
        action="store_true",
        default=False,
        help="solve each image by itself, on one device, so that its bytes do not depend on which "
        "others there are, on their order, or on the number of devices; at 64 px this takes twice "
        "the time on two cores, and far more on an accelerator",
    )
    method.add_argument(
        "--prior-image",
        metavar="PATH",
        help="an earlier image of the same subject, or a folder of images of the same names: its "
        "codes are kept but for what may change, in balls around them",
    )
    method.add_argument(
        "--prior-layers",
        type=arguments.two_layers,
        metavar="A,B",
        help="first and last layer that may change (default: all)",
    )
    method.add_argument(
        "--prior-radii",
        type=arguments.two_radii,
        metavar="R,R",
        help="l1 radii of latents and each noise map around the earlier image's (default: 20,5); "
        "of feature maps --radii",
    )
    video = parser.add_argument_group("variables and video")
    video.add_argument(
        "--save-variables",
        action="store_true",
        default=False,
        help="keep what was optimized, in OUT/variables",
    )
    video.add_argument(
        "--start",
        metavar="DIR",
        help="start from the variables of the same images in the results of another run",
    )
    video.add_argument(
        "--video",
        action="store_true",
        default=False,
        help="the images are frames in order, or those of one GIF or MP4: each starts from the "
        "last one's variables, at the last cut, and stays near them",
    )
    video.add_argument(
        "--frame-steps", type=arguments.positive, metavar="N", help="of later frames (default: 100)"
    )
    video.add_argument(
        "--frame-radii",
        type=arguments.three_radii,
        metavar="R,R,R",
        help="of later frames: l1 radii of feature map, latents, and each noise map "
        "(default: 200,200,5)",
    )


def add_watching(parser: argparse.ArgumentParser) -> None:
    """How a run is looked at, while it goes on and afterwards."""
    group = parser.add_argument_group("to look at")
    group.add_argument(
        "--animate",
        nargs="?",
        choices=FORMATS,
        const=FORMATS[0],
        default=None,
        metavar="|".join(FORMATS),
        help="how each image comes to be, every ten steps, in OUT/animations (default: %(const)s)",
    )
    group.add_argument(
        "--lpips",
        action="store_true",
        default=False,
        help="LPIPS by VGG among the metrics",
    )
    group.add_argument(
        "--tensorboard",
        action="store_true",
        default=False,
        help="curves, metrics and images in OUT/tensorboard, as they come",
    )


def add_machines(parser: argparse.ArgumentParser, whole: bool = True) -> None:
    """More than one machine. Args: whole: whether results may be Parquet, in a store, too."""
    machines = parser.add_argument_group("many machines")
    machines.add_argument(
        "--shard",
        type=arguments.shard,
        metavar="I/N",
        help="part I, from 0, of N, for array jobs: results in OUT/shards/I-of-N, which `summarize "
        "OUT` brings together",
    )
    machines.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="HOST:PORT",
        help="a worker on each device of a Ray cluster, or of this machine if none is named; nodes "
        f"may come and go; --images {'and --out ' if whole else ''}may be in object stores, images "
        "in Parquet or tars",
    )
    if not whole:
        return
    machines.add_argument(
        "--parquet",
        action="store_true",
        default=False,
        help="with --ray: results as Parquet, as they are in an object store",
    )


def _defaults(of: Callable[[Preset], str]) -> str:
    """`(default: ...)`, with those methods behind it that differ from the first."""
    (_, first), *others = PRESETS.items()
    differ = [f"; {name}: {of(m)}" for name, m in others if of(m) != of(first)]
    return f" (default: {of(first)}{''.join(differ)})"


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
