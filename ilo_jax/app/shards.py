"""`--shard I/N`: a part of the images, for array jobs in which no process knows of another.

    OUT/shards/I-of-N/            the results of a shard, as those of any run
    OUT/shards/I-of-N/shard.json  when it is done: its images as the command named them, how many

`summarize` brings them together in OUT.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from ilo_jax.app.folder import as_json
from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically

FOLDER = "shards"
_DONE = "shard.json"
_NAME = re.compile(r"(\d+)-of-(\d+)")


def shard_of(name: str, count: int) -> int:
    """Which of `count` shards the image of a name is in: by its hash, so that others that come or
    go move none."""
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % count


@dataclasses.dataclass(frozen=True)
class Done:
    """What a shard says when it is done.

    Attributes:
      images: as its command named them.
      recursive: whether folders in them were looked into.
      files: how many images of them are in this shard.
    """

    images: tuple[str, ...]
    recursive: bool
    files: int


@dataclasses.dataclass(frozen=True)
class Shard:
    """Part `index`, from 0, of `count`."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def share(self, files: Sequence[Path]) -> list[Path]:
        """Its files, in order."""
        return [file for file in files if shard_of(file.stem, self.count) == self.index]

    def folder(self, out: Path) -> Path:
        """Of its results."""
        return out / FOLDER / f"{self.index}-of-{self.count}"

    def begin(self, out: Path) -> None:
        """It is not done, from now on; its folder may not be there yet.

        Raises:
          InputError: `out` holds shards of another number.
        """
        counts = {shard.count for shard in shards_in(out)} - {self.count}
        if counts:
            raise InputError(
                f"--shard {self}: {out} holds shards of {min(counts)}, which overlap with those of "
                f"{self.count}; expected the same number, or another --out"
            )
        (self.folder(out) / _DONE).unlink(missing_ok=True)

    def end(self, out: Path, done: Done) -> None:
        """Says that it is done."""
        write_atomically(self.folder(out) / _DONE, as_json(dataclasses.asdict(done)))

    def done(self, out: Path) -> Done | None:
        """What it has said; None while it is not done.

        Raises:
          InputError: the file is damaged.
        """
        path = self.folder(out) / _DONE
        try:
            found = json.loads(path.read_text())
            return Done(
                tuple(map(str, found["images"])), *(found[k] for k in ("recursive", "files"))
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: damaged; run shard {self} again") from error


def shards_in(out: Path) -> list[Shard]:
    """Those that a folder has begun, in order."""
    names = (_NAME.fullmatch(path.name) for path in (out / FOLDER).glob("*-of-*"))
    found = (Shard(int(name[1]), int(name[2])) for name in names if name)
    return sorted(found, key=lambda shard: (shard.count, shard.index))


def whole(out: Path) -> list[Shard]:
    """All shards of a folder, in order.

    Raises:
      InputError: there are none, some are missing or not done, or they overlap.
    """
    shards = shards_in(out)
    if not shards:
        raise InputError(
            f"{out}: no shards; expected {FOLDER}/I-of-N in it, as --shard writes them"
        )
    counts = sorted({shard.count for shard in shards})
    if len(counts) > 1:
        raise InputError(
            f"{out}: shards of {' and of '.join(map(str, counts))} overlap; expected those of one "
            "number: remove the others"
        )
    expected = [Shard(index, counts[0]) for index in range(counts[0])]
    if shards != expected:
        missing = [shard for shard in expected if shard not in shards]
        beyond = [shard for shard in shards if shard not in expected]
        if beyond:
            raise InputError(f"{out}: shard {beyond[0]}; expected 0 to {counts[0] - 1}")
        raise InputError(f"{out}: {_said(missing)} missing; expected {_command(missing)}")
    open_ones = [shard for shard in shards if shard.done(out) is None]
    if open_ones:
        raise InputError(f"{out}: {_said(open_ones)} not done; expected {_command(open_ones)}")
    return shards


def _said(shards: Sequence[Shard]) -> str:
    shown = ", ".join(str(shard.index) for shard in shards[:5])
    more = ", ..." if len(shards) > 5 else ""
    some = f"shards {shown}{more}" if len(shards) > 1 else f"shard {shown}"
    return f"{some} of {shards[0].count} {'are' if len(shards) > 1 else 'is'}"


def _command(shards: Sequence[Shard]) -> str:
    return f"the same command with --shard {shards[0]} to have run to its end"
