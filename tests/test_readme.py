"""What the README and the docs show works when pasted."""

import functools
import pathlib
import re
import shlex
import tomllib

import pytest

from ilo_jax.app.parser import make_parser

numerics_elsewhere = True

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A file of `--config` may have what a line has not.
LINE = re.compile(r"^    (?:python -m ilo_jax\.solve|ilo-jax) ((?!.*--config).*)$", re.MULTILINE)
SCRIPT = re.compile(
    r"^    (?:[A-Z_]+=\S+ )*python (?:-m (benchmarks|convert_weights|ilo_jax)\b(?!\.solve)([\w.]*)"
    r"|(examples)/(\w+)\.py)(.*)$",
    re.MULTILINE,
)
EXTRA = re.compile(r"(?:ilo_jax|'?\.)\[([\w,]+)\]")
COMMANDS = [
    pytest.param(command, id=f"{page.name}: {command[:40]}")
    for page in PAGES
    for command in LINE.findall(page.read_text())
]


@functools.cache
def parser():
    return make_parser()


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
    assert names["status"].tolist() == [0]


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
    words = shlex.split(re.sub(r"\$\w+", "0", command), comments=True)
    assert parser().parse_args(words).task == words[0]


def test_there_are_commands():
    assert len(COMMANDS) >= 30


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "benchmarks" / "README.md"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_other_programs_are_there_with_their_options(page):
    for package, module, examples, name, words in SCRIPT.findall(page.read_text()):
        file = ROOT / (package or examples) / (module.lstrip(".").replace(".", "/") or name)
        file = file if file.is_dir() else file.with_suffix(".py")
        assert file.exists(), file
        folder = [*file.glob("*.py"), *file.glob("*/command.py")]
        source = "".join(path.read_text() for path in folder or [file])
        if "add_images(" in source:
            source += (ROOT / "benchmarks" / "methods.py").read_text()
        for option in re.findall(r"--([a-z][\w-]*)", words):
            assert f'"--{option}"' in source or f'"{option}"' in source, (file, option)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_extras_are_there(page):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for names in EXTRA.findall(page.read_text()):
        assert set(names.split(",")) <= known.keys()
