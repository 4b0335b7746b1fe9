"""Regular files alone are read: a FIFO would wait for ever, a device may never end."""

import io
import os
import stat
from pathlib import Path

from ilo_jax.errors import InputError, one_line

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path | str, limit: int | None = None) -> io.BufferedReader:
    """Opens a regular file, or a link to one, for reading; never waits.

    Args:
      limit: the most bytes it may have; None for any number.

    Raises:
      InputError: it is not there, no regular file, may not be read, or is larger than `limit`.
    """
    try:
        # Looked at before it is opened: opening a device may already do something.
        status = os.stat(path)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            if limit is not None and status.st_size > limit:
                raise InputError(
                    f"{path}: too large ({status.st_size} bytes); expected at most {limit} bytes"
                )
            return open(path, "rb")
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise InputError(
            f"{path}: cannot be read ({one_line(error)}); expected a regular file"
        ) from error
    raise InputError(
        f"{path}: cannot be read (it is {_KINDS.get(kind, 'something else')}); "
        "expected a regular file"
    )


def read_regular(path: Path | str, limit: int | None = None) -> bytes:
    """The bytes of a regular file; `open_regular` says what is refused.

    Raises:
      InputError: as `open_regular`, or it cannot be read to its end, or it grows beyond `limit`.
    """
    with open_regular(path, limit) as file:
        try:
            content = file.read(-1 if limit is None else limit + 1)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); expected a regular file"
            ) from error
    if limit is not None and len(content) > limit:
        raise InputError(f"{path}: too large; expected at most {limit} bytes")
    return content
