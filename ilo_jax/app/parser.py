"""The options of `ilo-jax`, which is `python -m ilo_jax.solve`."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from ilo_jax import __version__
from ilo_jax.app import arguments
from ilo_jax.app.groups import (
    add_endings,
    add_files,
    add_generator,
    add_machines,
    add_measured,
    add_measurement,
    add_method,
    add_take_over,
    add_watching,
)
from ilo_jax.app.help import Completion, Parser
from ilo_jax.app.task import Task
from ilo_jax.app.tasks import TASKS


def make_parser() -> argparse.ArgumentParser:
    """Of the whole command; options that were not given are not in what it returns, except where
    help shows a default."""
    called = Path(sys.argv[0]).name
    parser = Parser(
        prog=called if called == "ilo-jax" else "python -m ilo_jax.solve",
        description="Reconstructs images from few, noisy or indirect measurements by Intermediate "
        "Layer Optimization over a StyleGAN2. Without a task: a demo of four tasks on the embedded "
        "generator of 64x64 chest radiographs (research data, not for diagnosis).",
        epilog="'TASK --help' shows the options of a task. For example: "
        "%(prog)s superres --factor 4 --images scans/*.png --out results. A generator of your own: "
        "python -m convert_weights --help. A page to try it on: python -m ilo_jax.app.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="options from a file, .toml or the run.json of an earlier run; given ones go before",
    )
    parser.add_argument(
        "--print-completion",
        action=Completion,
        choices=("bash", "zsh", "tcsh"),
        help="print a script that completes this command in a shell",
    )
    parser.add_argument(
        "--out", default="ilo_demo", help="folder of the demo (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=arguments.seed, default=0, help="of the demo (default: %(default)s)"
    )
    tasks = parser.add_subparsers(dest="task", metavar="TASK", title="tasks", parser_class=Parser)
    for task in TASKS.values():
        _add_task(tasks, task, parser.prog)
    _add_sweep(tasks)
    _add_classify(tasks)
    _add_evaluate(tasks)
    _add_summarize(tasks)
    return parser


def _add_task(subparsers: Any, task: Task, prog: str) -> None:
    parser = subparsers.add_parser(
        task.name,
        aliases=task.aliases,
        help=task.help,
        description=task.help[0].upper() + task.help[1:] + ".",
        epilog=f"for example: {prog} {_example(task)} --images photos/ --out results",
        argument_default=argparse.SUPPRESS,
    )
    parser.set_defaults(task=task.name)
    add_measurement(parser, task)
    add_files(
        parser,
        "results: images/NAME.png, metrics.csv, and report.html to look at them; the same command "
        "goes on where it was interrupted",
    )
    add_measured(parser)
    add_method(parser)
    add_endings(parser)
    add_watching(parser)
    add_machines(parser)
    parser.shorten([option.name for option in task.options])


def _example(task: Task) -> str:
    words = [task.name]
    for name, value in (task.demo or task.examples[0]).items():
        words += [f"--{name}", shlex.quote(value) if isinstance(value, str) else f"{value:g}"]
    return " ".join(words)


def _add_sweep(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sweep",
        help="a task under many settings at once",
        description="Reconstructs images under every combination of settings, in one program.",
    )
    tasks = parser.add_subparsers(
        dest="swept", metavar="TASK", title="tasks", parser_class=Parser, required=True
    )
    for task in TASKS.values():
        swept = tasks.add_parser(
            task.name,
            aliases=task.aliases,
            help=task.help,
            argument_default=argparse.SUPPRESS,
        )
        swept.set_defaults(swept=task.name)
        add_measurement(swept, task)
        add_files(
            swept,
            "results: sweep.csv, a row a run, and sweep.png; the same command goes on where it "
            "was interrupted",
        )
        add_method(swept)
        group = swept.add_argument_group("sweep")
        group.add_argument(
            "--grid",
            action="append",
            type=arguments.axis,
            required=True,
            metavar="NAME=V,V,...",
            help="values to try, again for another name: lr, radii, steps, cuts, or a term of the "
            "objective (its weight); numbers of rounds with colons: radii=300:100:30,inf",
        )
        group.add_argument(
            "--restarts",
            type=arguments.positive,
            default=1,
            metavar="K",
            help="of each image and setting (default: %(default)s)",
        )
        add_machines(swept, whole=False)
        swept.shorten([option.name for option in task.options])


def _add_evaluate(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "evaluate",
        help="how near the images of one folder are to those of another",
        description="PSNR, SSIM, mean absolute error and normalized root mean squared error of the "
        "images that both folders have, by name.",
    )
    parser.add_argument("images", metavar="IMAGES", help="folder of results")
    parser.add_argument("truth", metavar="TRUTH", help="folder of what they should be")
    parser.add_argument("--lpips", action="store_true", help="LPIPS by VGG, too")
    parser.add_argument("--table", metavar="FILE.csv", help="write a row an image")


def _add_summarize(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "summarize",
        help="bring the shards of a run together",
        description="Brings OUT/shards/I-of-N, which --shard has written, together in OUT, as if "
        "one command had computed all of it.",
    )
    parser.add_argument("out", metavar="OUT", help="the --out of the shards")
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="PATH",
        help="where the images are now, if not where they were",
    )
    add_take_over(parser)


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
            "0,100,300,1000",
            "R,R,...",
            "l1 radii of the feature maps, side by side",
        ),
        ("steps", arguments.steps, "30,60", "N,N,...", "steps of each round"),
        ("lr", arguments.rate, "0.1", "X", "learning rate"),
    ):
        text += " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=text)
    add_generator(parser)
    parser.add_argument("--seed", type=arguments.seed, help="of all that is random")
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="results: images/, classes.csv, contact_sheet.png; the same command goes on where it "
        "was interrupted",
    )
    add_take_over(parser)
