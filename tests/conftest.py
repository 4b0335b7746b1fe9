"""The JAX of the tests: two devices. Programs compiled once are shared by all tests, their
processes and their subprocesses, in a folder of the run."""

import functools
import os
import pathlib
import shlex
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
from PIL import Image

_cache = None
if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker has its parent's folder
    _cache = tempfile.TemporaryDirectory(prefix="ilo_jax_tests_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache.name
os.environ["JAX_NUM_CPU_DEVICES"] = "2"
# A program is compiled in one piece, not in 32 side by side: the same code for less of the cores.
_flags = (os.environ.get("XLA_FLAGS", ""), "--xla_cpu_parallel_codegen_split_count=1")
os.environ["XLA_FLAGS"] = " ".join(_flags).strip()

_AS_USERS = "ILO_JAX_TESTS_AS_USERS" in os.environ
"""Whether all programs are compiled as users have them."""

# The first example of a shape compiles: times say nothing about a law.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def pytest_configure():
    from ilo_jax.app.cli import start_quickly  # JAX reads what is set above when it is imported

    start_quickly()


@pytest.fixture(scope="module", autouse=True)
def own_programs(request):
    """Compiled programs go with their file, and their memory. They are compiled as users have them,
    with exceptions that have few optimizations: files that look at what a command writes and says,
    `looks_at_files = True`, those that combine what is tested by others, generator, operators,
    projections, terms and loop, `numerics_elsewhere = True`, and those of many small programs,
    `many_programs = True`. `make test-slow` runs all of them without exception."""
    import jax
    from jax._src import compiler

    names = ("looks_at_files", "numerics_elsewhere", "many_programs")
    few = not _AS_USERS and any(getattr(request.module, name, False) for name in names)
    options = compiler.get_compile_options
    with pytest.MonkeyPatch.context() as patched:
        if few:
            patched.setattr(compiler, "get_compile_options", functools.partial(quickly, options))
        jax.config.update("jax_disable_most_optimizations", few)
        yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()


def quickly(options, *args, env_options_overrides=None, **more):
    """Of a program, without XLA's fusion emitters too: they take half of compiling. An option of
    all programs of a process could not differ by file."""
    overrides = {**(env_options_overrides or {}), "xla_cpu_use_fusion_emitters": False}
    return options(*args, env_options_overrides=overrides, **more)


def pytest_unconfigure():
    if _cache is not None:
        _cache.cleanup()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> pathlib.Path:
    """A folder with generators of 8 px and random weights, `gen` and, of three classes, `classes`;
    images `photos/{a,b}.png`, `many/{a,b,c,d,e}.png`, `small`, `mask.png`, and whatever else a user
    may get wrong."""
    from small import random_weights

    from ilo_jax.files.generators import save

    generator = random_weights()
    side = generator.config.resolution
    root = tmp_path_factory.mktemp("inputs")
    save(root / "gen", generator, about={})
    save(root / "classes", with_classes(generator), about={})
    pixels = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), np.uint8)
    for folder in ("photos", "small", "many", "empty", "mixed", "bad_gen", "holiday"):
        (root / folder).mkdir()
    for name, image in zip("ab", pixels[:2], strict=True):
        Image.fromarray(image).save(root / "photos" / f"{name}.png")
        Image.fromarray(image).save(root / "mixed" / f"{name}.png")
        Image.fromarray(image[::2, ::2]).save(root / "small" / f"{name}.png")
    for name, image in zip("abcde", pixels, strict=True):
        Image.fromarray(image).save(root / "many" / f"{name}.png")
    Image.fromarray(np.uint8(255) * (pixels[0, ..., 0] > 80)).save(root / "mask.png")
    Image.new("L", (side, 2 * side), 255).save(root / "tall_mask.png")
    Image.new("L", (side, side), 0).save(root / "black_mask.png")
    Image.new("RGB", (2 * side, side), "red").save(root / "wide.png")
    (root / "text.png").write_text("hello")
    (root / "mixed" / "text.png").write_text("hello")
    (root / "truncated.png").write_bytes((root / "photos" / "a.png").read_bytes()[:90])
    (root / "bad_gen" / "generator.json").write_text("{")
    (root / "holiday" / "beach.txt").write_text("")
    return root


def with_classes(generator):
    """The same with labels: another mapping network."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    from ilo_jax.stylegan2.networks import Mapping

    config = dataclasses.replace(generator.config, label_dim=3, label_width=4)
    mapping = dict(Mapping(config).init(jax.random.key(0), jnp.zeros(16), jnp.zeros(3)))
    return dataclasses.replace(generator, config=config, mapping=mapping)


class Outcome(NamedTuple):
    """Exit code and texts of a command."""

    code: int | str | None
    out: str
    err: str


@pytest.fixture
def solve(inputs, tmp_path, monkeypatch, capsys) -> Callable[[str], Outcome]:
    """Runs a command line in the folder of the inputs; {out} is a folder of the test."""
    from ilo_jax.app.cli import main

    monkeypatch.chdir(inputs)

    def run(line: str) -> Outcome:
        capsys.readouterr()
        try:
            code = main(shlex.split(line.format(out=tmp_path / "out", tmp=tmp_path)))
        except SystemExit as stopped:
            code = stopped.code
        return Outcome(code, *capsys.readouterr())

    return run
