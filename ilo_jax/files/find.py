"""Which image files a user means: files, folders and globs, in natural order."""

import functools
import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ilo_jax.errors import InputError
from ilo_jax.files import arrays

_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".jfif", ".avif", ".heic", ".heif", ".dcm", ".nii"),
    ".nii.gz",
)

_LONGEST = 250
"""Bytes of a name to which results add an extension."""


def natural_key(name: str) -> tuple:
    """Sorting key by which `x2` comes before `x10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return ([int(p) if i % 2 else p for i, p in enumerate(parts)], name)


def suffixes(measured: bool = False) -> tuple[str, ...]:
    """Extensions of images, and with `measured` of arrays."""
    return (*_SUFFIXES, *arrays.SUFFIXES) if measured else _SUFFIXES


def find_images(
    paths: Sequence[str],
    measured: bool = False,
    recursive: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Image files, in natural order, each once.

    Args:
      paths: each is a file, a folder (its image files by extension, hidden files left out) or a
        glob (the files it matches).
      measured: whether arrays are measurements, too.
      recursive: whether folders inside folders are looked into.
      say: gets a line on what a folder has that is not read.

    Raises:
      InputError: a path that does not exist, a folder without images, a glob without a match,
        a file name with a line break, of dots alone or too long for its results, or two files of
        the same stem, whose results would overwrite each other.
    """
    expand = functools.partial(_expand, suffixes=suffixes(measured), recursive=recursive, say=say)
    found = {os.path.abspath(file): file for path in paths for file in expand(path)}
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


def file_of(folder: Path | str, name: str | None) -> Path:
    """The one image or array file of this name, whatever its extension, in a folder.

    Args:
      name: without extension; None for the first file.

    Raises:
      InputError: there is none, or there are several.
    """
    inside = [file for file in _inside(folder) if _ends(file, (*_SUFFIXES, *arrays.SUFFIXES))]
    if name is not None:
        found = [file for file in inside if file.stem == name]
        if len(found) == 1:
            return found[0]
        there = ", ".join(file.name for file in found) or "none"
        raise InputError(f"{folder}: files named {name}: {there}; expected one for each image")
    if not inside:
        raise InputError(f"{folder}: no images and no arrays; expected one for each image")
    return min(inside, key=lambda file: natural_key(file.name))


def _expand(
    path: str, suffixes: tuple[str, ...], recursive: bool, say: Callable[[str], None]
) -> list[Path]:
    if os.path.isfile(path):
        return [Path(path)]
    if os.path.isdir(path):
        inside = _inside(path, recursive)
        files = [file for file in inside if _ends(file, suffixes)]
        if not files:
            raise InputError(f"{path}: no images; expected files in {', '.join(suffixes)}")
        others = sorted({file.name for file in inside} - {file.name for file in files})
        if others:
            names = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            say(f"{path}: {len(others)} not read, by their extension: {names}")
        return files
    if glob.has_magic(path):
        files = [Path(match) for match in glob.glob(path, recursive=True) if os.path.isfile(match)]
        if not files:
            raise InputError(f"{path}: matches no file; expected a glob of images")
        return files
    raise InputError(f"{path or repr(path)}: does not exist; expected an image, a folder or a glob")


def _inside(folder: Path | str, recursive: bool = False) -> list[Path]:
    """Files that are not hidden."""
    try:
        inside = list(Path(folder).rglob("*") if recursive else Path(folder).iterdir())
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be read ({error.strerror}); expected a folder of images"
        ) from error
    hidden = [any(part[0] == "." for part in file.relative_to(folder).parts) for file in inside]
    return [file for file, away in zip(inside, hidden, strict=True) if not away and file.is_file()]


def _ends(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.name.lower().endswith(suffixes)
