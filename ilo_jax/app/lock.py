"""A folder of results belongs to one command at a time."""

import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from ilo_jax.app.folder import check_folder
from ilo_jax.errors import InputError
from ilo_jax.files.atomic import TEMPORARY

NAME = ".lock"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SECONDS = 5.0
"""By which the system's two answers on when a process started may differ."""


@contextlib.contextmanager
def locked(out: Path, take_over: bool = False) -> Iterator[None]:
    """Holds the folder, which is made if it is not there, and removes what a run that was killed
    in it left half written.

    A lock names host, boot and process. One of this host whose process is gone is taken; one of
    another host, of which nothing can be known from here, is not.

    Args:
      take_over: takes a lock of another host.

    Raises:
      InputError: another command holds the folder, or it cannot be used.
    """
    check_folder(out)
    mine = this_process_as_json(uuid.uuid4().hex)
    _take(out / NAME, mine, take_over)
    try:
        if (out / "run.json").exists():
            for left in (*out.glob(f"{TEMPORARY}*"), *out.glob(f"*/{TEMPORARY}*")):
                left.unlink(missing_ok=True)
        yield
    finally:
        if _read(out / NAME) == mine:
            (out / NAME).unlink(missing_ok=True)


def _take(path: Path, mine: str, take_over: bool) -> None:
    while True:
        try:
            with path.open("x") as file:
                file.write(mine)
            return
        except FileExistsError:
            _remove_stale(path, take_over)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be made ({error.strerror}); expected a folder for --out with "
                "write permission and free space"
            ) from error


def _remove_stale(path: Path, take_over: bool) -> None:
    """Removes a lock whose holder is gone; raises `InputError` for any other."""
    found = _read(path)
    if found == "":  # made, not written yet
        time.sleep(0.2)
        found = _read(path)
    if found is None:
        return  # given back meanwhile
    holder = holder_of(found)
    if holder is None:
        raise InputError(f"{path}: damaged; expected no other run in this folder: remove the file")
    where = f"process {holder['process']} of {holder['host']}"
    if holder["host"] != socket.gethostname():
        if not take_over:
            raise InputError(
                f"{path.parent}: in use by {where}; expected another --out, or --take-over if that "
                "run has ended"
            )
    elif is_running(holder):
        raise InputError(
            f"{path.parent}: in use by {where}; expected another --out, or to wait for its end"
        )
    aside = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) == found:
        aside.unlink()
    else:  # another command was faster, and it is its lock
        aside.rename(path)


def this_process_as_json(token: str) -> str:
    """What a lock of this process says; its token tells two of them apart."""
    started = psutil.Process().create_time()
    who = {"host": socket.gethostname(), "boot": _boot(), "process": os.getpid(), "at": started}
    return json.dumps({**who, "token": token})


def _boot() -> str:
    """Changes when the machine starts anew; empty where the system does not say."""
    return _BOOT.read_text().strip() if _BOOT.exists() else ""


def is_running(holder: dict[str, Any]) -> bool:
    """Whether the process of this host, not one that has got its number since, is there."""
    if holder["boot"] != _boot():
        return False
    try:
        return abs(psutil.Process(holder["process"]).create_time() - holder["at"]) < _SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def holder_of(text: str) -> dict[str, Any] | None:
    """Host, boot, process and time of a lock; None for what is none."""
    kinds = {"host": str, "boot": str, "process": int, "at": (int, float)}
    try:
        holder = json.loads(text)
        whole = all(isinstance(holder[name], kind) for name, kind in kinds.items())
    except (ValueError, KeyError, TypeError):
        return None
    return holder if whole else None
