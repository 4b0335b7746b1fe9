"""The command line: `ilo-jax [TASK ...]`, which is `python -m ilo_jax.solve`."""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from ilo_jax.app import arguments
from ilo_jax.app.cache import mend_cache, use_cache
from ilo_jax.app.classify import run_classify
from ilo_jax.app.config import with_config
from ilo_jax.app.demo import demo
from ilo_jax.app.evaluate import run_evaluate
from ilo_jax.app.flags import with_flags
from ilo_jax.app.hosts import ALONE, join
from ilo_jax.app.lock import locked
from ilo_jax.app.parser import make_parser
from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.reconstruct import reconstruct
from ilo_jax.app.run import Run, load_prior
from ilo_jax.app.settings import Settings, Video
from ilo_jax.app.streams import forgive_streams
from ilo_jax.app.sweep import run_sweep
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError, one_line
from ilo_jax.files.find import find_images
from ilo_jax.stopping import CODES, SAID


def run() -> None:
    """The process of `python -m ilo_jax.solve`: runs the command and exits.

    Every processor core is a JAX device, so that a batch is divided over them: on small images
    that is faster than several threads in each operation. JAX allows it before its first operation
    only.
    """
    if jax.config.values["jax_num_cpu_devices"] < 0:
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    forgive_streams()
    mend_cache()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 all done, 1 some images failed, 2 bad input,
    130 interrupted, 143 ended by the system."""
    try:
        parser, tasks = make_parser(), tuple[str, ...]()
        try:
            args = parser.parse_args(with_config(sys.argv[1:] if argv is None else argv, parser))
            tasks = (args.task or "", getattr(args, "swept", ""))
            start_quickly()
            return _run(args, Console(stderr=True, highlight=False))
        except InputError as error:
            print(f"error: {with_flags(error, tasks)}", file=sys.stderr)
            return 2
    except KeyboardInterrupt as stopped:
        print(SAID, file=sys.stderr)
        return CODES[signal.SIGTERM if isinstance(stopped, _Terminated) else signal.SIGINT]


def _run(args: argparse.Namespace, console: Console) -> int:
    if args.task not in TASKS:
        _check_platform()
    if args.task is None:
        with locked(Path(args.out)):
            demo(Path(args.out), args.seed, console)
        return 0
    commands = {"classify": run_classify, "evaluate": run_evaluate, "sweep": run_sweep}
    return commands.get(args.task, _run_task)(args, console)


def _check_platform() -> None:
    """Where a command first needs a device: after the processes of a run have met, since JAX allows
    that before only."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # what JAX has for platforms that are not here
        reason = one_line(error) or "none of the platform that was asked for"
        raise InputError(
            f"JAX finds no device ({reason}); expected JAX_PLATFORMS to name one that is here"
        ) from error


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends as Ctrl-C does."""


def _terminate(*_: object) -> None:
    raise _Terminated


_BY_HAND = {"coordinator": "coordinator", "count": "processes", "index": "process"}


def _run_task(args: argparse.Namespace, console: Console) -> int:
    if not args.video and (hasattr(args, "frame_steps") or hasattr(args, "frame_radii")):
        raise InputError("--frame-steps, --frame-radii: expected with --video")
    if args.video and hasattr(args, "batch_size"):
        raise InputError("--batch-size: expected without --video, which takes one frame at a time")
    if args.reproducible and hasattr(args, "batch_size"):
        raise InputError(
            "--batch-size: expected without --reproducible, which takes one image at a time"
        )
    hosts = arguments.given(args, _BY_HAND)
    if hosts and len(hosts) < len(_BY_HAND):
        raise InputError("--coordinator, --processes, --process: expected all three, or none")
    together = bool(hosts) or args.distributed
    if together and (args.video or args.save_variables):
        raise InputError("--video, --save-variables: expected one process, without the others")
    frames = {"steps": "frame_steps", "radii": "frame_radii"}
    settings = Settings(
        **arguments.chosen(args, TASKS[args.task]),
        measured=args.measured,
        save_variables=args.save_variables,
        samples=args.samples,
        consistent=args.consistent,
        auto=args.auto,
        reproducible=args.reproducible,
        video=Video(**arguments.given(args, frames)) if args.video else None,
        crop=args.crop,
        save_measurement=args.save_measurement,
        save_arrays=args.save_arrays,
        keep_samples=args.keep_samples,
        **arguments.given(args, {"key": "key", "slice": "slice"}),
    )
    notes: list[str] = []
    with join(**hosts) if together else nullcontext(ALONE) as team:
        paths = find_images(args.images, args.measured, args.recursive, notes.append)
        _check_platform()
        prior = load_prior(settings.generator, settings.label, settings.seed)
        run = Run.create(settings, prior, getattr(args, "batch_size", None))
        prefix = f"process {team.index}: " if together else ""
        first = locked(Path(args.out), args.take_over) if team.index == 0 else nullcontext()
        with first, ProgressReporter(console, prefix) as reporter:
            for note in notes if team.index == 0 else []:
                reporter.say(note)
            outcome = reconstruct(run, paths, args.out, reporter, team)
    if outcome.summary is None:
        raise InputError(f"{' '.join(args.images)}: none of {len(paths)} has a result")
    if team.index == 0:
        _report(args, outcome.summary, len(outcome.failed), len(paths))
    return 1 if outcome.failed else 0


def _report(args: argparse.Namespace, summary: dict[str, Any], failed: int, files: int) -> None:
    psnr, count = summary["psnr_db"], summary["images"]
    quality = "" if psnr["mean"] is None else f", PSNR {_with_deviation(psnr, count)} dB"
    images_done = "1 image" if count == 1 else f"{count} images"
    sheet = Path(args.out) / "contact_sheet.png"
    print(f"{images_done}{quality}: {sheet if sheet.exists() else args.out}")
    if failed:
        print(f"{failed} of {files} images failed: why is in metrics.csv", file=sys.stderr)


def _with_deviation(found: dict[str, Any], count: int) -> str:
    """Of statistics; no deviation from infinity, nor of one."""
    if found["std"] is None:
        return found["mean"]
    if count == 1:
        return f"{found['mean']:.2f}"
    return f"{found['mean']:.2f} ± {found['std']:.2f}"


def start_quickly() -> None:
    """Settings of the process for which a library has no right to ask.

    XLA calls tuning hints of a processor ("prefer-no-gather") errors whenever it loads a program
    that was compiled before: its log has what is fatal only, unless the user has said otherwise; 1
    is what JAX says. What really fails is raised. Python looks for garbage less often: what tracing
    makes stays, and looking through it again and again was a quarter of starting.
    """
    unset = jax.config.values["jax_logging_level"] == "NOTSET"
    if unset and os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
        jax.config.update("jax_logging_level", "CRITICAL")
        jax.config.update("jax_logging_level", "NOTSET")  # what Python logs; XLA's stays
    use_cache()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
