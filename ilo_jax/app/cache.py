"""The folder in which JAX keeps compiled programs, so that later runs find them again."""

import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import jax
import platformdirs

_BYTES = 2**30
"""The least recently used go when there is more."""

_FAILED = re.compile(r"Error (reading|writing) persistent compilation cache entry for '([^']+)'")


def use_cache() -> None:
    """Keeps small programs too, of which there are a hundred; JAX's own settings of the folder and
    of its size go before. A folder that cannot be written to is said."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    if jax.config.values["jax_compilation_cache_max_size"] < 0:
        jax.config.update("jax_compilation_cache_max_size", _BYTES)
    named = jax.config.values["jax_compilation_cache_dir"]
    folder = Path(named or platformdirs.user_cache_path("ilo_jax") / "compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0" * 4096)
        _remove_halves(folder)
    except OSError as error:
        _say(folder, error.strerror or str(error))
        jax.config.update("jax_enable_compilation_cache", False)


def mend_cache() -> None:
    """From now on a program that is damaged, such as one that a killed run was writing, is removed,
    since JAX would keep it, and compiled again; that one cannot be written is said once."""
    show, said = warnings.showwarning, set[str]()

    def shown(message: Warning | str, *args: Any, **options: Any) -> None:
        failed = _FAILED.match(str(message))
        if failed is None:
            show(message, *args, **options)  # pyright: ignore[reportArgumentType]
            return
        what, program = failed.groups()
        folder = Path(str(jax.config.values["jax_compilation_cache_dir"]))
        if what == "reading":
            for entry in folder.glob(f"{program}-*-cache"):
                entry.unlink(missing_ok=True)
        elif not _remove_halves(folder) and what not in said:
            said.add(what)
            _say(folder, str(message).rpartition(": ")[2])

    warnings.filterwarnings("always", _FAILED.pattern)
    warnings.showwarning = shown


def _remove_halves(folder: Path) -> int:
    """Removes programs without the time of their last use, as a run leaves one that is killed
    between the two: JAX would write no further ones beside it. Returns how many."""
    halves = [
        entry
        for entry in folder.glob("*-cache")
        if not entry.with_name(entry.name.removesuffix("-cache") + "-atime").exists()
    ]
    for entry in halves:
        entry.unlink(missing_ok=True)
    return len(halves)


def _say(folder: Path, reason: str) -> None:
    print(
        f"{folder}: compiled programs cannot be kept there ({' '.join(reason.split())}), so that "
        "each run compiles them again; JAX_COMPILATION_CACHE_DIR names another folder",
        file=sys.stderr,
    )
