"""What the process of `ilo-jax`, or `python -m ilo_jax.solve`, says when it is stopped."""

import os
import signal
import sys
from types import FrameType

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SAID = "interrupted: the same command goes on where this one stopped"


def exit_while_importing() -> None:
    """If this is that process, it ends with one line when it is stopped before its command begins:
    libraries may take an exception in the middle of their import for something else."""
    named = [word.removeprefix("-m") for word in sys.orig_argv]
    # "-m" stands there while Python looks for the module.
    module = sys.argv[:1] == ["-m"] and "ilo_jax.solve" in named
    if module or os.path.basename(sys.argv[0]) == "ilo-jax":
        for number in CODES:
            signal.signal(number, _exit)


def _exit(number: int, _: FrameType | None) -> None:
    print(SAID, file=sys.stderr, flush=True)
    os._exit(CODES[signal.Signals(number)])
