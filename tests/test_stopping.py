"""Commands that are stopped while Python still imports them."""

import os
import signal
import subprocess
import sys

import pytest

# Python imports it first; whoever then imports JAX gets the signal in the middle of that.
STOPPED_AT_JAX = """
import os, signal, sys

# A shell's background jobs ignore it, and hand that on.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == "jax":
            os.kill(os.getpid(), {number})


sys.meta_path.insert(0, Stop())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["-m", "ilo_jax.solve"], "the same command goes on where this one stopped"),
        (["-milo_jax.solve", "invert"], "the same command goes on where this one stopped"),
        (["-m", "convert_weights", "a", "b"], "a folder is written whole or not at all"),
    ],
)
def test_a_command_that_is_stopped_while_it_is_imported_says_so_in_one_line(
    command, says, number, tmp_path
):
    done = stopped_at_jax(command, number, tmp_path)
    assert done.returncode == 128 + number
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.endswith(says)


def test_the_library_leaves_signals_to_others(tmp_path):
    done = stopped_at_jax(["-c", "import ilo_jax", "-m", "ilo_jax.solve"], signal.SIGINT, tmp_path)
    assert "KeyboardInterrupt" in done.stderr


def stopped_at_jax(command, number, folder):
    (folder / "sitecustomize.py").write_text(STOPPED_AT_JAX.format(number=int(number)))
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
