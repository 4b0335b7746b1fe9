"""What a command that is stopped says: one line, and an exit code as a shell's."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
_SAID = {130: "interrupted", 143: "terminated"}


class _Stopped(BaseException):
    pass


def stoppable(command: Callable[[], int]) -> int:
    """The exit code of `command`; 130 if it is interrupted, 143 if it is terminated."""

    def stop(number: int, _: Any) -> None:
        raise _Stopped(_CODES[signal.Signals(number)])

    before = {number: signal.signal(number, stop) for number in _CODES}
    try:
        return command()
    except _Stopped as stopped:
        _say(stopped.args[0])
        return stopped.args[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_when_stopped() -> None:
    """Until the command begins: libraries may take an exception in the middle of their import for
    something else."""

    def stop(number: int, _: Any) -> None:
        _say(_CODES[signal.Signals(number)])
        leave(_CODES[signal.Signals(number)])

    for number in _CODES:
        signal.signal(number, stop)


def leave(code: int) -> None:
    """Ends the process; at once if it was stopped: XLA may crash in the middle of its work."""
    if code not in _SAID:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _say(code: int) -> None:
    print(f"{_SAID[code]}: a folder is written whole or not at all", file=sys.stderr)
