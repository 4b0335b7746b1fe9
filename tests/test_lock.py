"""A folder belongs to one command at a time, and to nobody when that has ended."""

import json
import os
import socket
import subprocess
import sys

import psutil
import pytest

from ilo_jax.app import lock
from ilo_jax.app.lock import locked
from ilo_jax.errors import InputError

looks_at_files = True


def holder(**changed):
    """A lock as another command would have written it: a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        number = ended.pid
    found = {"host": socket.gethostname(), "boot": lock._boot(), "process": number, "at": 0.0}
    return json.dumps(found | changed)


def test_one_at_a_time(tmp_path):
    with locked(tmp_path):
        here = f"process {os.getpid()} of {socket.gethostname()}"
        refused = pytest.raises(InputError, match=f"in use by {here}; expected another --out")
        with refused, locked(tmp_path, take_over=True):
            pass
        assert (tmp_path / ".lock").exists()
    assert os.listdir(tmp_path) == []
    with locked(tmp_path):
        pass


def test_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_of_a_process_that_has_ended_it_is_taken(tmp_path):
    (tmp_path / ".lock").write_text(holder())
    with locked(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()


def test_a_number_given_to_another_process_is_not_the_holder(tmp_path):
    long_ago = psutil.Process().create_time() - 1000
    (tmp_path / ".lock").write_text(holder(process=os.getpid(), at=long_ago))
    with locked(tmp_path):
        pass


def test_a_machine_that_has_started_anew_holds_nothing(tmp_path):
    now = psutil.Process().create_time()
    (tmp_path / ".lock").write_text(holder(process=os.getpid(), at=now, boot="another"))
    with locked(tmp_path):
        pass


def test_of_another_host_it_is_taken_on_demand_only(tmp_path):
    (tmp_path / ".lock").write_text(holder(host="far"))
    refused = pytest.raises(InputError, match=r"of far; expected another --out, or --take-over")
    with refused, locked(tmp_path):
        pass
    with locked(tmp_path, take_over=True):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no json", '{"host": 1}'])
def test_a_damaged_lock_is_told(tmp_path, text):
    (tmp_path / ".lock").write_text(text)
    with pytest.raises(InputError, match=r"\.lock: damaged; .*remove the file"), locked(tmp_path):
        pass


def test_a_lock_that_another_has_taken_is_left_to_it(tmp_path):
    with locked(tmp_path):
        (tmp_path / ".lock").write_text(holder(host="far"))
    assert os.listdir(tmp_path) == [".lock"]


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    (tmp_path / "images").mkdir()
    left = [tmp_path / ".tmp-1", tmp_path / "images" / ".tmp-2"]
    for path in left:
        path.write_text("half")
    with locked(tmp_path):
        assert all(path.exists() for path in left)  # who knows whose folder this is
    (tmp_path / "run.json").write_text("{}")
    with locked(tmp_path):
        assert not any(path.exists() for path in left)


def test_the_second_command_says_so_in_one_line(solve, tmp_path):
    with locked(tmp_path / "out"):
        done = solve("invert --images photos --out {out} --generator gen --steps 2")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {tmp_path / 'out'}: in use by process {os.getpid()}")
    assert done.err.count("\n") == 1
    assert os.listdir(tmp_path / "out") == []
