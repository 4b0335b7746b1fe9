"""What reading one file may cost: everything that bounds time and memory stands here.

How wide and deep a network may be is a matter of its config, `ilo_jax.stylegan2.config` and
`ilo_jax.classifiers`; how large altogether, of `ilo_jax.files.checkpoint`.
"""

import math
import time

import numpy as np

from ilo_jax.files.checkpoint import MAX_PARAMETERS, CheckpointError

FILE_BYTES = 8 * 2**30  # a training state at 1024 px has 0.8 GiB
PICKLE_BYTES = 3 * 2**29  # of a file that is not an archive, of which all may come to memory
READ_BYTES = 2**30  # of an archive, its pickle and what its network uses
DIRECTORY_BYTES = 4 * 2**20  # of a zip archive or a safetensors file: some 50,000 entries
OPCODES = 1_000_000  # a training state at 1024 px has some 100,000
SECONDS = 30.0  # what the opcodes take is some 5
NAME_LENGTH = 200  # of a class or function
ARRAY_ELEMENTS = 2**25  # StyleGAN2's largest array has 2.4 million
SPARE_BYTES = 64 * 2**20  # of arrays beyond the file: some are looked at twice
PROXY_WORK = 2**42  # multiplications of the proxy's fit; StyleGAN2's mapping network needs 2**41


class Budget:
    """What is left to one file, whatever lies in it.

    Args:
      size: bytes of the file.

    All methods raise `CheckpointError` where there is nothing left.
    """

    def __init__(self, size: int):
        self._opcodes = OPCODES
        self._parameters = MAX_PARAMETERS
        self._read = READ_BYTES
        self._unfolded = self._taken = size + SPARE_BYTES
        self._end = time.monotonic() + SECONDS

    def opcode(self) -> None:
        """One step of a pickle."""
        self._opcodes -= 1
        if self._opcodes < 0:
            raise CheckpointError(f"pickles of more than {OPCODES} opcodes; expected a checkpoint")
        if self._opcodes % 1024 == 0 and time.monotonic() > self._end:
            raise CheckpointError(f"pickles that take longer than {SECONDS:g} s to read")

    def unfold(self, count: int) -> None:
        """`count` bytes that a pickle makes of others, which it may do again and again."""
        self._unfolded -= count
        if self._unfolded < 0:
            raise CheckpointError("a pickle that unfolds to more than its file; it is damaged")

    def read(self, count: int) -> None:
        """`count` bytes of an archive that are about to be read."""
        self._read -= count
        if self._read < 0:
            raise CheckpointError(
                f"a network whose entries have more than {READ_BYTES} bytes; expected fewer"
            )

    def take(self, name: str, array: np.ndarray) -> None:
        """An array of the network, of which copies will be made."""
        self._parameters -= array.size
        self._taken -= array.nbytes
        if array.size > ARRAY_ELEMENTS or self._parameters < 0:
            raise CheckpointError(
                f"array {name} of {array.size} elements is too large; expected at most "
                f"{ARRAY_ELEMENTS} each, {MAX_PARAMETERS} together"
            )
        if self._taken < 0:
            raise CheckpointError("arrays that are larger together than their file: they overlap")


def proxy_draws(mapping_parameters: int, most: int) -> int:
    """Draws of the mapping network for the proxy's fit, at most `most`; fewer of a large one."""
    return min(most, 2 ** int(math.log2(max(PROXY_WORK // mapping_parameters, 1))))


def shortly(names: list[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name[:60]) for name in names[:most]) + more
