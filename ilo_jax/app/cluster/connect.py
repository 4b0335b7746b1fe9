"""Reaches a Ray cluster, or starts one of this machine for as long as the command runs."""

import contextlib
import importlib.util
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ilo_jax.app.cores import usable_cores
from ilo_jax.errors import InputError, one_line

_SECONDS = 3.0
"""In which an address has to be reached, and then to answer: with what importing takes, ten."""

_HEALTH = "from ray.scripts.scripts import healthcheck as ask; print(flush=True); ask()"

LOCAL = "local"

_OF_ONE_MACHINE = {
    "RAY_AUTH_MODE": "token",  # of Ray 2.52 and later
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: 127.0.0.1 stays what it is
    "RAY_worker_niceness": "0",  # as the plain command
}


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Any]:
    """The module `ray`, connected.

    A cluster of this machine listens on its loopback interface only, has no dashboard, and asks for
    a token that is drawn for it: whoever reaches an open port of Ray can run any program.

    Args:
      address: `HOST:PORT`, `auto` for one that runs here, or `LOCAL` for one of our own.

    Raises:
      InputError: Ray is not installed, or nobody answers.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray will do one day
    options: dict[str, Any] = {"address": address}
    if address == LOCAL:
        for name, value in _OF_ONE_MACHINE.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        options |= {"num_cpus": usable_cores(), "include_dashboard": False}
        options |= {"_node_ip_address": "127.0.0.1"}
    else:
        _check(address)
    ray = _import()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        raise InputError(f"--ray {address}: {one_line(error)}; expected a Ray cluster") from error
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _quiet(ray)
        with _native_errors_in(Path(logs_of(ray)) / "driver.err"):
            yield ray
            ray.shutdown()
    finally:
        ray.shutdown()


def _import() -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports]
        import ray.data  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _not_installed(one_line(error)) from error
    return ray


def _not_installed(reason: str) -> InputError:
    return InputError(
        f"--ray: Ray is not installed ({reason}); expected pip install 'ilo_jax[ray]'"
    )


def _quiet(ray: Any) -> None:
    """Its own bars and notes are in its logs, not on the screen."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_auto_log_stats = False
    ray._private.worker._worker_logs_enabled = False  # as Ray's debugger does; they are in its logs
    for handler in logging.getLogger("ray.data").handlers:
        if type(handler) is not logging.FileHandler:
            handler.setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _native_errors_in(log: Path) -> Iterator[None]:
    """What Ray's own threads write to the screen goes to a file; what Python writes does not."""
    screen, ours = os.dup(2), sys.stderr
    try:
        with log.open("ab") as file, os.fdopen(os.dup(screen), "w", buffering=1) as copy:
            if _is_screen(ours):
                sys.stderr = copy
            os.dup2(file.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(screen, 2)
                sys.stderr = ours
    finally:
        os.close(screen)


def _is_screen(stream: Any) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError):  # of a test, or closed
        return False


def logs_of(ray: Any) -> str:
    """The folder of the logs of this machine's part of the cluster."""
    return str(ray._private.worker._global_node.get_logs_dir_path())


def _check(address: str) -> None:
    """Whether a cluster answers: Ray itself tries for minutes, and ends the process then."""
    if address == "auto":
        return
    parts = re.fullmatch(r"(.+):(\d+)", address)
    if parts is None or "://" in address:
        raise InputError(f"--ray {address}: expected HOST:PORT, or auto")
    if importlib.util.find_spec("ray") is None:  # importing it takes longer than an answer
        raise _not_installed("No module named 'ray'")
    said = "nobody answers"
    try:
        socket.create_connection((parts[1], int(parts[2])), _SECONDS).close()
        command = [sys.executable, "-c", _HEALTH, "--address", address]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as health:
            try:
                assert health.stdout is not None
                health.stdout.readline()  # what importing takes is nobody's silence
                if health.wait(_SECONDS) == 0:
                    return
                said = "no Ray of this version, or another token"
            finally:
                health.kill()
    except (OSError, OverflowError) as error:
        said = one_line(error)
    except subprocess.TimeoutExpired:
        pass
    raise InputError(f"--ray {address}: {said}; expected the address of a Ray cluster's head node")
