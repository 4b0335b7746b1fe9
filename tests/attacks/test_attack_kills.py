"""Runs that are stopped anywhere: the same command gives the bytes of a run that nobody stopped."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from outputs import pictures, rows

from ilo_jax.files import atomic

looks_at_files = True

LINE = (
    "inpaint --mask mask.png --images many --generator gen --steps 3,3 --batch-size 1 --out {out}"
)


def without_seconds(out):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(out)]


def leftovers(out):
    return [path for path in out.rglob(".*") if path.name == ".lock" or ".tmp-" in path.name]


def assert_same(out, whole):
    assert pictures(out) == pictures(whole)
    assert without_seconds(out) == without_seconds(whole)
    assert leftovers(out) == []


class Stopped(BaseException):
    """Not an error that anything catches."""


def test_stopped_at_every_file(solve, tmp_path, monkeypatch):
    """Before a file is in its place, and after."""
    few = LINE.replace("many", "photos")
    assert solve(few.replace("{out}", "{tmp}/whole")).code == 0
    for after in (False, True):
        count, done = 0, False
        while not done:
            count += 1
            out = tmp_path / f"{after}{count}"
            calls, replace = [], os.replace

            def stopping(source, target, calls=calls, count=count, after=after, replace=replace):
                calls.append(target)
                if len(calls) == count and not after:
                    raise Stopped
                replace(source, target)
                if len(calls) == count:
                    raise Stopped

            line = few.replace("{out}", str(out))
            with monkeypatch.context() as patch:
                patch.setattr(atomic.os, "replace", stopping)
                with contextlib.suppress(Stopped):
                    solve(line)
                    done = True
            assert solve(line).code == 0
            assert_same(out, tmp_path / "whole")
        assert count > 6


@pytest.mark.slow
def test_killed_at_any_moment(solve, tmp_path, inputs):
    """Forty times: half at random moments, half just when a file appears."""
    whole = tmp_path / "whole"
    assert solve(LINE.replace("{out}", str(whole))).code == 0
    moments = random.Random(0)
    # Of its own: a run that is killed may leave half a program to those that run beside it.
    own = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    for group in range(10):
        out = tmp_path / str(group)
        command = [sys.executable, "-m", "ilo_jax.solve", *LINE.replace("{out}", str(out)).split()]
        began = time.monotonic()
        for kill in range(4):
            with subprocess.Popen(command, cwd=inputs, env=own, stderr=subprocess.DEVNULL) as run:
                if kill % 2:
                    wait_for_a_file(out, moments.randrange(1, 8), run)
                else:
                    time.sleep(moments.uniform(0, 6))
                run.send_signal(signal.SIGKILL)
        done = subprocess.run(
            command, cwd=inputs, env=own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (done.stderr, time.monotonic() - began)
        assert_same(out, whole)


def wait_for_a_file(out, count, run):
    """Until so many files are below `out`, or the run has ended."""
    while run.poll() is None:
        if out.exists() and sum(1 for path in out.rglob("*") if path.is_file()) >= count:
            return
        time.sleep(0.001)
