"""The command line: `python -m ilo_jax.solve [TASK ...]`."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
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
        epilog="'TASK --help' shows the options of a task. For example: "
        "%(prog)s superres --factor 4 --images scans/*.png --out results",
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
        "--steps", type=_steps, metavar="N,N,...", help=f"steps of each round (default: {defaults})"
    )
    method.add_argument(
        "--lr",
        type=_rates,
        default=(0.1,),
        metavar="X[,X...]",
        help="learning rate, one or one a round (default: 0.1)",
    )
    method.add_argument(
        "--radii",
        type=_radii,
        metavar="R,R,...",
        help="l1 radius of the feature map in each round after the first, inf for no limit "
        "(default: no limit)",
    )
    method.add_argument(
        "--batch-size",
        type=_positive,
        metavar="N",
        help="images at a time (default: by the size of the generator; 32 at 64 px, 1 at 1024 px)",
    )
    # No default: one given before the task is kept.
    method.add_argument(
        "--seed", type=_seed, help="of all that is random; same seed, same bytes (default: 0)"
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
    count = outcome.summary["images"]
    images_done = "1 image" if count == 1 else f"{count} images"
    print(f"{images_done}{quality}: {Path(args.out) / 'contact_sheet.png'}")
    if outcome.unreadable:
        print(
            f"{len(outcome.unreadable)} of {len(paths)} images could not be read", file=sys.stderr
        )
    return 1 if outcome.unreadable else 0


def _use_compilation_cache() -> None:
    """Programs compiled once are found again by later runs; JAX's own setting goes before."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        cache = platformdirs.user_cache_path("ilo_jax") / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(cache))


def _steps(text: str) -> tuple[int, ...]:
    return tuple(_whole(part, 1, None, text) for part in text.split(","))


def _positive(text: str) -> int:
    return _whole(text, 1, None, text)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**32 - 1, text)


def _whole(part: str, low: int, high: int | None, text: str) -> int:
    try:
        value = int(part)
    except ValueError:
        value = None
    if value is None or value < low or (high is not None and value > high):
        bounds = f">= {low}" if high is None else f"from {low} to {high}"
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number {bounds}")
    return value


def _rates(text: str) -> tuple[float, ...]:
    return _numbers(text, "positive numbers", lambda v: 0 < v < math.inf)


def _radii(text: str) -> tuple[float, ...]:
    return _numbers(text, "numbers >= 0, or inf for no limit", lambda v: v >= 0)


def _numbers(text: str, expected: str, good: Callable[[float], bool]) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(good(v) for v in values):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}, separated by commas")
    return values
