"""Results as Parquet, a part a batch: `OUT/part-KEY.parquet`, with a row an image.

    key, image       name and PNG, null of an image that failed
    METRICS          as in `metrics.csv`
    seed, input      of everything random; digest of what the image is made of
    device, status   which kind has computed it; `ok`, or why there is no image
    files, history   what else a run was asked to keep, by its path; `history.csv`'s lines

The name of a part is that of its batch: one that is written twice is there once.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ilo_jax.app.cluster.stores import is_url, opened, reaching
from ilo_jax.app.cluster.work import Done
from ilo_jax.app.folder import as_json, check_same_run
from ilo_jax.app.history import by_name
from ilo_jax.app.metrics import METRICS, OK
from ilo_jax.app.results import image_of
from ilo_jax.files.atomic import write_atomically


@dataclasses.dataclass(frozen=True)
class Parts:
    """A folder of them, of a store or not.

    Attributes:
      url: of the folder.
      seed: of the run.
    """

    url: str
    seed: int

    def begin(self, described: Mapping[str, Any]) -> None:
        """Starts a run in a new folder, or goes on with the same run.

        Raises:
          InputError: the folder holds another run, or cannot be written to.
        """
        described = json.loads(json.dumps(described))
        system, path = self._at("run.json")
        with reaching(self.url):
            stored = json.loads(system.cat_file(path)) if system.exists(path) else None
        if stored is not None:
            check_same_run(Path(self.url), stored, described)
        if stored != described:
            self._put("run.json", as_json(described))

    def known(self, key: str) -> dict[str, str]:
        """Digests of the finished images of a batch, by name."""
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]

        system, path = self._at(_name(key))
        with reaching(self.url):
            if not system.exists(path):
                return {}
            with system.open(path, "rb") as file:
                table = parquet.read_table(file, columns=["key", "input", "status"])
        rows = table.to_pylist()
        return {row["key"]: row["input"] for row in rows if row["status"] == OK}

    def write(self, done: Done) -> None:
        """A batch, all of whose images were computed."""
        import pyarrow as pa  # pyright: ignore[reportMissingImports]
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]

        table = pa.Table.from_pylist(list(self._rows(done)), schema=_schema(pa))
        content = pa.BufferOutputStream()
        parquet.write_table(table, content)
        self._put(_name(done.key), content.getvalue().to_pybytes())

    def summarize(self, described: Mapping[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
        """Writes `summary.json` of all parts; returns it, and how many images have which status."""
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]

        statuses: Counter[str] = Counter()
        sums = {metric: _Sum() for metric in METRICS}
        system, path = self._at("")
        with reaching(self.url):
            for part in system.find(path, maxdepth=1):
                if not part.endswith(".parquet"):
                    continue
                with system.open(part, "rb") as file:
                    table = parquet.read_table(file, columns=[*METRICS, "status"])
                statuses.update(table.column("status").to_pylist())
                for metric, found in sums.items():
                    found.add(
                        v
                        for v, status in zip(
                            table.column(metric).to_pylist(),
                            table.column("status").to_pylist(),
                            strict=True,
                        )
                        if v is not None and status == OK
                    )
        summary = dict(described) | {"images": statuses[OK]}
        summary |= {metric: found.statistics() for metric, found in sums.items()}
        self._put("summary.json", as_json(summary))
        return summary, statuses

    def _rows(self, done: Done) -> Iterator[dict[str, Any]]:
        history, files = by_name(done.history), dict[str, dict[str, bytes]]()
        for path, content in done.files.items():
            files.setdefault(image_of(path), {})[path] = content
        for row in done.rows:
            own = files.get(row.name, {})
            yield {
                "key": row.name,
                "image": own.pop(f"images/{row.name}.png", None),
                **{metric: getattr(row, metric) for metric in METRICS},
                "seed": self.seed,
                "input": row.input,
                "device": done.device,
                "status": row.status,
                "files": [{"path": path, "content": content} for path, content in own.items()],
                "history": history.get(row.name, b"").decode(),
            }

    def _at(self, name: str) -> tuple[Any, str]:
        system, path = opened(self.url)
        return system, f"{path.rstrip('/')}/{name}".rstrip("/")

    def _put(self, name: str, content: bytes) -> None:
        """A store's files appear whole or not at all."""
        if not is_url(self.url):
            write_atomically(Path(self.url) / name, content)
            return
        system, path = self._at(name)
        with reaching(self.url):
            system.pipe_file(path, content)


class _Sum:
    """Statistics of numbers that nobody holds."""

    def __init__(self):
        self.count, self.mean, self.squares, self.infinite = 0, 0.0, 0.0, False

    def add(self, values: Iterator[float]) -> None:
        for value in values:
            if not np.isfinite(value):
                self.infinite = True
                continue
            self.count += 1
            off = value - self.mean
            self.mean += off / self.count
            self.squares += off * (value - self.mean)

    def statistics(self) -> dict[str, float | str | None]:
        """As `metrics.statistics`."""
        if self.infinite:
            return {"mean": "inf", "std": None}
        if not self.count:
            return {"mean": None, "std": None}
        return {"mean": self.mean, "std": float(np.sqrt(self.squares / self.count))}


def _name(key: str) -> str:
    return f"part-{key}.parquet"


def _schema(pa: Any) -> Any:
    file = pa.struct([("path", pa.string()), ("content", pa.binary())])
    return pa.schema(
        [
            ("key", pa.string()),
            ("image", pa.binary()),
            *((metric, pa.float64()) for metric in METRICS),
            ("seed", pa.int64()),
            ("input", pa.string()),
            ("device", pa.string()),
            ("status", pa.string()),
            ("files", pa.list_(file)),
            ("history", pa.string()),
        ]
    )
