"""What is done on processors beside the workers, each a function of Ray Data's batches."""

import dataclasses
import functools
import pickle
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ilo_jax.app.cluster.parts import Parts
from ilo_jax.app.cluster.sources import Source
from ilo_jax.app.cluster.stores import opened
from ilo_jax.app.cluster.work import Done, Work
from ilo_jax.app.metrics import OK

_AT_ONCE = 16
"""Files of a store that are read together."""


@dataclasses.dataclass(frozen=True)
class Expand:
    """From sources to batches of at most `width` images, each in so many `parts`."""

    width: int
    parts: int = 1

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for content in batch["source"]:
            source: Source = pickle.loads(content)
            for work in source.works(self.width):
                for part in range(self.parts):
                    key = f"{work.key}.{part}" if self.parts > 1 else work.key
                    yield {"work": _one(dataclasses.replace(work, key=key, part=part))}


@dataclasses.dataclass(frozen=True)
class Fetch:
    """Reads what nobody has read yet, and looks up what is there already.

    Attributes:
      known: reference to the digests of all finished images by name, for each part of a batch.
      parts: where they are, if not in a folder.
    """

    known: Any
    parts: Parts | None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        (content,) = batch["work"]
        work: Work = pickle.loads(content)
        if work.urls is not None:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                work = dataclasses.replace(work, contents=tuple(pool.map(_read, work.urls)))
        known: Mapping[str, str] = {}
        if self.parts is not None:
            known = self.parts.known(work.key)
        else:
            everything = self._everything[work.part]
            names = (name_of(file) for file in work.files)
            known = {name: everything[name] for name in names if name in everything}
        whole = self.parts is not None
        return {"work": _one(dataclasses.replace(work, known=known, whole=whole))}

    @functools.cached_property
    def _everything(self) -> Sequence[Mapping[str, str]]:
        import ray  # pyright: ignore[reportMissingImports]

        return ray.get(self.known)


@dataclasses.dataclass(frozen=True)
class Write:
    """Writes batches, and keeps what is said of them."""

    parts: Parts

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        (content,) = batch["done"]
        done: Done = pickle.loads(content)
        if done.rows:
            self.parts.write(done)
        rows = tuple(dataclasses.replace(row, name="", input="") for row in done.rows)
        failed = any(row.status != OK for row in rows)
        light = dataclasses.replace(
            done, rows=rows, files={}, history=b"", said=done.said if failed else ()
        )
        return {"done": _one(light)}


def name_of(file: str) -> str:
    """Of an image."""
    return file.rpartition("/")[2].rpartition(".")[0]


def _read(url: str) -> bytes | None:
    """None of what is gone since it was listed."""
    system, path = opened(url)
    try:
        return system.cat_file(path)
    except FileNotFoundError:
        return None


def _one(content: Any) -> np.ndarray:
    """A column of one row."""
    column = np.empty(1, object)
    column[0] = pickle.dumps(content)
    return column
