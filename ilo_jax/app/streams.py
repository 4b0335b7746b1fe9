"""What a command says, where nobody may be listening."""

import os
import sys
from typing import Any, TextIO


class Forgiving:
    """A stream of text. What cannot be written, into a closed pipe or onto a full disk, goes
    nowhere from then on: a log costs no result. What an encoding lacks becomes `?`."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, function: Any, *args: Any) -> None:
        try:
            function(*args)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # what is buffered goes there too
            os.close(nowhere)


def forgive_streams() -> None:
    """Of the process."""
    sys.stdout, sys.stderr = Forgiving(sys.stdout), Forgiving(sys.stderr)
