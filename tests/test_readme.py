"""What the README and the docs show works when pasted."""

import functools
import pathlib
import re
import shlex

import pytest

from ilo_jax.app.parser import make_parser

numerics_elsewhere = True

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINE = re.compile(r"^    python -m ilo_jax\.solve (.*)$", re.MULTILINE)
COMMANDS = [
    pytest.param(command, id=f"{page.name}: {command[:40]}")
    for page in PAGES
    for command in LINE.findall(page.read_text())
]


@functools.cache
def run_blocks(page: pathlib.Path) -> dict:
    """Runs a page's Python blocks in order; returns their names."""
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, page.name, "exec"), names)
    return names


@pytest.mark.slow
def test_the_python_blocks_of_the_readme_run_in_order():
    names = run_blocks(ROOT / "README.md")
    assert names["image"].shape == (1, 64, 64, 3)
    assert names["status"] == [0]


def test_the_readme_is_read_in_three_minutes():
    assert len((ROOT / "README.md").read_text().split()) <= 600


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\s-]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, link


@pytest.mark.parametrize(
    ("page", "name", "shape"),
    [
        pytest.param("library.md", "image", (2, 64, 64, 3), marks=pytest.mark.slow),
        pytest.param("library.md", "errors", (3, 2), marks=pytest.mark.slow),
        pytest.param("algorithm.md", "result.image", (1, 64, 64, 3), marks=pytest.mark.slow),
        pytest.param("methods.md", "image", (1, 64, 64, 3), marks=pytest.mark.slow),
        pytest.param("classifier.md", "image", (1, 64, 64, 3), marks=pytest.mark.slow),
        ("priors.md", "result.image", (2, 8, 8, 1)),
        ("images.md", "face", (256, 256, 3)),
        ("operators.md", "back", (64, 64, 3)),
        ("operators.md", "measured", (2, 64, 64, 3)),
    ],
)
def test_the_python_blocks_of_the_docs_run_in_order(page, name, shape):
    first, *attributes = name.split(".")
    found = functools.reduce(getattr, attributes, run_blocks(ROOT / "docs" / page)[first])
    assert found.shape == shape


QUOTED = re.compile(r"```python (\S+)\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(
    ("path", "block"), QUOTED.findall((ROOT / "docs" / "algorithm.md").read_text())
)
def test_what_the_tour_quotes_is_in_the_code(path, block):
    assert block in (ROOT / path).read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command):
    args = make_parser().parse_args(shlex.split(command, comments=True))
    assert args.task == shlex.split(command)[0]


def test_there_are_commands():
    assert len(COMMANDS) >= 30
