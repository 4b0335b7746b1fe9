"""Which image files a user means: files, folders and globs, in natural order."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ilo_jax.errors import InputError

_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".jp2"),
)

_LONGEST = 250
"""Bytes of a name to which results add an extension."""


def natural_key(name: str) -> tuple:
    """Sorting key by which `x2` comes before `x10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return ([int(p) if i % 2 else p for i, p in enumerate(parts)], name)


def find_images(paths: Sequence[str]) -> list[Path]:
    """Image files, in natural order, each once.

    Args:
      paths: each is a file, a folder (its image files by extension, not recursive, hidden
        files left out) or a glob (the files it matches).

    Raises:
      InputError: a path that does not exist, a folder without images, a glob without a match,
        a file name with a line break, of dots alone or too long for its results, or two files of
        the same stem, whose results would overwrite each other.
    """
    found = {os.path.abspath(file): file for path in paths for file in _expand(path)}
    files = sorted(found.values(), key=lambda file: natural_key(str(file)))
    by_stem: dict[str, Path] = {}
    for file in files:
        if set(file.name) & set("\r\n"):
            raise InputError(f"{str(file)!r}: a line break in a file name; expected none")
        if file.stem in (".", ".."):
            raise InputError(
                f"{file}: no name before the extension; expected one that is no folder"
            )
        if len(os.fsencode(file.stem)) > _LONGEST:
            raise InputError(
                f"{file}: a name of {len(os.fsencode(file.stem))} bytes before the extension; "
                f"expected at most {_LONGEST}"
            )
        other = by_stem.setdefault(file.stem.casefold(), file)
        if other is not file:
            raise InputError(
                f"{other} and {file}: would both be saved as {file.stem}.png; "
                "expected file names that differ before the extension"
            )
    return files


def _expand(path: str) -> list[Path]:
    if os.path.isfile(path):
        return [Path(path)]
    if os.path.isdir(path):
        try:
            inside = list(Path(path).iterdir())
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); expected a folder of images"
            ) from error
        files = [
            file
            for file in inside
            if file.suffix.lower() in _SUFFIXES and file.name[0] != "." and file.is_file()
        ]
        if not files:
            raise InputError(f"{path}: no images; expected files in {', '.join(_SUFFIXES)}")
        return files
    if glob.has_magic(path):
        files = [Path(match) for match in glob.glob(path, recursive=True) if os.path.isfile(match)]
        if not files:
            raise InputError(f"{path}: matches no file; expected a glob of images")
        return files
    raise InputError(f"{path or repr(path)}: does not exist; expected an image, a folder or a glob")
