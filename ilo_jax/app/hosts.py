"""Several processes, on one machine or many, that share a run and its output folder.

Images are independent, so a process computes its share on its own devices and never waits for the
others while it solves. What must be agreed on goes through JAX's coordination service, which the
first process runs and which ends all processes when one of them dies.
"""

import contextlib
import json
import re
import signal
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import jax

from ilo_jax.errors import InputError

T = TypeVar("T")


def _coordination() -> Any:
    from orbax.checkpoint import multihost  # a fifth of a second, for several processes only

    return multihost.get_jax_distributed_client()


class Team:
    """The processes of a run, as one of them sees them; a process alone by default.

    Attributes:
      index: this process, from 0.
      count: of processes.
    """

    def __init__(self, index: int = 0, count: int = 1):
        self.index = index
        self.count = count
        self._client: Any = _coordination() if count > 1 else None
        self._meetings = 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's items of a list that is the same everywhere: every `count`-th."""
        return items[self.index :: self.count]

    def exchange(self, message: Any) -> list[Any]:
        """Everybody's JSON-able messages, when the last has come; all processes call it equally
        often.

        Raises:
          InputError: a process has failed.
        """
        if self.count == 1:
            return [message]
        keys = [self._key(i) for i in range(self.count)]
        self._tell({"message": message})
        told = [json.loads(self._wait(key)) for key in keys]
        for i, what in enumerate(told):
            if "failed" in what:
                raise InputError(f"process {i} failed: {what['failed']}")
        return [what["message"] for what in told]

    def fail(self, why: str) -> None:
        """Tells the others, where they would wait for this process next."""
        if self.count > 1:
            self._tell({"failed": why})

    def _key(self, index: int) -> str:
        return f"ilo_jax/{self._meetings}/{index}"

    def _tell(self, content: dict[str, Any]) -> None:
        self._client.key_value_set(self._key(self.index), json.dumps(content))
        self._meetings += 1

    def _wait(self, key: str) -> str:
        while True:
            try:
                return self._client.blocking_key_value_get(key, 1000)
            except jax.errors.JaxRuntimeError as error:  # comes up for air: Ctrl-C is heard
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise


ALONE = Team()


@contextlib.contextmanager
def join(
    coordinator: str | None = None, count: int | None = None, index: int | None = None
) -> Iterator[Team]:
    """Meets the other processes, before the first operation of JAX.

    Args:
      coordinator: `HOST:PORT` where the first process can be reached; this and the others are
        found by JAX where a cluster started the processes.

    Raises:
      InputError: there is no such cluster, or the numbers do not go together.
    """
    if coordinator is not None and not re.fullmatch(r".+:\d+", coordinator):
        raise InputError(f"--coordinator {coordinator}: expected HOST:PORT of process 0")
    if count is not None and index is not None and index >= count:
        raise InputError(f"--process {index}: expected 0 to {count - 1}, with --processes {count}")
    try:
        jax.distributed.initialize(coordinator, count, index)
    except ValueError as error:
        raise InputError(
            f"--distributed: no cluster is found ({error}) expected Slurm, Open MPI, Kubernetes or "
            "a TPU pod, or else --coordinator, --processes and --process"
        ) from error
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # JAX's handler only takes note of it
    team = Team(jax.process_index(), jax.process_count())
    try:
        yield team
    except BaseException as error:
        team.fail(str(error) or type(error).__name__)
        raise
