"""What the README shows works when pasted."""

import pathlib
import re
import shlex

import pytest

from ilo_jax.solve import cli

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = re.findall(r"^    python -m ilo_jax\.solve (.*)$", README, re.MULTILINE)


def test_the_python_blocks_run_in_order():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["solutions"][-1].image.shape == (2, 64, 64, 3)
    assert names["errors"].shape == (3, 2)
    assert names["image"].shape == (2, 64, 64, 3)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command):
    args = cli._parser().parse_args(shlex.split(command))
    assert args.task == shlex.split(command)[0]


def test_there_are_commands():
    assert len(COMMANDS) >= 7
