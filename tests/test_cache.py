"""Compiled programs: damaged ones are mended, a folder that cannot be used is said, once."""

import os
import subprocess
import sys
import warnings

import jax
import pytest

from ilo_jax.app import cache
from ilo_jax.app.cache import mend_cache, use_cache

PROGRAM = """
import jax, jax.numpy as jnp
from ilo_jax.app.cache import mend_cache, use_cache
use_cache()
mend_cache()
jax.jit(lambda x: jnp.sin(x) + 1)(jnp.zeros(3))
"""


@pytest.fixture
def settings():
    names = ("jax_compilation_cache_dir", "jax_enable_compilation_cache")
    before = {name: jax.config.values[name] for name in names}
    yield lambda folder: jax.config.update("jax_compilation_cache_dir", str(folder))
    for name, value in before.items():
        jax.config.update(name, value)


def run(folder):
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}  # of XLA's tuning hints
    environment = os.environ | quiet | {"JAX_COMPILATION_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_damaged_program_is_made_again(tmp_path):
    assert run(tmp_path) == ""
    whole = {path.name: path.read_bytes() for path in tmp_path.glob("jit__lambda*-cache")}
    assert whole
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert run(tmp_path) == ""
    for name, content in whole.items():
        assert len((tmp_path / name).read_bytes()) > len(content) // 2


def test_what_was_not_used_for_longest_goes(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(cache, "_BYTES", 25)
    for age in range(4):
        path = tmp_path / f"jit_{age}-cache"
        path.write_bytes(bytes(10))
        os.utime(path, (1e9 - age, 1e9))
    settings(tmp_path)
    use_cache()
    assert {path.name for path in tmp_path.iterdir()} == {"jit_0-cache", "jit_1-cache"}


def test_a_folder_that_cannot_be_used_is_said(tmp_path, capsys, settings):
    (tmp_path / "file").write_text("")
    settings(tmp_path / "file" / "cache")
    use_cache()
    assert not jax.config.values["jax_enable_compilation_cache"]
    err = capsys.readouterr().err
    assert err.startswith(f"{tmp_path}/file/cache: compiled programs cannot be kept there (Not a d")
    assert err.count("\n") == 1


def test_a_full_disk_is_said_once_and_other_warnings_stay(tmp_path, capsys, settings, monkeypatch):
    settings(tmp_path)
    seen = []
    with warnings.catch_warnings():
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_, **__: seen.append(message))
        mend_cache()
        for program in ("jit_a", "jit_b"):
            text = (
                f"Error writing persistent compilation cache entry for '{program}': OSError: full"
            )
            warnings.warn(text, stacklevel=1)
        warnings.simplefilter("always")
        warnings.warn("something else", stacklevel=1)
    assert capsys.readouterr().err.count("cannot be kept there (full)") == 1
    assert [str(message) for message in seen] == ["something else"]
