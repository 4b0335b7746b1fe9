"""Folders of object stores, such as `s3://BUCKET/FOLDER`: whatever fsspec knows."""

import contextlib
import os
import socket
import uuid
from collections.abc import Iterator
from typing import Any

from ilo_jax.app.lock import holder_of, is_running, this_process_as_json
from ilo_jax.errors import InputError, one_line

_LOCK = ".lock"


def is_url(path: str) -> bool:
    """Whether it names something that is not on this machine's file systems."""
    return "://" in path


def opened(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
      InputError: no such file system is installed.
    """
    with reaching(url):
        import fsspec

        return fsspec.core.url_to_fs(url)


@contextlib.contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turns what a store answers into one line.

    Raises:
      InputError: there is no such bucket, no right, no credentials, no such package, ...
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each file system has its own
        said = one_line(error) or type(error).__name__
        raise InputError(
            f"{url}: {said}; expected an address that can be reached, and credentials for it"
        ) from error


@contextlib.contextmanager
def locked_url(url: str, take_over: bool = False) -> Iterator[None]:
    """As `locked`, of a folder of a store.

    Raises:
      InputError: another command holds the folder, or it cannot be written to.
    """
    system, path = opened(url)
    lock = f"{path.rstrip('/')}/{_LOCK}"
    mine = this_process_as_json(uuid.uuid4().hex).encode()
    with reaching(url):
        try:
            system.pipe_file(lock, mine, mode="create")
        except FileExistsError:
            _check_stale(url, system.cat_file(lock).decode(), take_over)
            system.pipe_file(lock, mine)
    try:
        yield
    finally:
        with reaching(url):
            if system.cat_file(lock) == mine:
                system.rm_file(lock)


def _check_stale(url: str, found: str, take_over: bool) -> None:
    holder = holder_of(found)
    if holder is None:
        raise InputError(f"{url}/{_LOCK}: damaged; expected no other run there: remove it")
    here = holder["host"] == socket.gethostname()
    if (here and not is_running(holder)) or (not here and take_over):
        return
    raise InputError(
        f"{url}: in use by process {holder['process']} of {holder['host']}; expected another "
        "--out, or --take-over if that run, of another machine, has ended"
    )


def absolute(path: str) -> str:
    """A path that workers elsewhere understand."""
    return path if is_url(path) else os.path.abspath(path)
