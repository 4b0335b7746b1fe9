"""The library's core knows nothing of the command line, files and pictures."""

import ast
import pathlib

import pytest

import ilo_jax

ROOT = pathlib.Path(ilo_jax.__file__).parent
CORE = ("priors", "stylegan2", "solve", "ops", "theory", "lpips")
OUTSIDE = ("ilo_jax.app", "ilo_jax.files", "PIL", "rich")


def imported(source: str) -> set[str]:
    """Modules, and what is imported of them; relative ones are not used in this project."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def of(packages, modules):
    return {m for m in modules if any(m == p or m.startswith(f"{p}.") for p in packages)}


@pytest.mark.parametrize("package", CORE)
def test_the_core_imports_nothing_from_outside(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        if file.name == "__main__.py":
            continue
        modules = imported(file.read_text())
        assert not of(OUTSIDE, modules), file
        if package in ("solve", "theory"):
            assert not of(["ilo_jax.stylegan2"], modules), file


@pytest.mark.parametrize(
    "source",
    [
        "import rich.table",
        "from ilo_jax import app",
        "def f():\n    from ilo_jax.files.images import read_image",
        "import ilo_jax.files.images as images",
    ],
)
def test_an_import_from_outside_is_found(source):
    assert of(OUTSIDE, imported(source))


def test_what_only_sounds_alike_is_not():
    assert not of(OUTSIDE, imported("import richer\nfrom ilo_jax import application"))
