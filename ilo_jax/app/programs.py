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
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
from ilo_jax.app.cores import usable_cores
from ilo_jax.errors import InputError, one_line
from ilo_jax.files.atomic import write_atomically
from ilo_jax.solve import Run, steps
from ilo_jax.solve.batch import over_batch, run_steps, shardings_of

_KNOWN = ("builtins", "functools", "flax", "ilo_jax", "jax", "numpy", "optax")
"""Packages whose functions are what their names say: their versions are in the key."""

_SUM = hashlib.sha256().digest_size


class _NoKey(Exception):
    """A part of a program that no text stands for, such as a user's function."""


def kept_steps(run: Run, count: int, mesh: Mesh | None = None) -> Run:
    """As `solve.steps`, and the same program; from the folder of compiled programs where it is
    there, and put there where it is not. Not where it has parts that could be others the next
    time."""
    program = _begun(run, mesh)
    if program is None:
        return steps(run, count, mesh)
    leaves = jax.tree.leaves(_arguments(run, np.int32(count)))
    search = jax.tree.structure(run.search).unflatten(program.result()(*leaves))
    return run.replace(search=search, t=run.t + count)


def begin_steps(run: Run, mesh: Mesh | None = None) -> None:
    """Begins to find, or to trace and compile, the program of `kept_steps`, beside whatever comes
    next: XLA lets go of Python's lock.

    Args:
      run: of arrays, or of shapes alone, as `jax.eval_shape` has it of `solve.init`.
    """
    _begun(run, mesh)


def compiled_steps(run: Run, mesh: Mesh | None = None) -> jax.stages.Compiled:
    """The program of `steps` for a run, such as `begin_steps` takes, that of `kept_steps` where it
    can be kept."""
    program = _begun(run, mesh)
    if program is not None:
        return program.result()
    count = jax.ShapeDtypeStruct((), jnp.int32)
    return run_steps.lower(*_arguments(run, count), mesh).compile()


def _arguments(run: Run, count: Any) -> tuple[Any, ...]:
    return run.problem, run.search, run.t, count


def _begun(run: Run, mesh: Mesh | None) -> Future[jax.stages.Compiled] | None:
    """None where no program can be kept."""
    folder = jax.config.values["jax_compilation_cache_dir"]
    if not folder or not jax.config.values["jax_enable_compilation_cache"]:
        return None
    args = _arguments(run, jax.ShapeDtypeStruct((), jnp.int32))
    leaves, tree = jax.tree.flatten(args)
    kinds = tuple(map(_kind, leaves))
    return _program(Path(folder), tree, kinds, mesh, _settings())


@functools.cache
def _program(
    folder: Path,
    tree: Any,
    kinds: tuple[jax.ShapeDtypeStruct, ...],
    mesh: Mesh | None,
    settings: str,
) -> Future[jax.stages.Compiled] | None:
    """None for what has no key."""
    over = "one device" if mesh is None else f"{mesh.axis_names} {mesh.devices.shape}"
    try:
        key = "\n".join([*_versions(), settings, over, *_of_tree(tree), *map(_of_kind, kinds)])
    except _NoKey:
        return None
    path = folder / (hashlib.sha256(key.encode()).hexdigest() + TRACED)
    return _threads().submit(_compiled, path, tree, kinds, mesh)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """As many as programs are compiled side by side."""
    return ThreadPoolExecutor(usable_cores(), "compile")


def _compiled(
    path: Path, tree: Any, kinds: tuple[jax.ShapeDtypeStruct, ...], mesh: Mesh | None
) -> jax.stages.Compiled:
    """`*leaves -> leaves`, of `run_steps`: as it was traced into a file, or is now."""
    from jax import export

    problem, search, *_ = args = tree.unflatten(kinds)
    results = jax.tree.leaves(search)
    of_args, of_results = [None] * len(kinds), [None] * len(results)
    if mesh is not None:
        of_args = jax.tree.leaves(jax.tree.broadcast(shardings_of(problem, mesh), args))
        of_results = [over_batch(mesh)] * len(results)
    content = _read(path)
    if content is None:
        flat = jax.jit(
            lambda *leaves: jax.tree.leaves(run_steps(*tree.unflatten(leaves), mesh)),
            in_shardings=tuple(_but_of_keys(of_args, kinds)),
            out_shardings=_but_of_keys(of_results, results),
        )
        content = bytes(export.export(flat)(*kinds).serialize())
        try:
            write_atomically(path, hashlib.sha256(content).digest() + content)
        except InputError as error:  # a full disk: it is computed all the same
            say_unusable(path.parent, one_line(error))
    call = export.deserialize(bytearray(content)).call
    program = jax.jit(call, in_shardings=tuple(of_args), out_shardings=of_results)
    return program.lower(*kinds).compile()


def _but_of_keys(shardings: list[Any], kinds: Sequence[jax.ShapeDtypeStruct]) -> list[Any]:
    """Without those of random keys, which JAX 0.11.2 writes and cannot read."""
    return [
        None if jnp.issubdtype(kind.dtype, jax.dtypes.prng_key) else sharding
        for kind, sharding in zip(kinds, shardings, strict=True)
    ]


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


def _kind(leaf: Any) -> jax.ShapeDtypeStruct:
    """The same of an array and of its shape."""
    kind: Any = jax.api_util.shaped_abstractify(leaf)
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype, weak_type=kind.weak_type)


def _of_kind(kind: jax.ShapeDtypeStruct) -> str:
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
