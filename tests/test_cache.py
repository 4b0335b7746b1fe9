"""Compiled programs: damaged ones are mended, a folder that cannot be used is said, once."""

import os
import subprocess
import sys
import warnings

import jax
import pytest

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


def test_half_a_program_does_not_keep_others_out(tmp_path):
    assert run(tmp_path) == ""
    whole = {path.name for path in tmp_path.glob("*-cache")}
    for path in (*tmp_path.glob("jit__lambda*-atime"), *tmp_path.glob("jit_broad*-cache")):
        path.unlink()
    assert run(tmp_path) == ""
    assert {path.name for path in tmp_path.glob("*-cache")} == whole


def test_one_that_appears_while_a_run_writes_is_removed(tmp_path, capsys, settings, monkeypatch):
    settings(tmp_path)
    (tmp_path / "jit_a-1-cache").write_bytes(b"")
    with warnings.catch_warnings():
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        mend_cache()
        entry = "persistent compilation cache entry for 'jit_b'"
        warnings.warn(f"Error writing {entry}: FileNotFoundError: jit_a-1-atime", stacklevel=1)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


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
