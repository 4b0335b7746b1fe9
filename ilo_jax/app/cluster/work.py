"""What goes to a worker, and what comes back."""

import dataclasses

from ilo_jax.app.metrics import Row


@dataclasses.dataclass(frozen=True)
class Work:
    """Images that are solved together.

    Attributes:
      key: the same whenever the same command makes this batch.
      files: of the images; the worker's machine must see them.
      known: digest of what the result that is there was made of, of each image; None without.
    """

    key: str
    files: tuple[str, ...]
    known: tuple[str | None, ...]


@dataclasses.dataclass(frozen=True)
class Done:
    """What became of a batch.

    Attributes:
      rows: of its images, but for those whose results are there already.
      files: by their path in the folder of results.
      history: lines of `history.csv`.
      said: notes and complaints.
      same: how many are there already.
    """

    rows: tuple[Row, ...] = ()
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    history: bytes = b""
    said: tuple[str, ...] = ()
    same: int = 0

    def __add__(self, other: "Done") -> "Done":
        return Done(
            self.rows + other.rows,
            self.files | other.files,
            self.history + other.history,
            self.said + other.said,
            self.same + other.same,
        )
