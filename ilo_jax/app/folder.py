"""A folder of results, which holds one run only, so that the same command goes on in it."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically


def open_folder(out: Path, run: Mapping[str, Any], beside: Collection[str] = ()) -> dict[str, Any]:
    """Starts a run in a new or empty folder, or goes on with the same run.

    Args:
      run: JSON-able description of the run; must equal that of the run in the folder, if that has
        a table or an image yet, but for `made_by`, and for `inputs`: digests, which rows are
        compared with.
      beside: names in a folder without a run that are no other files.

    Returns:
      The description as `run.json` has it.

    Raises:
      InputError: `out` is a file, holds another run (the message names the settings that differ),
        holds anything else, or cannot be written to.
    """
    described = json.loads(json.dumps(run))
    check_folder(out)
    stored = read_run(out)
    others = (name for name in os.listdir(out) if name[0] != "." and name not in beside)
    if stored is None and any(others):
        raise InputError(f"{out}: holds other files; expected a new or empty folder for --out")
    if stored and any(any(out.glob(files)) for files in ("*.csv", ".*.csv", "images/*.png")):
        check_same_run(out, stored, described)
    if stored != described:
        write_atomically(out / "run.json", as_json(described))
    return described


def make_folder(path: Path) -> None:
    """Raises `InputError` where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be made ({error.strerror}); expected a writable folder for --out"
        ) from error


def as_json(content: Mapping[str, Any]) -> bytes:
    """For people to read; `ValueError` for what JSON has not, such as infinity."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def without_infinity(values: Sequence[float]) -> list[float | str]:
    """For JSON: an infinite number is the text `inf`."""
    return [str(value) if value == float("inf") else value for value in values]


def check_folder(out: Path) -> None:
    """Makes it where it is not there.

    Raises:
      InputError: it is a file, or cannot be made or written to.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; expected a folder for --out")
    make_folder(out)
    if not os.access(out, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"{out}: not writable; expected a folder for --out with write permission")


def read_run(out: Path) -> dict | None:
    """The description in a folder; None without.

    Raises:
      InputError: it is damaged.
    """
    if not (out / "run.json").exists():
        return None
    try:
        stored = json.loads((out / "run.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{out}/run.json: damaged; choose another --out") from error
    if not isinstance(stored, dict):
        raise InputError(f"{out}/run.json: not a description of a run; choose another --out")
    return stored


def check_same_run(out: Path, stored: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Raises `InputError` where two descriptions differ, beside who made them, and of what."""
    keys = [key for key in dict.fromkeys([*run, *stored]) if key not in ("inputs", "made_by")]
    different = [key for key in keys if key not in run or stored.get(key, _ABSENT) != run[key]]
    if different:
        found = ", ".join(_setting(key, stored) for key in different)
        expected = ", ".join(_setting(key, run) for key in different)
        raise InputError(
            f"{out}: holds a run with {found}; expected {expected}: choose another --out"
        )


_ABSENT = object()


def _setting(key: str, run: Mapping[str, Any]) -> str:
    if run.get(key, []) == []:
        return f"no {key}"
    value = run[key]
    shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{key} {shown}"
