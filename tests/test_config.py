"""Options from a file: of one's own, or what an earlier run was asked for."""

import json
import shutil

import pytest
from outputs import pictures

looks_at_files = True

WHERE = "--images photos/a.png --generator gen --out {out}"


def config(tmp_path, text, name="run.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def run_json(out):
    return json.loads((out / "run.json").read_text())


def test_a_file_gives_the_options(solve, tmp_path):
    path = config(
        tmp_path,
        'task = "inpaint"\nobserved = 0.4\nimages = ["photos/a.png"]\ngenerator = "gen"\n'
        f'out = "{tmp_path}/out"\nsteps = [2, 3]\nradii = [inf]\n'
        "weights = {mse = 1, geocross = 0.1}\n"
        "save-variables = true\nconsistent = false\nsna = false\n",
    )
    assert solve(f"--config {path}").code == 0
    run = run_json(tmp_path / "out")
    assert (run["task"], run["observed"], run["steps"]) == ("inpaint", 0.4, [2, 3])
    assert (run["radii"], run["sna"], run["save_variables"]) == (["inf"], False, True)
    assert run["weights"] == {"mse": [1.0], "geocross": [0.1]}


def test_what_is_given_goes_before_the_file(solve, tmp_path, inputs):
    path = config(tmp_path, "observed = 0.4\nsteps = [2, 3]\nseed = 5\n")
    line = f"inpaint --config {path} --mask mask.png --ste 1,1 {WHERE}"
    assert solve(line).code == 0
    run = run_json(tmp_path / "out")
    assert (run["steps"], run["seed"]) == ([1, 1], 5)
    assert "observed" not in run
    assert run["mask"]


@pytest.mark.parametrize(
    "line",
    [
        "denoise --sigma 20 --steps 2,2 --no-sna --seed 3 --samples 2",
        pytest.param(
            "superres --factor 2 --method dhar --steps 2,2 --radii inf --lr 0.2,0.1",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "invert --steps 2,2 --weights mse=1 geocross=0.01 --range 0 200",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_file_of_a_run_gives_the_same_bytes(line, solve, tmp_path):
    assert solve(f"{line} {WHERE}").code == 0
    path = tmp_path / "out" / "run.json"
    again = f"--config {path} {WHERE.replace('{out}', str(tmp_path / 'again'))}"
    assert solve(again).code == 0
    assert pictures(tmp_path / "again") == pictures(tmp_path / "out")
    assert (tmp_path / "again" / "run.json").read_bytes() == path.read_bytes()


def test_the_task_may_be_spelled_otherwise(solve, tmp_path):
    path = config(tmp_path, "steps = [1, 1]\n")
    assert solve(f"colorize --config {path} {WHERE}").code == 0
    assert run_json(tmp_path / "out")["task"] == "colourise"


def test_a_value_is_no_task(solve, tmp_path, inputs):
    path = config(tmp_path, 'task = "invert"\nsteps = [1, 1]\n')
    for out in ("--out denoise", "--seed 3 invert --out denoise"):
        assert solve(f"--config {path} {out} --images photos/a.png --generator gen").code == 0
        assert run_json(inputs / "denoise")["task"] == "invert"
        shutil.rmtree(inputs / "denoise")


@pytest.mark.parametrize("made_by", ["{}", '{"given": 3}', '{"given": {"options": [1]}}'])
def test_a_damaged_run_json_is_refused_in_one_line(made_by, solve, tmp_path):
    path = config(tmp_path, f'{{"made_by": {made_by}}}', "run.json")
    done = solve(f"invert --config {path} {WHERE}")
    assert done.code == 2
    assert "run.json: damaged; expected what a run was asked for" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("observd = 0.4", "observd is no option of inpaint; did you mean observed?"),
        ("observed = ", "no TOML, or JSON"),
        ('task = "magic"', "task magic; expected one of invert,"),
        ('task = "denoise"', "task denoise; expected one of"),
        ("steps = {a = 1}", "steps is a table; expected a value"),
        ("measured = 3", "measured 3; expected true or false"),
        ("observed = 7", "--observed 7: expected a fraction"),
        ("steps = [0]", "argument --steps: '0': expected a whole number >= 1"),
    ],
)
def test_bad_files_are_refused_in_one_line(text, message, solve, tmp_path):
    path = config(tmp_path, text)
    more = "" if "observed" in text else "--observed 0.4"
    done = solve(f"inpaint --config {path} {more} {WHERE}")
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_a_file_that_is_not_there(solve, tmp_path):
    done = solve(f"invert --config nowhere.toml {WHERE}")
    assert done.code == 2
    assert "nowhere.toml" in done.err
    assert not (tmp_path / "out").exists()
