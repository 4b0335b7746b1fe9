"""What `--help` says."""

import pytest

from ilo_jax.app.tasks import TASKS


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_help_of_a_task_names_its_options(task, solve):
    done = solve(f"{task.name} --help")
    assert (done.code, done.err) == (0, "")
    for option in task.options:
        assert f"--{option.name}" in done.out
    for name in ("images", "out", "measured", "generator", "method", "steps", "lr", "radii"):
        assert f"--{name}" in done.out
    assert "--batch-size" in done.out
    assert "--seed" in done.out
    assert "SUPPRESS" not in done.out


def test_help_names_the_tasks_and_what_the_demo_shows(solve):
    done = solve("--help")
    assert done.code == 0
    for task in TASKS.values():
        assert task.name in done.out
        assert task.help in done.out
    assert "not for diagnosis" in " ".join(done.out.split())
