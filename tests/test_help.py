"""What `--help` says."""

import json

import pytest

import ilo_jax
from ilo_jax.app.tasks import TASKS

looks_at_files = True


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_help_of_a_task_names_its_options(task, solve):
    short, whole = solve(f"{task.name} --help"), solve(f"{task.name} --help-all")
    for done in (short, whole):
        assert (done.code, done.err) == (0, "")
        for option in task.options:
            assert f"--{option.name}" in done.out
        for name in ("images", "out", "measured", "generator", "method", "steps", "auto", "seed"):
            assert f"--{name}" in done.out
        assert f" {task.name} " in done.out
        assert "SUPPRESS" not in done.out
    rare = ("--lr", "--radii", "--batch-size", "--frame-steps", "ilo: Intermediate Layer")
    assert not any(name in short.out for name in rare)
    assert all(name in whole.out for name in rare)
    assert "more options" in short.out
    assert "more options" not in whole.out


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("superes --factor 2", "no task 'superes'; did you mean superres?"),
        ("inpaint --observd 0.1 --images a --out b", "no option --observd; did you mean --obs"),
        ("invert --imges=a", "no option --imges; did you mean --images?"),
        ("invert --method csgn --images a --out b", "no method 'csgn'; did you mean csgm?"),
        ("invert --method ILO --images a --out b", "no method 'ILO'; did you mean ilo?"),
        ("sweep inpant --observed 0.1", "no task 'inpant'; did you mean inpaint?"),
    ],
)
def test_what_was_meant_is_said(line, meant, solve):
    done = solve(line)
    assert done.code == 2
    assert meant in done.err
    assert done.err.count("\n") == 1


def test_a_word_may_have_two_spellings(solve, tmp_path):
    line = "--images photos/a.png --generator gen --steps 1,1 --out"
    for word in ("colourise", "colorize"):
        assert solve(f"{word} {line} {tmp_path / word}").code == 0
    one, other = (
        json.loads((tmp_path / word / "run.json").read_text()) for word in ("colourise", "colorize")
    )
    assert one["task"] == other["task"] == "colourise"


def test_version_and_completion(solve):
    assert solve("--version").out == f"{ilo_jax.__version__}\n"
    done = solve("--print-completion bash")
    assert done.code == 0
    assert "superres" in done.out


def test_help_names_the_tasks_and_what_the_demo_shows(solve):
    done = solve("--help")
    assert done.code == 0
    for task in TASKS.values():
        assert task.name in done.out
        assert task.help in done.out
    assert "not for diagnosis" in " ".join(done.out.split())
