"""The options of `python -m ilo_jax.solve`."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from ilo_jax.ops import TASKS, Option, Task
from ilo_jax.solve import arguments
from ilo_jax.solve.losses import LOSSES
from ilo_jax.solve.methods import METHODS, Method
from ilo_jax.solve.options import READERS
from ilo_jax.solve.settings import RADII
from ilo_jax.stylegan2 import EMBEDDED_DEFAULT


class _Parser(argparse.ArgumentParser):
    """Bad usage is one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help shows the usage)\n")


def make_parser() -> argparse.ArgumentParser:
    """Of the whole command; options that were not given are not in what it returns, except where
    help shows a default."""
    parser = _Parser(
        prog="python -m ilo_jax.solve",
        description="Reconstructs images from few, noisy or indirect measurements by Intermediate "
        "Layer Optimization over a StyleGAN2. Without a task: a demo of five tasks on the embedded "
        "generator of 64x64 chest radiographs (research data, not for diagnosis).",
        epilog="'TASK --help' shows the options of a task. For example: "
        "%(prog)s superres --factor 4 --images scans/*.png --out results",
    )
    parser.add_argument(
        "--out", default="ilo_demo", help="folder of the demo (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=arguments.seed, default=0, help="of the demo (default: %(default)s)"
    )
    tasks = parser.add_subparsers(dest="task", metavar="TASK", title="tasks", parser_class=_Parser)
    for task in TASKS.values():
        _add_task(tasks, task)
    _add_sweep(tasks)
    _add_classify(tasks)
    return parser


def _add_task(subparsers: Any, task: Task) -> None:
    parser = subparsers.add_parser(
        task.name,
        help=task.help,
        description=task.help[0].upper() + task.help[1:] + ".",
        argument_default=argparse.SUPPRESS,
    )
    _add_measurement(parser, task)
    _add_files(
        parser,
        "results: images/NAME.png, metrics.csv, summary.json, contact_sheet.png; "
        "the same command goes on where it was interrupted",
    )
    parser.add_argument(
        "--measured",
        action="store_true",
        default=False,
        help="the images are measurements already (masked or small ones): no truth, no PSNR",
    )
    _add_method(parser, task)
    _add_endings(parser)
    _add_hosts(parser)


def _add_sweep(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sweep",
        help="a task under many settings at once",
        description="Reconstructs images under every combination of settings, in one program.",
    )
    tasks = parser.add_subparsers(
        dest="swept", metavar="TASK", title="tasks", parser_class=_Parser, required=True
    )
    for task in TASKS.values():
        swept = tasks.add_parser(task.name, help=task.help, argument_default=argparse.SUPPRESS)
        _add_measurement(swept, task)
        _add_files(swept, "new folder: sweep.csv, a row a run, and sweep.png")
        _add_method(swept, task)
        group = swept.add_argument_group("sweep")
        group.add_argument(
            "--grid",
            action="append",
            type=arguments.axis,
            required=True,
            metavar="NAME=V,V,...",
            help="values to try, again for another name: lr, radii, radii_latents, radii_noises, "
            "or the weight of a loss; numbers of rounds with colons: radii=300:100:30,inf",
        )
        group.add_argument(
            "--restarts",
            type=arguments.positive,
            default=1,
            metavar="K",
            help="of each image and setting (default: %(default)s)",
        )


def _add_measurement(parser: argparse.ArgumentParser, task: Task) -> None:
    group = parser.add_argument_group("measurement")
    if len(task.forms) == 1:
        for option in task.options:
            _add_option(group, option, required=option.default is None)
    else:
        one_of = group.add_mutually_exclusive_group(required=True)
        for form in task.forms:
            _add_option(one_of, form[0], required=False)
        for form in task.forms:
            for option in form[1:]:
                _add_option(group, option, f"with --{form[0].name}", required=False)


def _add_files(parser: argparse.ArgumentParser, out: str) -> None:
    files = parser.add_argument_group("files")
    files.add_argument(
        "--images", nargs="+", required=True, metavar="PATH", help="image files, folders or globs"
    )
    files.add_argument("--out", required=True, metavar="DIR", help=out)


def _add_method(parser: argparse.ArgumentParser, task: Task) -> None:
    method = parser.add_argument_group("method")
    method.add_argument(
        "--generator",
        default=EMBEDDED_DEFAULT,
        metavar="NAME_OR_DIR",
        help="a folder written by convert_weights, or an embedded one (default: %(default)s)",
    )
    method.add_argument(
        "--method",
        choices=METHODS,
        default="ilo",
        help="; ".join(f"{m.name}: {m.help}" for m in METHODS.values()) + " (default: %(default)s)",
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
        "--layers",
        type=arguments.numbered,
        metavar="L,L,...",
        help="first layer of G2 in each round of ilo, or each repetition of ilo-range; 0 is CSGM's "
        "round (default: blocks 0, 1, 2, ...; ilo-range: block 2)",
    )
    method.add_argument(
        "--lr",
        type=arguments.rates,
        metavar="X[,X...]",
        help="learning rate, one or one a round" + _defaults(lambda m: f"{m.learning_rate:g}"),
    )
    method.add_argument(
        "--radii",
        type=arguments.radii,
        metavar="R[,R...]",
        help="l1 radius of the feature map, one or one for each round that cuts, inf for no limit"
        + _defaults(lambda m: "inf" if m.radius is None else f"{m.radius:g}")
        + "".join(
            f"; ilo with {name}: {','.join(f'{r:g}' for r in radii)}"
            for name, radii in RADII.items()
        ),
    )
    method.add_argument(
        "--weights",
        type=arguments.weight,
        nargs="+",
        metavar="LOSS=X[,X...]",
        help=f"terms of the objective, each with one weight or one a round: {', '.join(LOSSES)}"
        + _defaults(lambda m: " ".join(f"{k}={w:g}" for k, w in m.weights.items())),
    )
    method.add_argument(
        "--tolerance", type=arguments.rate, metavar="X", help="of the loss dead_zone (default: 0.1)"
    )
    method.add_argument(
        "--sna",
        action=argparse.BooleanOptionalAction,
        help="Stochastic Noise Addition: generated images get noise like the measurement's "
        f"(default: {'yes' if task.sna else 'no'})",
    )
    method.add_argument(
        "--batch-size",
        type=arguments.batch_size,
        metavar="N",
        help="images at a time, or auto: as many as fit into memory (default: by the size of the "
        "generator, 1 at 1024 px; at 64 px 32 on a CPU, 256 for each accelerator); halved when "
        "memory runs out",
    )
    # No default: one given before the task is kept.
    method.add_argument(
        "--seed",
        type=arguments.seed,
        help="of all that is random; same seed, same bytes (default: 0)",
    )


def _add_endings(parser: argparse.ArgumentParser) -> None:
    """What only single runs have: references, restarts, variables, video."""
    method = parser.add_argument_group("restarts and references")
    method.add_argument(
        "--reference",
        metavar="PATH",
        help="image, or folder of images of the same names, for the loss reference",
    )
    method.add_argument(
        "--auto",
        action="store_true",
        default=False,
        help="choose radii, learning rate, depth and steps for each image by a part of its "
        "measurement that is held out; the result is the mean of four restarts or --samples, and "
        "consistent where that is defined",
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
        "--consistent",
        action="store_true",
        default=False,
        help="end with the nearest image of the same measurement, for linear tasks without noise",
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
        help="the images are frames in order: each starts from the last one's variables, at the "
        "last cut, and stays near them",
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


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    hosts = parser.add_argument_group(
        "several processes", "The same command for each; --images and --out on shared files."
    )
    hosts.add_argument(
        "--distributed",
        action="store_true",
        default=False,
        help="one of the processes that Slurm, Open MPI, Kubernetes or a TPU pod has started",
    )
    hosts.add_argument(
        "--coordinator", metavar="HOST:PORT", help="started by hand: where process 0 is reached"
    )
    hosts.add_argument(
        "--processes", type=arguments.positive, metavar="N", help="how many there are"
    )
    hosts.add_argument(
        "--process", type=arguments.index, metavar="I", help="which one this is, from 0"
    )


def _add_classify(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "classify",
        help="make images that a classifier takes for a class",
        description="Makes images that a classifier takes for a class: the class is the "
        "measurement, and the radius of the l1 balls says how far from the generator's range an "
        "image may be.",
        argument_default=argparse.SUPPRESS,
    )
    for name, kind, default, metavar, text in (
        ("classifier", str, "digits", "NAME", "embedded (digits), a folder, or MODULE:FUNCTION"),
        ("labels", arguments.numbered, "0,1,2,3,4,5,6,7,8,9", "N,N,...", "classes, from 0"),
        ("samples", arguments.positive, "1", "N", "images of each class and radius"),
        (
            "radii",
            arguments.radii,
            "0,30,100,300",
            "R,R,...",
            "l1 radii of the feature maps, side by side",
        ),
        ("steps", arguments.steps, "30,60", "N,N,...", "steps of each round"),
        ("lr", arguments.rate, "0.1", "X", "learning rate"),
        ("generator", str, EMBEDDED_DEFAULT, "NAME_OR_DIR", "as for the tasks"),
    ):
        text += " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=text)
    parser.add_argument("--seed", type=arguments.seed, help="of all that is random")
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="new folder: images/, classes.csv, contact_sheet.png",
    )


def _defaults(of: Callable[[Method], str]) -> str:
    """`(default: ...)`, with those methods behind it that differ from the first."""
    first, *others = METHODS.values()
    differ = [f"; {m.name}: {of(m)}" for m in others if of(m) != of(first)]
    return f" (default: {of(first)}{''.join(differ)})"


def _add_option(group: Any, option: Option, *notes: str, required: bool) -> None:
    if option.default is not None:
        notes = (*notes, f"default: {option.default}")
    group.add_argument(
        f"--{option.name}",
        type=option.type if isinstance(option.type, type) else str,
        metavar=READERS[option.type].metavar,
        required=required,
        help=f"{option.help} ({'; '.join(notes)})" if notes else option.help,
    )
