"""What a cluster's driver and workers know, without a cluster."""

import dataclasses
import functools
import pickle
import shutil

import jax
import pytest
from rich.console import Console

import ilo_jax
from ilo_jax.app.cluster import reading, worker
from ilo_jax.app.cluster.attempts import MOST, Attempts
from ilo_jax.app.cluster.reading import COLUMN
from ilo_jax.app.cluster.sources import Source
from ilo_jax.app.cluster.tally import Tally
from ilo_jax.app.cluster.work import Done, Work
from ilo_jax.app.cluster.worker import KILLED, Solver
from ilo_jax.app.metrics import Row
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Settings
from ilo_jax.files.find import find_images

looks_at_files = True

SETTINGS = Settings("invert", {}, "ilo", 0, (2, 2), generator="gen")


def attempts(path, session="one", alive=("n",)):
    return Attempts(path / "attempts", session, lambda node: node in alive)


def test_a_batch_that_begins_again_has_killed_its_worker(tmp_path):
    found = attempts(tmp_path)
    assert [found.begin("a", "n") for _ in range(3)] == [(0, None), (1, None), (2, None)]
    assert found.begin("b", "n") == (0, None)
    found.end("b", None)
    assert found.begin("b", "n") == (0, None)


def test_a_node_that_is_gone_does_not_count(tmp_path):
    found = attempts(tmp_path)
    assert found.begin("a", "preempted") == (0, None)
    assert found.begin("a", "n") == (0, None)
    assert found.begin("a", "n") == (1, None)


def test_a_driver_that_was_killed_knows_what_its_batches_did(tmp_path):
    found = attempts(tmp_path)
    for _ in range(3):
        found.begin("a", "n")
    with open(tmp_path / "attempts", "ab") as file:
        file.write(b'{"event": "di')  # what it was writing
    # The last attempt ended with its driver.
    assert attempts(tmp_path, "two").begin("a", "n") == (2, None)


def test_the_same_driver_knows_what_is_under_way(tmp_path):
    attempts(tmp_path).begin("a", "n")
    assert attempts(tmp_path).begin("a", "n") == (1, None)


def test_parts_of_a_batch_are_kept_until_it_ends(tmp_path):
    found = attempts(tmp_path)
    found.begin("a", "n")
    found.begin("a/0-2", "n")
    found.end("a/0-2", b"found")
    assert found.begin("a/0-2", "n") == (0, b"found")
    found.end("a", None)
    assert found.begin("a/0-2", "n")[1] is None


class Killed(BaseException):
    """The end of a worker's process."""


class Machine(Solver):
    """A worker whose images are names, some of which kill it or fail."""

    def __init__(self, ledger, kills="", fails=""):
        self.ledger, self.kills, self.fails = ledger, kills, fails
        self.solved: list[str] = []

    def _call(self, method, *args):
        return getattr(self.ledger, method)(*args)

    def _solve(self, work, places):
        names = "".join(work.files[i] for i in places)
        if set(names) & set(self.kills):
            raise Killed
        if set(names) & set(self.fails):
            raise ValueError(f"no {names}\nat all")
        self.solved.append(names)
        return Done(rows=tuple(Row(name, None, None, None, 1.0, "") for name in names))

    def run(self, names):
        """As the engine does: again and again. Returns the result and how often it was killed."""
        work = Work("key", tuple(names))
        for deaths in range(99):
            try:
                (content,) = self({"work": [pickle.dumps(work)]})["done"]
                return pickle.loads(content), deaths
            except Killed:
                continue
        raise AssertionError("for ever")


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "_node", lambda: "n")
    return attempts(tmp_path)


def test_an_image_that_kills_is_found_and_all_others_are_done(ledger):
    machine = Machine(ledger, kills="f")
    done, deaths = machine.run("abcdefgh")
    assert deaths == MOST * 4  # of eight, four, two and one
    assert [row.name for row in done.rows] == list("abcdefgh")
    assert [(row.name, row.status) for row in done.rows if row.status != "ok"] == [("f", KILLED)]
    assert machine.solved == ["abcd", "e", "gh"]  # each once


def test_two_that_kill_in_one_batch(ledger):
    done, _ = Machine(ledger, kills="ad").run("abcde")
    assert [row.name for row in done.rows if row.status == KILLED] == ["a", "d"]
    assert [row.name for row in done.rows] == list("abcde")


def test_an_image_that_fails_has_a_reason_of_one_line(ledger, capsys):
    done, deaths = Machine(ledger, fails="c").run("abcd")
    assert deaths == 0
    assert [row.status for row in done.rows] == ["ok", "ok", "no c at all", "ok"]
    assert done.said == ("failed: c: no c at all",)
    assert "ValueError" in capsys.readouterr().err  # whole, in the worker's log


def test_memory_that_runs_out_is_named(ledger, monkeypatch, capsys):
    machine = Machine(ledger)

    def no_room(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB")

    monkeypatch.setattr(machine, "_solve", no_room)
    assert [row.status for row in machine.run("ab")[0].rows] == ["out of memory"] * 2


@dataclasses.dataclass(frozen=True)
class Wide:
    """Stands for a run, of which a worker knows the width alone."""

    width: int


def test_a_batch_that_does_not_fit_is_solved_in_halves_of_it(ledger, monkeypatch, capsys):
    machine, tried = Machine(ledger), list[int]()

    def into(run, work, places, folder, _):
        tried.append(run.width)
        if run.width > most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB")
        (folder / "new").mkdir()  # that of no other try
        return Done(tuple(Row(work.files[i], None, None, None, 1.0, "") for i in places))

    most, solve = 3, functools.partial(Solver._solve, machine)
    for name, value in {"_solve": solve, "_run": Wide(8), "_into": into, "_named": {}}.items():
        monkeypatch.setattr(machine, name, value, raising=False)
    done, _ = machine.run("abcd")
    assert ([row.name for row in done.rows], tried) == (list("abcd"), [8, 4, 2])
    assert done.said == (
        "out of memory with 8 at a time; going on with 4",
        "out of memory with 4 at a time; going on with 2",
    )
    assert machine.run("abcd")[0].said == ()
    most = 0
    assert [row.status for row in machine.run("ab")[0].rows] == ["out of memory"] * 2


def test_batches_of_files_are_the_same_each_time(inputs):
    files = tuple(map(str, find_images([str(inputs / "many")])))
    first, again = (list(Source(files=files).works(2)) for _ in range(2))
    assert first == again
    assert [len(work.files) for work in first] == [2, 2, 1]
    assert len({work.key for work in first}) == 3


@pytest.mark.slow
def test_what_is_solved_of_a_batch_has_the_same_bytes(inputs, tmp_path, monkeypatch):
    """All of it, or a part, or what is not there yet: with every file that goes with an image."""
    monkeypatch.chdir(inputs)
    settings = Settings(
        *("inpaint", {"observed": 0.5}, "ilo", 0, (2, 2)),
        generator="gen",
        samples=2,
        save_variables=True,
    )
    run = Run.create(settings, ilo_jax.load("gen"), 4)
    files = find_images(["many"])[:4]
    named = reading.named_inputs(settings)

    def solved(known, places, whole=False):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        work = Work("key", tuple(map(str, files)), known, whole=whole)
        return worker.solve_into(run, work, places, folder, named)

    whole = solved({}, range(4))
    assert [row.name for row in whole.rows] == list("abcd")
    kinds = {path.split("/")[0] for path in whole.files}
    assert kinds == {"images", "variables", "spread"}
    part = solved({}, range(2, 3))
    assert part.files.items() <= whole.files.items()
    assert {path for path in part.files if path.startswith("images/")} == {"images/c.png"}
    digests = {row.name: row.input for row in whole.rows}
    known = {name: digest for name, digest in digests.items() if name != "b"}
    rest = solved(known, range(4))
    assert ([row.name for row in rest.rows], rest.same) == (["b"], 3)
    assert rest.files.items() <= whole.files.items()
    assert solved(known, range(4), whole=True).files == whole.files
    assert solved(digests, range(4)) == solved(digests, range(4), whole=True) == Done(same=4)


def test_a_tally_is_one_line(capsys):
    now = [0.0]
    tally = Tally(Console(stderr=True, highlight=False), 10, lambda: now[0])
    with tally:
        now[0] = 2.0
        tally.add(3, 1, 0)
        now[0] = 4.0
        tally.add(1, 0, 2)  # in a log not each time
        now[0] = 40.0
        tally.add(1, 0, 0)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "2 images/s, 3 done, 1 failed, 6 left",
        "0.15 images/s, 7 done, 1 failed, 2 left",
    ]


@pytest.mark.parametrize("total", [None, 5])
def test_what_is_left_is_said_where_it_is_known(total):
    tally = Tally(Console(), total)
    assert str(tally).endswith("left") == (total is not None)


@pytest.mark.slow
def test_masks_of_a_column_are_those_of_a_folder(inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(inputs)
    masks, files = tmp_path / "masks", find_images(["photos"])
    masks.mkdir()
    for file, content in zip(files, ("mask.png", "photos/a.png"), strict=True):
        (masks / f"{file.stem}.png").write_bytes((inputs / content).read_bytes())
    contents, own = (
        tuple(path.read_bytes() for path in paths)
        for paths in (files, [masks / f"{file.stem}.png" for file in files])
    )
    prior = ilo_jax.load("gen")

    def solved(mask, work):
        settings = Settings("inpaint", {"mask": mask}, "ilo", 0, (2, 2), generator="gen")
        with reading.masks_of_nobody(settings, prior) as made:
            run = Run.create(made, prior, 2)
        folder = tmp_path / mask.rpartition("/")[2]
        (folder / "results").mkdir(parents=True)
        run, work = reading.laid_out(run, work, folder / "inputs")
        named = reading.named_inputs(settings)
        return worker.solve_into(run, work, range(2), folder / "results", named)

    shutil.move(masks, tmp_path / "own")
    expected = solved(str(tmp_path / "own"), Work("key", tuple(map(str, files))))
    names = tuple(file.name for file in files)
    found = solved(COLUMN, Work("key", names, contents=contents, masks=own))
    assert [row.status for row in found.rows] == ["ok", "ok"]
    assert found.files == expected.files
    assert [row.input for row in found.rows] == [row.input for row in expected.rows]
