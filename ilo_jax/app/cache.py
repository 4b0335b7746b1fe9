"""The folder in which JAX keeps compiled programs, so that later runs find them again."""

import contextlib
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import jax
import platformdirs

from ilo_jax.errors import one_line

TRACED = "-traced"
"""What names of programs that were traced end in; of those that were compiled, JAX says it."""

_BYTES = 2**30
"""Of programs that are kept."""

_FAILED = re.compile(r"Error (reading|writing) persistent compilation cache entry for '([^']+)'")


def use_cache() -> None:
    """Keeps small programs too, of which there are a hundred, and a gigabyte at most; JAX's own
    setting of the folder goes before. A folder that cannot be written to is said."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    named = jax.config.values["jax_compilation_cache_dir"]
    folder = Path(named or platformdirs.user_cache_path("ilo_jax") / "compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0" * 4096)
        _prune(folder)
    except OSError as error:
        say_unusable(folder, one_line(error))
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
        elif what not in said:
            said.add(what)
            say_unusable(folder, one_line(str(message).rpartition(": ")[2]))

    warnings.filterwarnings("always", _FAILED.pattern)
    warnings.showwarning = shown


def _prune(folder: Path) -> None:
    """Removes the programs that were not used for longest, once a run: JAX's own limit looks
    through the folder with each program that it writes."""
    entries = []
    for entry in (*folder.glob("*-cache"), *folder.glob(f"*{TRACED}")):
        with contextlib.suppress(FileNotFoundError):  # another run does the same
            entries.append((entry.stat(), entry))
    room = _BYTES
    for status, entry in sorted(entries, key=lambda pair: -pair[0].st_atime):
        room -= status.st_size
        if room < 0:
            entry.unlink(missing_ok=True)


def say_unusable(folder: Path, reason: str) -> None:
    """On standard error, in one line."""
    print(
        f"{folder}: compiled programs cannot be kept there ({reason}), so that "
        "each run compiles them again; JAX_COMPILATION_CACHE_DIR names another folder",
        file=sys.stderr,
    )
