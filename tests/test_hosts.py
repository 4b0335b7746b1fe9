"""Several processes that share a run: two real ones, and what they tell each other."""

import csv
import json
import shutil
import socket
import subprocess
import sys
import threading

import jax
import pytest

from ilo_jax.app import reconstruct as reconstruct_module
from ilo_jax.app.cli import main
from ilo_jax.app.hosts import Team, join
from ilo_jax.app.results import Results
from ilo_jax.errors import InputError

looks_at_files = True


@pytest.fixture
def command(inputs) -> list[str]:
    """Of a run over five images, two at a time; `--out` is to follow."""
    line = f"invert --steps 2,2 --batch-size 1 --images {inputs}/many"
    return [*line.split(), "--generator", f"{inputs}/gen", "--out"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def table(out) -> list[dict[str, str]]:
    """Without the time."""
    with open(out / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def summary(out) -> dict:
    stored = json.loads((out / "summary.json").read_text())
    return {k: v for k, v in stored.items() if k != "seconds"}


@pytest.mark.slow
def test_two_processes_go_on_with_what_three_began_and_give_the_bytes_of_one(command, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main([*command, str(whole)]) == 0
    before = Results.open(whole, json.loads((whole / "run.json").read_text()))
    # What processes 0 and 2 of three had done when they were stopped.
    for name, process in (("a", 0), ("c", 2)):
        Results.open(out, before.run, process).add([before.finished()[name]], [before.image(name)])
    kept = {name: (out / "images" / name).stat().st_mtime_ns for name in ("a.png", "c.png")}
    assert (out / ".metrics-2.csv").exists()

    port = free_port()
    hosts = [f"--coordinator=127.0.0.1:{port}", "--processes=2"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "ilo_jax.solve", *command, str(out), *hosts, f"--process={i}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    (first, errors), (second, _) = (process.communicate(timeout=300) for process in processes)
    assert [process.returncode for process in processes] == [0, 0], errors
    assert first.splitlines()[-1].startswith("5 images, PSNR ")  # JAX writes there too
    assert "PSNR" not in second

    for path in whole.rglob("*.png"):
        assert path.read_bytes() == (out / path.relative_to(whole)).read_bytes()
    assert table(out) == table(whole)
    assert summary(out) == summary(whole)
    assert {name: (out / "images" / name).stat().st_mtime_ns for name in kept} == kept
    assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}


class Messages:
    """JAX's key-value store, in one process."""

    def __init__(self):
        self._values: dict[str, str] = {}
        self._changed = threading.Condition()

    def key_value_set(self, key: str, value: str) -> None:
        with self._changed:
            assert key not in self._values
            self._values[key] = value
            self._changed.notify_all()

    def blocking_key_value_get(self, key: str, milliseconds: int) -> str:
        with self._changed:
            if not self._changed.wait_for(lambda: key in self._values, milliseconds / 1000):
                raise jax.errors.JaxRuntimeError(f"DEADLINE_EXCEEDED: {key}")
            return self._values[key]


@pytest.fixture
def team(monkeypatch) -> list[Team]:
    messages = Messages()
    monkeypatch.setattr("ilo_jax.app.hosts._coordination", lambda: messages)
    return [Team(i, 2) for i in range(2)]


def both(*functions) -> list:
    """What functions return or raise, each in a thread of its own."""
    found: list = [None] * len(functions)

    def call(i):
        try:
            found[i] = functions[i]()
        except InputError as error:
            found[i] = str(error)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_every_image_is_in_one_share(team):
    assert [list(member.share("abcde")) for member in team] == [["a", "c", "e"], ["b", "d"]]
    assert Team().share("abc") == "abc"


def test_messages_come_in_the_order_of_the_processes(team):
    for stage in ("x", {"y": [1]}):
        found = both(*(lambda m=m, s=stage: m.exchange([s, m.index]) for m in team))
        assert found == [[[stage, 0], [stage, 1]]] * 2
    assert Team().exchange("alone") == ["alone"]


def test_a_failure_is_heard_where_the_others_wait(team):
    first = both(*(lambda m=m: m.exchange(None) for m in team))
    assert first == [[None, None]] * 2
    found = both(lambda: team[0].exchange(None), lambda: team[1].fail("disk full"))
    assert found == ["process 1 failed: disk full", None]


def test_other_settings_and_folders_that_are_not_shared_are_refused(team, tmp_path):
    def opened(member, out, **description):
        return lambda: reconstruct_module._open(description, [], tmp_path / out, member)

    found = both(opened(team[0], "a", seed=0), opened(team[1], "a", seed=1))
    expected = "process 1: other settings than process 0; expected the same command"
    assert [error.startswith(expected) for error in found] == [True, True]
    shutil.rmtree(tmp_path / "a")
    results, refused = both(opened(team[0], "a", seed=0), opened(team[1], "b", seed=0))
    assert isinstance(results, Results)
    assert "b: process 1 does not see what process 0 wrote there; expected a folder" in refused


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("host", 2, 0), "--coordinator host: expected HOST:PORT of process 0"),
        (("host:1", 2, 2), "--process 2: expected 0 to 1, with --processes 2"),
    ],
)
def test_bad_numbers_of_processes_are_refused(arguments, expected):
    with pytest.raises(InputError, match=expected), join(*arguments):
        pass


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--coordinator h:1", "--coordinator, --processes, --process: expected all three"),
        ("--distributed --video", "--video, --save-variables: expected one process"),
        ("--distributed --save-variables", "--video, --save-variables: expected one process"),
    ],
)
def test_options_that_do_not_go_together(options, expected, capsys):
    assert main(["invert", "--images", "x", "--out", "y", *options.split()]) == 2
    assert capsys.readouterr().err.startswith(f"error: {expected}")
