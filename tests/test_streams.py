"""What a command says costs it nothing where nobody listens."""

import io
import os
import subprocess
import sys

from rich.console import Console

from ilo_jax.app.progress import ProgressReporter
from ilo_jax.errors import one_line

PROGRAM = """
import sys
from ilo_jax.app.streams import forgive_streams
forgive_streams()
print("± 1", flush=True)
print("± 2", file=sys.stderr, flush=True)
for _ in range(3000):
    print(30 * "more")
sys.exit(7)
"""


def run(**options):
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, check=False, **options)


def test_a_full_disk_costs_nothing():
    with open("/dev/full", "w") as full:
        done = run(stdout=full, stderr=full)
    assert done.returncode == 7


def test_a_closed_pipe_costs_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    done = run(stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (7, "± 2\n".encode())


def test_letters_that_an_encoding_lacks_are_marked():
    done = run(env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert (done.returncode, done.stderr) == (7, b"? 2\n")
    assert done.stdout.startswith(b"? 1\n")


def test_a_long_run_is_told_how_long_it_takes_by_its_first_steps(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    log = io.StringIO()
    with ProgressReporter(Console(file=log, width=200)) as reporter:
        reporter.batch(0, 8, 40, [10, 10])
        for steps, now in ((5, 100.0), (10, 110.0), (20, 130.0)):  # noqa: B007
            reporter.progress(steps)
    first, told = log.getvalue().splitlines()
    assert first == "images 1-8 of 40"
    assert told == "images 1-8 of 40: all of them in about 3 min"  # 2 s a step, 90 of them


def test_a_log_gets_a_line_a_batch_at_most_one_in_half_a_minute(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    log = io.StringIO()
    with ProgressReporter(Console(file=log), "invert: ") as reporter:
        for done, now in ((0, 0.0), (8, 29.0), (16, 30.0), (24, 59.0), (32, 95.0)):  # noqa: B007
            reporter.batch(done, 8, 40, [10, 10])
            reporter.progress(5)
    assert log.getvalue().splitlines() == [
        "invert: images 1-8 of 40",
        "invert: images 17-24 of 40",
        "invert: images 33-40 of 40",
    ]


def test_an_error_of_a_callback_is_told_by_its_end():
    """JAX quotes the whole traceback."""
    quoted = 'INTERNAL: Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\n'
    assert one_line(RuntimeError(f"{quoted}MemoryError: no\nroom")) == "MemoryError: no room"
    assert one_line(ValueError("two\n  lines")) == "two lines"
