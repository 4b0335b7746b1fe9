"""The command line: `ilo-jax [TASK ...]`, which is `python -m ilo_jax.solve`."""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console

from ilo_jax.app.cache import mend_cache, use_cache
from ilo_jax.app.classify import run_classify
from ilo_jax.app.command import run_task
from ilo_jax.app.config import with_config
from ilo_jax.app.cores import usable_cores
from ilo_jax.app.demo import demo
from ilo_jax.app.evaluate import run_evaluate
from ilo_jax.app.flags import with_flags
from ilo_jax.app.lock import locked
from ilo_jax.app.parser import make_parser
from ilo_jax.app.streams import forgive_streams
from ilo_jax.app.summarize import run_summarize
from ilo_jax.app.sweep import run_sweep
from ilo_jax.errors import InputError, one_line
from ilo_jax.stopping import CODES, SAID


def run() -> None:
    """The process of `python -m ilo_jax.solve`: runs the command and exits."""
    begin_process()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())


def begin_process() -> None:
    """What a process of its own does first, before JAX's first operation.

    Every processor core is a JAX device, so that a batch is divided over them: on small images
    that is faster than several threads in each operation. JAX allows it before its first operation
    only.
    """
    if jax.config.values["jax_num_cpu_devices"] < 0:
        jax.config.update("jax_num_cpu_devices", usable_cores())
    forgive_streams()
    mend_cache()


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
    if getattr(args, "ray", None):  # the devices are for the workers
        jax.config.update("jax_platforms", "cpu")  # and the cluster is started first
    else:
        _check_platform()
    if args.task is None:
        with locked(Path(args.out)):
            demo(Path(args.out), args.seed, console)
        return 0
    commands = {
        "classify": run_classify,
        "evaluate": run_evaluate,
        "summarize": run_summarize,
        "sweep": run_sweep,
    }
    return commands.get(args.task, run_task)(args, console)


def _check_platform() -> None:
    """There may be none of what `JAX_PLATFORMS` names."""
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
