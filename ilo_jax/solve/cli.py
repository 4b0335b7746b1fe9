"""The command line: `python -m ilo_jax.solve [TASK ...]`."""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
import platformdirs
from rich.console import Console

from ilo_jax.errors import InputError
from ilo_jax.ops import TASKS, Option, Task
from ilo_jax.solve import images
from ilo_jax.solve.classify import run_classify
from ilo_jax.solve.demo import demo
from ilo_jax.solve.losses import LOSSES
from ilo_jax.solve.methods import METHODS, Method
from ilo_jax.solve.options import READERS
from ilo_jax.solve.progress import ProgressReporter
from ilo_jax.solve.run import reconstruct
from ilo_jax.solve.settings import RADII, Run, Settings, Video
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
        return args.run(args, console)
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
        "Layer Optimization over a StyleGAN2. Without a task: a demo of five tasks on the embedded "
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
    _add_classify(tasks)
    return parser


def _add_task(subparsers: Any, task: Task) -> None:
    parser = subparsers.add_parser(
        task.name,
        help=task.help,
        description=task.help[0].upper() + task.help[1:] + ".",
        argument_default=argparse.SUPPRESS,
    )
    parser.set_defaults(run=_run_task)
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
        help="; ".join(f"{m.name}: {m.help}" for m in METHODS.values()) + " (default: %(default)s)",
    )
    method.add_argument(
        "--steps",
        type=_steps,
        metavar="N,N,...",
        help="steps of each round"
        + _defaults(lambda m: ",".join(map(str, m.steps)))
        + "; ilo-range: of CSGM's, then of ball and projection in turns",
    )
    method.add_argument(
        "--layers",
        type=_numbered,
        metavar="L,L,...",
        help="first layer of G2 in each round of ilo, or each repetition of ilo-range; 0 is CSGM's "
        "round (default: blocks 0, 1, 2, ...; ilo-range: block 2)",
    )
    method.add_argument(
        "--lr",
        type=_rates,
        metavar="X[,X...]",
        help="learning rate, one or one a round" + _defaults(lambda m: f"{m.learning_rate:g}"),
    )
    method.add_argument(
        "--radii",
        type=_radii,
        metavar="R[,R...]",
        help="l1 radius of the feature map, one or one for each round that cuts, inf for no limit"
        + _defaults(lambda m: "inf" if m.radius is None else f"{m.radius:g}")
        + "".join(
            f"; ilo with {name}, but for invert: {','.join(f'{r:g}' for r in radii)}"
            for name, radii in RADII.items()
        ),
    )
    method.add_argument(
        "--weights",
        type=_weight,
        nargs="+",
        metavar="LOSS=X[,X...]",
        help=f"terms of the objective, each with one weight or one a round: {', '.join(LOSSES)}"
        + _defaults(lambda m: " ".join(f"{k}={w:g}" for k, w in m.weights.items())),
    )
    method.add_argument(
        "--tolerance", type=_rate, metavar="X", help="of the loss dead_zone (default: 0.1)"
    )
    method.add_argument(
        "--reference",
        metavar="PATH",
        help="image, or folder of images of the same names, for the loss reference",
    )
    method.add_argument(
        "--sna",
        action=argparse.BooleanOptionalAction,
        help="Stochastic Noise Addition: generated images get noise like the measurement's "
        f"(default: {'yes' if task.sna else 'no'})",
    )
    method.add_argument(
        "--samples",
        type=_positive,
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
        "--frame-steps", type=_positive, metavar="N", help="of later frames (default: 100)"
    )
    video.add_argument(
        "--frame-radii",
        type=_three_radii,
        metavar="R,R,R",
        help="of later frames: l1 radii of feature map, latents, and each noise map "
        "(default: 200,200,5)",
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


def _add_classify(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "classify",
        help="make images that a classifier takes for a class",
        description="Makes images that a classifier takes for a class: the class is the "
        "measurement, and the radius of the l1 balls says how far from the generator's range an "
        "image may be.",
        argument_default=argparse.SUPPRESS,
    )
    parser.set_defaults(run=run_classify)
    for name, kind, default, metavar, text in (
        ("classifier", str, "digits", "NAME", "embedded (digits), a folder, or MODULE:FUNCTION"),
        ("labels", _numbered, "0,1,2,3,4,5,6,7,8,9", "N,N,...", "classes, from 0"),
        ("samples", _positive, "1", "N", "images of each class and radius"),
        ("radii", _radii, "0,30,100,300", "R,R,...", "l1 radii of the feature maps, side by side"),
        ("steps", _steps, "30,60", "N,N,...", "steps of each round"),
        ("lr", _rate, "0.1", "X", "learning rate"),
        ("generator", str, EMBEDDED_DEFAULT, "NAME_OR_DIR", "as for the tasks"),
    ):
        text += " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=text)
    parser.add_argument("--seed", type=_seed, help="of all that is random")
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


_AS_GIVEN = ("steps", "layers", "lr", "radii", "tolerance", "sna", "reference", "start")


def _given(args: argparse.Namespace, names: Mapping[str, str]) -> dict[str, Any]:
    """Options that were given, under other names."""
    return {name: getattr(args, at) for name, at in names.items() if hasattr(args, at)}


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


def _run_task(args: argparse.Namespace, console: Console) -> int:
    if not args.video and (hasattr(args, "frame_steps") or hasattr(args, "frame_radii")):
        raise InputError("--frame-steps, --frame-radii: expected with --video")
    if args.video and hasattr(args, "batch_size"):
        raise InputError("--batch-size: expected without --video, which takes one frame at a time")
    frames = {"steps": "frame_steps", "radii": "frame_radii"}
    task = TASKS[args.task]
    given = {o.name: getattr(args, o.name) for o in task.options if hasattr(args, o.name)}
    settings = Settings(
        task=args.task,
        options=task.complete(given),
        method=args.method,
        seed=args.seed,
        weights=dict(args.weights) if hasattr(args, "weights") else None,
        measured=args.measured,
        generator=args.generator,
        save_variables=args.save_variables,
        samples=args.samples,
        consistent=args.consistent,
        video=Video(**_given(args, frames)) if args.video else None,
        **_given(args, {name: name for name in _AS_GIVEN}),
    )
    paths = images.find_images(args.images)
    run = Run.create(settings, load(args.generator), getattr(args, "batch_size", None))
    with ProgressReporter(console) as reporter:
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


def _rate(text: str) -> float:
    (value,) = _numbers(text, "one number > 0", lambda v: 0 < v < math.inf, 1)
    return value


def _three_radii(text: str) -> tuple[float, ...]:
    return _numbers(text, "three numbers >= 0, or inf for no limit", lambda v: v >= 0, 3)


def _numbered(text: str) -> tuple[int, ...]:
    return tuple(_whole(part, 0, None, text) for part in text.split(","))


def _weight(text: str) -> tuple[str, tuple[float, ...]]:
    name, equals, values = text.partition("=")
    if not equals or name not in LOSSES:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected LOSS=X, with LOSS one of {', '.join(LOSSES)}"
        )
    return name, _numbers(values, "numbers >= 0", lambda v: 0 <= v < math.inf)


def _radii(text: str) -> tuple[float, ...]:
    return _numbers(text, "numbers >= 0, or inf for no limit", lambda v: v >= 0)


def _numbers(
    text: str, expected: str, good: Callable[[float], bool], count: int | None = None
) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(good(v) for v in values) or (count is not None and len(values) != count):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}, separated by commas")
    return values
