"""Networks on disk: a folder with `KIND.json` (what it is) and `arrays/` (orbax's).

A folder may come from anybody: what it asks for is looked at before memory is taken.
"""

import contextlib
import dataclasses
import itertools
import json
import logging
import math
import os
import pathlib
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import tensorstore as ts

from ilo_jax.errors import InputError, one_line
from ilo_jax.files.regular import read_regular

FORMAT_VERSION = 1
MAX_PARAMETERS = 2**27  # StyleGAN2 at 1024 px has 30 million, ResNet-152 has 60
_DESCRIPTION_BYTES = 2**20
_METADATA_BYTES = 16 * 2**20  # of each file but the arrays' own, in folders named `d`
_FILES = 10_000
_SHRINKS = 4  # arrays are compressed; random ones hardly
_SPARE_BYTES = 2**26


@contextlib.contextmanager
def own_checkpointer() -> Iterator[Any]:
    """Orbax's, for files that this process reads and writes without the others of its run.

    Its threads log what goes wrong, traceback and all, before it is raised: that is not needed.
    """
    import orbax.checkpoint as ocp  # a fifth of a second, for what is written only

    own, log = jax.process_index(), logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with ocp.StandardCheckpointer(
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process-{own}"
            )
        ) as checkpointer:
            yield checkpointer
    finally:
        log.setLevel(level)


class CheckpointError(InputError):
    """A checkpoint that cannot be used; the message says which, why, and what to do."""


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The folders that hold one kind of network.

    Attributes:
      kind: `generator`, say: the JSON file's name, and the network's in messages.
      embedded: folder of those that ship with the package, which are loaded by name.
      again: the command that writes such a folder.
    """

    kind: str
    embedded: pathlib.Path
    again: str

    def save(
        self,
        path: str | pathlib.Path,
        config: dict,
        arrays: Any,
        about: dict,
        facts: dict | None = None,
    ) -> None:
        """Writes the folder `path`, whole or not at all.

        Args:
          config: the network's sizes, JSON-serializable.
          arrays: a pytree of dicts and arrays.
          about: JSON-serializable notes on where the weights are from.
          facts: JSON-serializable, what the network says of itself.

        Raises:
          CheckpointError: `path` exists already, or cannot be written.
        """
        path = pathlib.Path(path)
        if os.path.lexists(path):
            raise CheckpointError(f"{path}: exists already; expected a new folder")
        description = {"format": FORMAT_VERSION, "config": config, "about": about}
        if facts:
            description["facts"] = facts
        text = json.dumps(description, indent=2) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            work = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}-", dir=path.parent))
        except (OSError, ValueError) as error:  # ValueError: a name with a null character
            raise _unwritten(path, error) from error
        try:
            _write_arrays(work.absolute() / "arrays", arrays)
            (work / f"{self.kind}.json").write_text(text)
            work.chmod(0o755)
            work.rename(path)
        except BaseException as error:
            shutil.rmtree(work)
            if isinstance(error, OSError):
                raise _unwritten(path, error) from error
            raise

    def locate(self, what: str | pathlib.Path) -> pathlib.Path:
        """The folder of an embedded network's name, or `what` itself.

        Raises:
          CheckpointError: it is the name of an embedded one and of a file or folder here.
        """
        if str(what) not in self._embedded():
            return pathlib.Path(what)
        if os.path.lexists(what):
            raise CheckpointError(
                f"{what}: an embedded {self.kind}, and a file or folder here; expected ./{what} "
                f"for the latter, or another current folder for the embedded {self.kind}"
            )
        return self.embedded / what

    def _embedded(self) -> list[str]:
        return sorted(p.name for p in self.embedded.iterdir() if p.is_dir())

    def describe(self, folder: pathlib.Path) -> tuple[Any, Any]:
        """What `save` was given as `config`, and as `facts`: {} if nothing.

        Raises:
          CheckpointError: `folder` holds none, or one of another format version.
        """
        try:
            content = read_regular(folder / f"{self.kind}.json", _DESCRIPTION_BYTES)
            description = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{folder}: not a {self.kind}; expected a folder written by convert_weights, "
                f"or an embedded one: {', '.join(self._embedded())}"
            ) from error
        found = description.get("format") if isinstance(description, dict) else None
        if type(found) is not int or found != FORMAT_VERSION:
            found = found if type(found) is int else None
            raise CheckpointError(
                f"{folder}: checkpoint format {found}; expected {FORMAT_VERSION}; "
                f"convert the weights again: {self.again}"
            )
        return description.get("config"), description.get("facts", {})

    def damaged(self, folder: pathlib.Path, error: Exception) -> CheckpointError:
        """The error for a config that is none: `error` says why."""
        reason = f" ({error})" if type(error) in (ValueError, InputError) else ""
        return CheckpointError(
            f"{folder}: config is damaged{reason}; convert the weights again: {self.again}"
        )

    def arrays(self, folder: pathlib.Path, shapes: Any) -> Any:
        """What `save` was given as `arrays`, on the first device.

        Args:
          shapes: the same pytree of `jax.ShapeDtypeStruct`.

        Raises:
          CheckpointError: they are missing, damaged, of other shapes, not finite, or too many.
        """
        path = folder.absolute() / "arrays"
        try:
            _check_sizes(path, shapes)
            arrays = _read_arrays(path, _by_name(shapes))
        except CheckpointError as error:
            raise CheckpointError(
                f"{folder}: {error}; convert the weights again: {self.again}"
            ) from error
        except (OSError, ValueError, LookupError, RuntimeError) as error:  # of tensorstore
            raise CheckpointError(
                f"{folder}: arrays are missing or damaged; convert the weights again: {self.again}"
            ) from error
        here = jax.local_devices()[0]
        return jax.device_put(jax.tree.unflatten(jax.tree.structure(shapes), arrays), here)


def _unwritten(path: pathlib.Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path}: cannot be written ({one_line(error)}); expected a folder with write "
        "permission and free space"
    )


def _write_arrays(path: pathlib.Path, arrays: Any) -> None:
    """Raises OSError whatever orbax and its back ends raise: what they write is all right."""
    try:
        with own_checkpointer() as checkpointer:
            checkpointer.save(path, arrays)
        (path / "commit_success.txt").unlink()  # names the temporary folder
    except Exception as error:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None:
            raise OSError(str(error)) from error
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


def _by_name(tree: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="."): leaf for p, leaf in leaves}


def _check_sizes(path: pathlib.Path, shapes: Any) -> None:
    """Compares what the config asks for with what there is, and looks at every file's size."""
    leaves = jax.tree.leaves(shapes)
    parameters = sum(math.prod(a.shape) for a in leaves)
    if parameters > MAX_PARAMETERS:
        raise CheckpointError(f"{parameters} parameters; expected at most {MAX_PARAMETERS}")
    there = _bytes_on_disk(path)
    if 4 * parameters > _SPARE_BYTES + _SHRINKS * there:
        raise CheckpointError(
            f"config asks for {parameters} parameters, and the arrays' files have {there} bytes"
        )


def _bytes_on_disk(path: pathlib.Path) -> int:
    folders, files, total = [path], 0, 0
    while folders:
        with os.scandir(folders.pop()) as found:
            entries = list(itertools.islice(found, _FILES + 1))
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(pathlib.Path(entry.path))
                continue
            files += 1
            status = entry.stat()
            own = pathlib.Path(entry.path).parent.name == "d"
            if not stat.S_ISREG(status.st_mode) or (not own and status.st_size > _METADATA_BYTES):
                raise CheckpointError(f"arrays are damaged: {entry.name} is not a file of orbax's")
            total += status.st_size
        if files + len(folders) > _FILES:
            raise CheckpointError(f"arrays are of more than {_FILES} files")
    return total


def _read_arrays(path: pathlib.Path, shapes: dict[str, Any]) -> list[np.ndarray]:
    """By what orbax writes with, one after the other: orbax reads all at once, and where one fails
    the others go on complaining. Of a shape or chunk that is another one nothing is read."""
    folder: dict[str, Any] = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{path}/"}}
    stored = {
        k.rpartition(b"/")[0].decode() for k in ts.KvStore.open(folder).result().list().result()
    }
    for name in [*shapes, *sorted(stored)]:
        if name not in stored:
            raise CheckpointError(f"array {name} is missing")
        if name not in shapes:
            raise CheckpointError(f"array {name[:60]!r} is none of the config's")
    return [_read_array(folder, name, should) for name, should in shapes.items()]


def _read_array(folder: dict[str, Any], name: str, should: Any) -> np.ndarray:
    kvstore, missing = {**folder, "path": f"{name}/"}, {"fill_missing_data_reads": False}
    store = ts.open(
        {"driver": "zarr", "kvstore": kvstore, **missing}, open=True, read=True
    ).result()
    if store.shape != should.shape or store.dtype.numpy_dtype != should.dtype:
        raise CheckpointError(
            f"array {name} is {store.dtype.name}{list(store.shape)}; expected "
            f"{should.dtype}{list(should.shape)}"
        )
    chunk = store.chunk_layout.read_chunk.shape or ()
    if math.prod(n or 1 for n in chunk) > max(math.prod(should.shape), 1):
        raise CheckpointError(f"array {name} is stored in chunks that are larger than itself")
    array = np.asarray(store.read().result())
    if not np.isfinite(array).all():
        raise CheckpointError(f"array {name} has values that are not finite")
    return array
