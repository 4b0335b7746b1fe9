"""Steps whose program was traced before, by this command or an earlier one.

JAX finds compiled programs again, but only once it has traced and lowered what they are of, which
of a run with a full cache was most of the time before its first step. What tracing gives is kept
beside them, as `jax.export` writes it, which is data, no code of Python.
"""

import dataclasses
import functools
import hashlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import optax
from jax.sharding import Mesh

from ilo_jax.app.cache import TRACED, say_unusable
from ilo_jax.errors import InputError, one_line
from ilo_jax.files.atomic import write_atomically
from ilo_jax.solve import Run, steps
from ilo_jax.solve.batch import run_steps

_KNOWN = ("builtins", "functools", "flax", "ilo_jax", "jax", "numpy", "optax")
"""Packages whose functions are what their names say: their versions are in the key."""

_SUM = hashlib.sha256().digest_size


class _NoKey(Exception):
    """A part of a program that no text stands for, such as a user's function."""


def kept_steps(run: Run, count: int, mesh: Mesh | None = None) -> Run:
    """As `solve.steps`, and the same program; from the folder of compiled programs where it is
    there, and put there where it is not. Not where it has parts that could be others the next
    time, nor over several devices."""
    folder = jax.config.values["jax_compilation_cache_dir"]
    if mesh is not None or not folder or not jax.config.values["jax_enable_compilation_cache"]:
        return steps(run, count, mesh)
    args = (run.problem, run.search, run.t, jnp.int32(count))
    leaves, tree = jax.tree.flatten(args)
    kinds = tuple(map(jax.api_util.shaped_abstractify, leaves))
    program = _program(Path(folder), tree, kinds, _settings())
    if program is None:
        return steps(run, count, mesh)
    search = jax.tree.structure(run.search).unflatten(program(*leaves))
    return run.replace(search=search, t=run.t + count)


@functools.cache
def _program(
    folder: Path, tree: Any, kinds: tuple[Any, ...], settings: str
) -> Callable[..., Any] | None:
    """`*leaves -> leaves`; None for what has no key."""
    from jax import export

    try:
        key = "\n".join([*_versions(), settings, *_of_tree(tree), *map(_of_kind, kinds)])
    except _NoKey:
        return None
    path = folder / (hashlib.sha256(key.encode()).hexdigest() + TRACED)
    content = _read(path)
    if content is None:
        flat = jax.jit(lambda *leaves: jax.tree.leaves(run_steps(*tree.unflatten(leaves), None)))
        content = bytes(export.export(flat)(*kinds).serialize())
        try:
            write_atomically(path, hashlib.sha256(content).digest() + content)
        except InputError as error:  # a full disk: it is computed all the same
            say_unusable(folder, one_line(error))
    return jax.jit(export.deserialize(bytearray(content)).call)


def _read(path: Path) -> bytes | None:
    """None if it is not there, or is damaged."""
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    content = stored[_SUM:]
    return content if hashlib.sha256(content).digest() == stored[:_SUM] else None


@functools.cache
def _versions() -> tuple[str, ...]:
    """Of everything that a program depends on beside its arguments."""
    source = hashlib.sha256()
    package = Path(__file__).parents[1]
    for file in sorted(package.rglob("*.py")):
        source.update(f"{file.relative_to(package)}\0".encode() + file.read_bytes() + b"\0")
    versions = [m.__version__ for m in (jax, jaxlib, flax, optax, np)]
    return (source.hexdigest(), *versions, sys.version, jax.devices()[0].device_kind)


def _settings() -> str:
    """JAX's, but for those of the cache."""
    return repr(sorted((k, repr(v)) for k, v in jax.config.values.items() if "cache" not in k))


def _of_kind(kind: Any) -> str:
    return f"{kind.shape} {kind.dtype} {kind.weak_type}"


def _of_tree(tree: Any) -> Iterator[str]:
    """The types and static fields of a tree's nodes, from the root."""
    node = tree.node_data()
    yield "leaf" if node is None else f"{_of(node[0])} {_of(node[1])} {tree.num_nodes}"
    for child in tree.children():
        yield from _of_tree(child)


def _of(value: Any) -> str:
    """A text that only equal values have.

    Raises:
      _NoKey: there is none.
    """
    if value is None or isinstance(value, bool | int | float | str | bytes | np.dtype):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype} {value.shape} {np.asarray(value).tobytes().hex()}"
    if isinstance(value, list | tuple):
        return f"{_of(type(value))}[{', '.join(map(_of, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_of(k)}: {_of(v)}' for k, v in value.items())}}}"
    if isinstance(value, type):
        return _named(value)
    if isinstance(value, functools.partial):
        return f"partial({_of(value.func)}, {_of(value.args)}, {_of(value.keywords)})"
    if isinstance(value, types.FunctionType):
        bound = tuple(cell.cell_contents for cell in value.__closure__ or ())
        line = value.__code__.co_firstlineno
        parts = (bound, value.__defaults__, value.__kwdefaults__, line)
        return f"{_named(value)}({', '.join(map(_of, parts))})"
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return f"{_named(type(value))}({_of(fields)})"
    raise _NoKey


def _named(value: Any) -> str:
    if value.__module__.partition(".")[0] not in _KNOWN:
        raise _NoKey
    return f"{value.__module__}.{value.__qualname__}"
