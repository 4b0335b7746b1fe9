"""Files that appear whole or not at all."""

import os
import uuid
from pathlib import Path

from ilo_jax.errors import InputError

TEMPORARY = ".tmp-"
"""Names of files that are being written begin with it."""


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file: a temporary one in the same folder, then `os.replace`.

    Raises:
      InputError: the system refuses (permissions, a full disk, an overlong name, ...).
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _refused(path, error) from error


def append(path: Path, content: bytes) -> None:
    """Writes behind what a file has; a part of it may be there after an error.

    Raises:
      InputError: as `write_atomically`.
    """
    try:
        with path.open("ab") as file:
            file.write(content)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot be written ({error.strerror}); expected a folder with "
        "write permission and free space"
    )
