"""Where images come from, beside files: folders of stores, Parquet, tars as WebDataset has them.

The driver knows where to look; workers list, read and divide, so that nobody holds all names.
"""

import dataclasses
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ilo_jax.app.cluster.stores import absolute, is_url, opened, reaching
from ilo_jax.app.cluster.work import Work
from ilo_jax.errors import InputError
from ilo_jax.files.digest import combined
from ilo_jax.files.find import natural_key, suffixes

TABLES = (".parquet", ".tar")
KEY, MASK = "key", "mask"


@dataclasses.dataclass(frozen=True)
class Source:
    """A folder, a table, or some files.

    Attributes:
      url: of a Parquet file, a tar, or a folder of a store; empty with files.
      files: of this machine's file systems.
      measured: whether it has measurements.
      recursive: whether folders inside a folder are looked into.
      masks: whether each image has its own mask beside it.
    """

    url: str = ""
    files: tuple[str, ...] = ()
    measured: bool = False
    recursive: bool = False
    masks: bool = False

    def works(self, width: int) -> Iterator[Work]:
        """Batches, the same ones each time; those of a folder of a store without contents yet.

        Raises:
          InputError: it cannot be read.
        """
        if not self.url:
            for start in range(0, len(self.files), width):
                files = self.files[start : start + width]
                yield Work(combined(*(Path(file).stem for file in files)), files)
            return
        rows = self._listed() if self.is_folder else self._rows(width)
        for number, group in enumerate(_grouped(rows, width)):
            names, contents, masks = zip(*group, strict=True)
            if self.is_folder:
                yield Work(combined(*names), names, urls=contents)
            else:
                key = combined(self.url, number, *names)
                yield Work(key, names, contents=contents, masks=masks if self.masks else None)

    @property
    def is_folder(self) -> bool:
        """Of a store."""
        return bool(self.url) and not self.url.lower().endswith(TABLES)

    @property
    def _content(self) -> str:
        return "measurement" if self.measured else "bytes"

    def _listed(self) -> Iterator[tuple[str, str, None]]:
        """Name and address of each file."""
        system, path = opened(self.url)
        with reaching(self.url):
            depth = None if self.recursive else 1
            found = system.find(path, maxdepth=depth)
        there = [file for file in found if file.lower().endswith(suffixes(self.measured))]
        if not there:
            raise InputError(f"{self.url}: no images; expected files in {', '.join(suffixes())}")
        for file in sorted(there, key=natural_key):
            yield posixpath.basename(file), system.unstrip_protocol(file), None

    def _rows(self, width: int) -> Iterator[tuple[str, bytes, bytes | None]]:
        """Name, content and mask."""
        system, path = opened(self.url)
        with reaching(self.url), system.open(path, "rb") as file:
            if self.url.lower().endswith(".tar"):
                yield from _tar_rows(self.url, file, self.measured, self.masks)
            else:
                yield from self._parquet_rows(file, width)

    def _parquet_rows(self, file: Any, width: int) -> Iterator[tuple[str, bytes, bytes | None]]:
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]

        columns = [KEY, self._content, *([MASK] if self.masks else [])]
        with parquet.ParquetFile(file) as table:
            there = table.schema_arrow.names
            missing = [column for column in columns if column not in there]
            if missing:
                raise InputError(
                    f"{self.url}: columns {', '.join(there)}; expected {', '.join(columns)}"
                )
            for batch in table.iter_batches(width, columns=columns):
                for row in batch.to_pylist():
                    name = str(row[KEY]).replace("/", "_") + ".bin"
                    yield name, row[self._content] or b"", row.get(MASK)


def sources_of(images: Sequence[str], measured: bool, recursive: bool, masks: bool) -> list[Source]:
    """Of what a command names: addresses, tables, globs of them.

    Raises:
      InputError: a glob without a match, or a table that is not there or has not the columns.
    """
    found: list[Source] = []
    for image in images:
        urls = [absolute(image)]
        if any(c in image for c in "*?["):
            system, path = opened(image)
            with reaching(image):
                urls = [system.unstrip_protocol(match) for match in sorted(system.glob(path))]
            if not urls:
                raise InputError(f"{image}: matches nothing; expected a glob of tables or images")
        found += [Source(url, (), measured, recursive, masks) for url in urls]
    for source in found:
        system, path = opened(source.url)
        with reaching(source.url):
            if not system.exists(path):
                raise InputError(f"{source.url}: is not there; expected a table or a folder")
    if found and not found[0].is_folder:  # which is listed once, by a worker
        next(found[0].works(1))  # the first one has what is expected
    return found


def is_table(path: str) -> bool:
    """Whether it names a table or a store."""
    return is_url(path) or path.lower().endswith(TABLES)


def _grouped(rows: Iterable[Any], width: int) -> Iterator[list[Any]]:
    group: list[Any] = []
    for row in rows:
        group.append(row)
        if len(group) == width:
            yield group
            group = []
    if group:
        yield group


def _tar_rows(
    url: str, file: Any, measured: bool, masks: bool
) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Files of one key, up to the first dot of a name, follow one another: `KEY.png`,
    `KEY.mask.png`."""
    key, fields = None, dict[str, bytes]()

    def sample() -> Iterator[tuple[str, bytes, bytes | None]]:
        if key is None:
            return
        mask = next((v for k, v in fields.items() if k.startswith(f".{MASK}.")), None)
        of_image = [(k, v) for k, v in fields.items() if k.endswith(suffixes(measured))]
        of_image = [(k, v) for k, v in of_image if not k.startswith(f".{MASK}.")]
        if len(of_image) != 1 or (masks and mask is None):
            wanted = f"one image{' and one mask' if masks else ''}"
            raise InputError(f"{url}: {key} has {', '.join(fields)}; expected {wanted} of each key")
        yield key.replace("/", "_") + of_image[0][0], of_image[0][1], mask

    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            folder, name = posixpath.split(member.name)
            stem, dot, field = name.partition(".")
            of = posixpath.join(folder, stem).removeprefix("./")
            if of != key:
                yield from sample()
                key, fields = of, {}
            fields[f"{dot}{field.lower()}"] = content.read()
    yield from sample()
