"""Which batches killed their worker.

Ray does a batch of a lost worker again, for ever, and cannot tell which batch it was that a worker
died of. So each attempt is noted before it begins, and one that is begun again without having ended
has killed its worker, unless its whole node is gone.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ilo_jax.files.atomic import append

MOST = 2
"""Workers that a batch, or an image alone, may kill."""


class Attempts:
    """What is known of all batches, kept in a file, so that a driver that was killed knows what its
    batches did before."""

    def __init__(self, path: Path, session: str, is_alive: Callable[[str], bool]):
        """Args:
        session: of one driver; attempts of others ended with it.
        is_alive: whether a node is.
        """
        self._path, self._session, self._is_alive = path, session, is_alive
        self._deaths: Counter[str] = Counter()
        self._open: dict[str, str] = {}
        self._found: dict[str, bytes] = {}
        content = path.read_bytes() if path.exists() else b""
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            note = json.loads(line)
            match note["event"]:
                case "died":
                    self._deaths[note["key"]] += 1
                case "begun" if note["session"] == session:
                    self._open[note["key"]] = note["node"]
                case "ended":
                    self._open.pop(note["key"], None)
        append(path, b"" if content.endswith(b"\n") or not content else b"\n")

    def begin(self, key: str, node: str) -> tuple[int, bytes | None]:
        """Notes an attempt, before it computes anything.

        Returns:
          How many workers the batch has killed, and what was found of it, if it has ended.
        """
        before = self._open.get(key)
        if before is not None and self._is_alive(before):
            self._deaths[key] += 1
            self._note("died", key, before)
        self._open[key] = node
        self._note("begun", key, node)
        return self._deaths[key], self._found.get(key)

    def end(self, key: str, found: bytes | None) -> None:
        """Notes that an attempt is over.

        Args:
          found: of a part of a batch, kept until the batch itself ends: then None.
        """
        node = self._open.pop(key, "")
        if found is None:
            for part in [part for part in self._found if part.startswith(f"{key}/")]:
                del self._found[part]
        else:
            self._found[key] = found
        self._note("ended", key, node)

    def _note(self, event: str, key: str, node: str) -> None:
        note = {"event": event, "key": key, "node": node, "session": self._session}
        append(self._path, json.dumps(note).encode() + b"\n")
