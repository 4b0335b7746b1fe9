"""Array jobs: parts of a run where no process knows of another, and what brings them together."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outputs import pictures, rows, summary

from ilo_jax.app import shards
from ilo_jax.app.cli import main
from ilo_jax.app.lock import locked
from ilo_jax.app.metrics import COLUMNS
from ilo_jax.app.shards import Done, Shard, shard_of

looks_at_files = True

LINE = "invert --images many --generator gen --steps 2,2 --reproducible --out {out}"
NAMES = [f"image_{i}" for i in range(1000)]


@given(st.text(min_size=1), st.integers(1, 50))
def test_an_image_is_in_one_shard_whatever_else_there_is(name, count):
    assert 0 <= shard_of(name, count) < count
    assert shard_of(name, count) == shard_of(name, count)


def test_shards_are_about_equal():
    sizes = [sum(shard_of(name, 4) == i for name in NAMES) for i in range(4)]
    assert min(sizes) > 200


def told(solve, line):
    done = solve(line)
    assert (done.code, done.err.count("\n")) == (2, 1), done
    return done.err


@pytest.fixture
def finished(tmp_path):
    """Four shards that say that they are done."""
    out = tmp_path / "out"
    for index in range(4):
        shard = Shard(index, 4)
        shard.folder(out).mkdir(parents=True)
        shard.end(out, Done(("many",), False, 2))
    return out


@pytest.fixture(scope="module")
def three(inputs, tmp_path_factory):
    """Three shards of five images, of which the first has none."""
    out = tmp_path_factory.mktemp("three") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(inputs)
        for index in range(3):
            assert main([*LINE.format(out=out).split(), "--shard", f"{index}/3"]) == 0
    return out


@pytest.fixture
def run_shards(three, tmp_path):
    return shutil.copytree(three, tmp_path / "out")


def test_together_they_are_the_run_of_one_command(run_shards, solve, tmp_path):
    assert solve(LINE.replace("{out}", "{tmp}/whole")).code == 0
    done = solve("summarize {out}")
    assert (done.code, done.err) == (0, "")
    found = psnr(tmp_path / "whole")
    assert done.out == f"5 images, PSNR {found} dB: {run_shards}/report.html\n"
    assert pictures(run_shards) == pictures(tmp_path / "whole")
    assert timeless(rows(run_shards)) == timeless(rows(tmp_path / "whole"))
    (one,), (other,) = (timeless([summary(out)]) for out in (run_shards, tmp_path / "whole"))
    assert one == other
    files = {path.name for path in run_shards.iterdir()}
    assert files == {path.name for path in (tmp_path / "whole").iterdir()} | {"shards"}
    for name in ("history.csv", "contact_sheet.png"):
        ours, theirs = ((out / name).read_bytes() for out in (run_shards, tmp_path / "whole"))
        assert sorted(ours.splitlines()) == sorted(theirs.splitlines())
    # Again, with nothing new, and by the plain command, which has nothing to do.
    before = pictures(run_shards)
    assert solve("summarize {out}").code == 0
    assert "5 of 5 were there already" in solve(LINE).err
    assert pictures(run_shards) == before


def timeless(found):
    return [row | {"seconds": ""} for row in found]


def psnr(out):
    found = summary(out)["psnr_db"]
    return f"{found['mean']:.2f} ± {found['std']:.2f}"


def test_each_has_a_folder_of_its_own(run_shards):
    sizes = [len(pictures(Shard(i, 3).folder(run_shards))) for i in range(3)]
    assert sum(sizes) == 5
    done = [Shard(i, 3).done(run_shards) for i in range(3)]
    assert [one.files for one in done if one] == sizes
    assert {path.name for path in run_shards.iterdir()} == {"shards"}


def test_one_goes_on_where_it_was_and_says_when_the_folder_grew(
    run_shards, solve, tmp_path, inputs
):
    grown = tmp_path / "grown"
    shutil.copytree(inputs / "many", grown)
    shutil.copy(inputs / "many" / "a.png", grown / "new.png")
    index = shard_of("new", 3)
    there = len(pictures(Shard(index, 3).folder(run_shards)))
    done = solve(f"{LINE} --shard {index}/3".replace("many", str(grown)))
    assert done.code == 0
    assert f"{there} of {there + 1} were there already" in done.err
    done = solve(f"summarize {{out}} --images {grown}")
    assert done.out.startswith("6 images")


def test_images_in_no_shard_and_moved_ones_are_said(run_shards, solve, tmp_path, inputs):
    grown = tmp_path / "grown"
    shutil.copytree(inputs / "many", grown)
    shutil.copy(inputs / "many" / "a.png", grown / "new.png")
    done = solve(f"summarize {{out}} --images {grown}")
    assert f"1 images are in no shard, {grown}/new.png the first" in done.err
    assert done.code == 0


def test_a_file_that_cannot_be_read_is_a_row_of_its_shard(solve, tmp_path, inputs):
    for index in range(2):
        code = solve(f"{LINE} --shard {index}/2".replace("many", "mixed")).code
        assert code == (1 if index == shard_of("text", 2) else 0)
    done = solve("summarize {out}")
    assert (done.code, done.out.split(",")[0]) == (1, "2 images")
    assert "1 of 3 images failed" in done.err
    (failed,) = (row for row in rows(tmp_path / "out") if row["status"] != "ok")
    assert failed["name"] == "text"


def test_what_is_missing_or_not_done_is_said(finished, solve):
    shutil.rmtree(Shard(1, 4).folder(finished))
    shutil.rmtree(Shard(3, 4).folder(finished))
    assert "shards 1, 3 of 4 are missing; expected the same command with --shard 1/4" in told(
        solve, "summarize {out}"
    )
    for index in (1, 3):
        Shard(index, 4).folder(finished).mkdir()
    Shard(3, 4).end(finished, Done(("many",), False, 0))
    assert "shard 1 of 4 is not done; expected" in told(solve, "summarize {out}")
    (Shard(1, 4).folder(finished) / "shard.json").write_text("{")
    assert "shard.json: damaged; run shard 1/4 again" in told(solve, "summarize {out}")


def test_shards_of_two_numbers_overlap(finished, solve):
    assert "--shard 0/8: " in told(solve, f"{LINE} --shard 0/8")
    Shard(0, 8).folder(finished).mkdir()
    assert "shards of 4 and of 8 overlap" in told(solve, "summarize {out}")


def test_an_image_in_the_shard_of_another_overlaps(run_shards, solve):
    index = shard_of("a", 3)
    other = (index + 1) % 3
    for folder in (Shard(i, 3).folder(run_shards) for i in (index, other)):
        failed = ["a", *[""] * (len(COLUMNS) - 2), "not finite"]
        (folder / "metrics.csv").write_text(f"{','.join(COLUMNS)}\n{','.join(failed)}\n")
    assert f"has image a, which is of shard {index}/3: they overlap" in told(
        solve, "summarize {out}"
    )


def test_shards_of_other_runs_are_refused(run_shards, solve):
    path = Shard(2, 3).folder(run_shards) / "run.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"seed": 7}))
    assert "2-of-3: holds a run with seed 7; expected seed 0" in told(solve, "summarize {out}")
    path.write_text(json.dumps(stored | {"inputs": {"gen": "other"}}))
    assert "2-of-3: made of another gen than shard 0/3" in told(solve, "summarize {out}")


def test_two_commands_of_one_shard(solve, tmp_path):
    with locked(Shard(0, 2).folder(tmp_path / "out")):
        assert "0-of-2: in use by process" in told(solve, f"{LINE} --shard 0/2")


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/4", "0/0", "1/4/2"])
def test_bad_parts_are_refused(text, solve):
    assert f"argument --shard: {text!r}: expected I/N, with I from 0 to N - 1" in told(
        solve, f"{LINE} --shard={text}"
    )


def test_frames_are_not_divided(solve):
    assert "--shard: expected without --video" in told(solve, f"{LINE} --video --shard 0/2")


def test_a_folder_without_shards(solve, tmp_path):
    assert f"{tmp_path}/out: no folder; expected" in told(solve, "summarize {out}")
    (tmp_path / "out").mkdir()
    assert "no shards; expected shards/I-of-N in it" in told(solve, "summarize {out}")
    assert shards.shards_in(tmp_path / "out") == []
