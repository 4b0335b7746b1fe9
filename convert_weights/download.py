"""A download that heals: one that breaks off goes on where it stopped, and what a server gives in
place of a file is not kept."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pooch
import requests

from convert_weights.limits import FILE_BYTES, shortly
from ilo_jax.errors import one_line
from ilo_jax.files.checkpoint import CheckpointError

_CHUNK = 2**16  # of which the last is lost with a connection
_SECONDS = 30.0  # without an answer
_PAGE_BYTES = 2**16  # of what may be a message instead of a file
_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)

Shown = Callable[[int, int | None], None]
"""Is told how many bytes are there, and of how many if that is known."""


@dataclasses.dataclass(frozen=True)
class _Part:
    """A file that is not whole yet, `NAME.part`, and beside it, in `NAME.part.json`, of what.

    Attributes:
      path: of the part.
      tag: the server's name of the version: a strong `ETag`, or else `Last-Modified`.
      total: bytes of the whole.
    """

    path: pathlib.Path
    tag: str | None = None
    total: int | None = None

    @classmethod
    def found(cls, path: pathlib.Path) -> "_Part":
        """As an earlier connection left it."""
        with contextlib.suppress(OSError, ValueError):
            match json.loads(_beside(path).read_text()):
                case {"tag": str(tag), "total": int(total)}:
                    return cls(path, tag, total)
        return cls(path)

    @property
    def size(self) -> int:
        """Bytes from which it can go on: none where nobody knows of what they are."""
        known = self.tag is not None and self.total is not None and self.path.exists()
        return self.path.stat().st_size if known else 0

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        _beside(self.path).unlink(missing_ok=True)


def download(url: str, folder: pathlib.Path) -> pathlib.Path:
    """Downloads a file into a folder, where it is kept with its SHA-256 beside it, and downloaded
    again if it is no longer that.

    What a broken connection has brought stays, and a range request for the rest of the same version
    (`ETag` or `Last-Modified`, and length) goes on, in this call or a later one. Where a server
    tells no version, nothing stays.

    Raises:
      CheckpointError: it cannot be downloaded, or what is there is no checkpoint.
    """
    name = pooch.utils.unique_file_name(url)[:200]  # starts with a hash of the address
    path, known = folder / name, folder / f"{name}.sha256"
    part = folder / f"{name}.part"
    try:
        if path.exists() and known.exists() and pooch.file_hash(path) == known.read_text():
            return path
        path.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        with _bar(url) as shown:
            _fetch(url, part, shown)
        served = _served_instead(part)
        if served is not None:
            _Part(part).drop()
            raise CheckpointError(
                f"{url}: gives {served}; expected the checkpoint itself: get it in a browser and "
                "give its path"
            )
        known.write_text(pooch.file_hash(part))
        part.replace(path)
        _Part(part).drop()
    except (requests.RequestException, OSError) as error:
        kept = _Part.found(part)
        if not kept.size:
            kept.drop()
        broken = isinstance(error, requests.exceptions.ChunkedEncodingError)
        reason = "the connection broke off" if broken else one_line(error) or type(error).__name__
        stays = f"; {kept.size} of {kept.total} bytes are kept, and the same command goes on"
        raise CheckpointError(
            f"{url}: cannot be downloaded ({reason})"
            f"{stays if kept.size else ''}; expected an address that answers; a file that you "
            "have got otherwise can be given by its path"
        ) from error
    return path


def _fetch(url: str, path: pathlib.Path, shown: Shown) -> None:
    """Goes on as long as connections bring something."""
    while True:
        part = _Part.found(path)
        before = part.size
        try:
            whole = _go_on(url, part, shown)
        except _BROKEN:
            if _Part.found(path).size <= before:
                raise
            continue
        if whole:
            return
        part.drop()  # of another version
        if not before:
            raise requests.RequestException("an answer of another length than it says")


def _go_on(url: str, part: _Part, shown: Shown) -> bool:
    """One connection; whether the file is whole then, else its part is of no use."""
    headers = {"Accept-Encoding": "identity"}  # or else its length is not the file's
    if part.size:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.tag or ""}
    with requests.get(url, headers=headers, stream=True, timeout=_SECONDS) as answer:
        if answer.status_code == 416 and part.size:
            return False
        answer.raise_for_status()
        start = 0
        if answer.status_code == 206:
            start = part.size
            if answer.headers.get("Content-Range") != f"bytes {start}-{_last(part)}/{part.total}":
                return False
        else:
            part = _begun(part.path, answer.headers)
        # Two processes write the same bytes to the same places.
        with part.path.open("r+b") as file:
            file.seek(start)
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                if max(file.tell(), part.total or 0) > FILE_BYTES:
                    part.drop()
                    raise CheckpointError(
                        f"{url}: more than {FILE_BYTES} bytes; expected a checkpoint"
                    )
                shown(file.tell(), part.total)
    return part.total is None or part.path.stat().st_size == part.total


def _begun(path: pathlib.Path, headers: Any) -> _Part:
    """From the first byte on, of the version of an answer."""
    tag = headers.get("ETag", "")
    tag = headers.get("Last-Modified") if not tag or tag.startswith("W/") else tag
    length = headers.get("Content-Length", "")
    plain = headers.get("Content-Encoding", "identity") == "identity"
    total = int(length) if plain and re.fullmatch(r"[0-9]{1,18}", length) else None
    path.write_bytes(b"")
    _beside(path).write_text(json.dumps({"tag": tag, "total": total}))
    return _Part(path, tag, total)


def _last(part: _Part) -> int:
    return (part.total or 0) - 1


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.json")


def _served_instead(path: pathlib.Path) -> str | None:
    """What a server has given in place of a file; None for what may be one."""
    with path.open("rb") as file:
        begins = file.read(_PAGE_BYTES)
    lower = begins.lstrip().lower()
    if lower.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    if lower.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, of a quota that is exceeded" if b"quota" in lower else "a web page"
    if not begins:
        return "an empty file"
    text = None
    with contextlib.suppress(UnicodeDecodeError):
        text = " ".join(begins.decode().split())
    if text is None or not text.isprintable() or len(begins) == _PAGE_BYTES:
        return None
    return f"{'JSON' if text[:1] in ('{', '[') else 'text'}, {shortly([text])}"


@contextlib.contextmanager
def _bar(url: str) -> Iterator[Shown]:
    """A progress bar, where somebody sees it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(os.path.basename(url), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
