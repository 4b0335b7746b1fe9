"""Digests of what goes into an image, so that a changed input is noticed."""

import hashlib
from pathlib import Path

from ilo_jax.errors import InputError
from ilo_jax.files.regular import open_regular

DIGITS = 16
"""Hexadecimal ones of a SHA-256: two inputs of one run share them with a chance of 1e-13 where
there are a million."""


def digest_of(path: Path | str) -> str:
    """Of a file's bytes, or of the names and bytes of all files below a folder.

    Raises:
      InputError: it cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            return combined(*((str(file.relative_to(path)), digest_of(file)) for file in inside))
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def combined(*parts: object) -> str:
    """Of several digests and texts."""
    return hashlib.sha256(repr(parts).encode(errors="surrogateescape")).hexdigest()[:DIGITS]
