"""What goes to a worker, and what comes back."""

import dataclasses
from collections.abc import Mapping

from ilo_jax.app.metrics import Row


@dataclasses.dataclass(frozen=True)
class Work:
    """Images that are solved together.

    Attributes:
      key: the same whenever the same command makes this batch.
      part: of a sweep whose runs of an image are more than a program has, which program, from 0.
      files: of the images: paths that the worker's machine sees, or names of what follows.
      known: by name, digest of what the result that is there was made of.
      urls: in a store, where nobody has read them yet.
      contents: of the files; None of one that is not there.
      masks: of each image, where each has its own.
      whole: whether all are computed again where one is.
    """

    key: str
    files: tuple[str, ...]
    known: Mapping[str, str] = dataclasses.field(default_factory=dict)
    urls: tuple[str, ...] | None = None
    contents: tuple[bytes | None, ...] | None = None
    masks: tuple[bytes, ...] | None = None
    whole: bool = False
    part: int = 0


@dataclasses.dataclass(frozen=True)
class Done:
    """What became of a batch.

    Attributes:
      rows: of its images, but for those whose results are there already; of a sweep, of those that
        have none.
      runs: of a sweep, rows of its table.
      files: by their path in the folder of results.
      history: lines of `history.csv`.
      said: notes and complaints.
      same: how many are there already.
      key, part: of the batch.
      device: the kind that has computed it.
    """

    rows: tuple[Row, ...] = ()
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    history: bytes = b""
    runs: tuple[Mapping[str, str], ...] = ()
    said: tuple[str, ...] = ()
    same: int = 0
    key: str = ""
    part: int = 0
    device: str = ""

    def __add__(self, other: "Done") -> "Done":
        return Done(
            self.rows + other.rows,
            self.files | other.files,
            self.history + other.history,
            self.runs + other.runs,
            self.said + other.said,
            self.same + other.same,
            self.key,
            self.part,
            self.device,
        )
