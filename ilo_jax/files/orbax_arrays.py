"""Arrays of a network as orbax writes them: a folder, which may come from anybody.

What it asks for is looked at before memory is taken.
"""

import contextlib
import itertools
import logging
import math
import os
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import tensorstore as ts

from ilo_jax.errors import CheckpointError

_METADATA_BYTES = 16 * 2**20  # of each file but the arrays' own, in folders named `d`
_FILES = 10_000
_SHRINKS = 4  # arrays are compressed; random ones hardly
_SPARE_BYTES = 2**26


@contextlib.contextmanager
def own_checkpointer() -> Iterator[Any]:
    """Orbax's, for files that this process reads and writes without the others of its run.

    Its threads log what goes wrong, traceback and all, before it is raised: that is not needed.
    Folders are made by the caller's thread: one that is still making them when a write has failed
    makes them in what is being removed.
    """
    import orbax.checkpoint as ocp  # a fifth of a second, for what is written only

    own, log = jax.process_index(), logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with ocp.StandardCheckpointer(
            async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process-{own}"
            ),
        ) as checkpointer:
            yield checkpointer
    finally:
        log.setLevel(level)


def write_arrays(path: pathlib.Path, arrays: Any) -> None:
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


def _check_sizes(path: pathlib.Path, parameters: int) -> None:
    """Compares what the config asks for with what there is, and looks at every file's size."""
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


def read_arrays(path: pathlib.Path, shapes: dict[str, Any]) -> list[np.ndarray]:
    """By what orbax writes with, one after the other: orbax reads all at once, and where one fails
    the others go on complaining. Of a shape or chunk that is another one nothing is read.

    Raises:
      CheckpointError: they are not those of the shapes, too large or not finite; tensorstore raises
        what it runs into.
    """
    _check_sizes(path, sum(math.prod(a.shape) for a in shapes.values()))
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
