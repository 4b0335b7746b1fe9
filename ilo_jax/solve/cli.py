"""The command line: `python -m ilo_jax.solve [TASK ...]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
import platformdirs
from rich.console import Console

from ilo_jax.errors import InputError
from ilo_jax.ops import TASKS, Option, Task
from ilo_jax.solve import images
from ilo_jax.solve.demo import demo
from ilo_jax.solve.progress import ProgressReporter
from ilo_jax.solve.run import METHODS, Run, Settings, reconstruct
from ilo_jax.stylegan2 import EMBEDDED_DEFAULT, load


class _Parser(argparse.ArgumentParser):
    """Bad usage is one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help shows the usage)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 all done, 1 some images could not be read,
    2 bad input, 130 interrupted."""
    args = _parser().parse_args(argv)
    console = Console(stderr=True, highlight=False)
    _use_compilation_cache()
    try:
        if args.task is None:
            demo(Path(args.out), args.seed, console)
            return 0
        return _run_task(args, console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where this one stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m ilo_jax.solve",
        description="Reconstructs images from few, noisy or indirect measurements by Intermediate "
        "Layer Optimization over a StyleGAN2. Without a task: a demo of every task on the embedded "
        "generator of 64x64 chest radiographs (research data, not for diagnosis).",
        epilog="'TASK --help' shows the options of a task.",
    )
    parser.add_argument(
        "--out", default="ilo_demo", help="folder of the demo (default: %(default)s)"
    )
    parser.add_argument("--seed", type=_seed, default=0, help="of the demo (default: %(default)s)")
    tasks = parser.add_subparsers(dest="task", metavar="TASK", title="tasks", parser_class=_Parser)
    for task in TASKS.values():
        _add_task(tasks, task)
    return parser


def _add_task(subparsers: Any, task: Task) -> None:
    parser = subparsers.add_parser(
        task.name,
        help=task.help,
        description=task.help[0].upper() + task.help[1:] + ".",
        argument_default=argparse.SUPPRESS,
    )
    if task.options:
        group = parser.add_argument_group("measurement")
        group = group.add_mutually_exclusive_group(required=True)
        for option in task.options:
            _add_option(group, option)
    files = parser.add_argument_group("files")
    files.add_argument(
        "--images", nargs="+", required=True, metavar="PATH", help="image files, folders or globs"
    )
    files.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="results: images/NAME.png, metrics.csv, summary.json, contact_sheet.png; "
        "the same command goes on where it was interrupted",
    )
    files.add_argument(
        "--measured",
        action="store_true",
        default=False,
        help="the images are measurements already (masked or small ones): no truth, no PSNR",
    )
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
        help="; ".join(f"{name}: {text}" for name, (_, text) in METHODS.items())
        + " (default: %(default)s)",
    )
    defaults = "; ".join(f"{k}: {','.join(map(str, v))}" for k, (v, _) in METHODS.items())
    method.add_argument(
        "--steps", type=_ints, metavar="N,N,...", help=f"steps of each round (default: {defaults})"
    )
    method.add_argument(
        "--lr",
        type=_floats,
        default=(0.1,),
        metavar="X[,X...]",
        help="learning rate, one or one a round (default: 0.1)",
    )
    method.add_argument(
        "--radii",
        type=_floats,
        metavar="R,R,...",
        help="l1 radius of the feature map in each round after the first (default: no limit)",
    )
    method.add_argument(
        "--batch-size",
        type=_positive,
        metavar="N",
        help="images at a time (default: by the size of the generator; 32 at 64 px, 1 at 1024 px)",
    )
    method.add_argument(
        "--seed", type=_seed, default=0, help="same seed, same bytes (default: %(default)s)"
    )


def _add_option(group: Any, option: Option) -> None:
    is_mask = option.type == "mask"
    group.add_argument(
        f"--{option.name}",
        type=str if is_mask else option.type,
        metavar="FILE" if is_mask else {float: "X", int: "N"}[option.type],
        help=option.help,
    )


def _run_task(args: argparse.Namespace, console: Console) -> int:
    names = (option.name for option in TASKS[args.task].options)
    settings = Settings(
        task=args.task,
        options={name: getattr(args, name) for name in names if hasattr(args, name)},
        method=args.method,
        steps=getattr(args, "steps", METHODS[args.method][0]),
        seed=args.seed,
        lr=args.lr,
        radii=getattr(args, "radii", ()),
        measured=args.measured,
        generator=args.generator,
    )
    paths = images.find_images(args.images)
    run = Run.create(settings, load(args.generator), getattr(args, "batch_size", None))
    with ProgressReporter(console, settings.steps) as reporter:
        outcome = reconstruct(run, paths, args.out, reporter)
    if outcome.summary is None:
        raise InputError(f"{' '.join(args.images)}: none of the images can be read")
    psnr = outcome.summary["psnr_db"]
    quality = "" if psnr["mean"] is None else f", PSNR {psnr['mean']:.2f} ± {psnr['std']:.2f} dB"
    print(f"{outcome.summary['images']} images{quality}: {Path(args.out) / 'contact_sheet.png'}")
    if outcome.unreadable:
        print(f"{len(outcome.unreadable)} images could not be read", file=sys.stderr)
    return 1 if outcome.unreadable else 0


def _use_compilation_cache() -> None:
    """Programs compiled once are found again by later runs; JAX's own setting goes before."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        cache = platformdirs.user_cache_path("ilo_jax") / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(cache))


def _ints(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _floats(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if not all(v >= 0 for v in values):
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers >= 0, separated by commas")
    return values


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number >= 1")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 to 4294967295")
    return value
