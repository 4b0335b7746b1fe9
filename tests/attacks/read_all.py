"""Reads each file of a folder in every way, within a gigabyte; a line of JSON for each."""

import json
import pathlib
import resource
import sys
import time

import numpy as np

from ilo_jax.app.options import read_kernel
from ilo_jax.errors import InputError
from ilo_jax.files.images import read_exact, read_image, read_mask
from ilo_jax.files.samples import Limits

SHAPE = (8, 8, 3)
READERS = {
    "image": lambda path: read_image(path, SHAPE)[0],
    "exact": lambda path: read_exact(path, SHAPE)[0],
    "mask": lambda path: read_mask(path, SHAPE[:2]),
    "kernel": lambda path: read_kernel(str(path)),
    "range": lambda path: read_image(path, SHAPE, Limits(0, None))[0],
}


def outcome(path: pathlib.Path, reader: str) -> str:
    """What came of a file: "read", "refused", or what is wrong."""
    try:
        values = READERS[reader](path)
    except InputError as error:
        message = str(error)
        good = str(path) in message and "expected" in message and "\n" not in message
        return "refused" if good or reader == "mask" else f"refused in other words: {message}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    if not np.isfinite(values).all():
        return "not finite"
    return "read" if reader == "kernel" or np.abs(values).max() <= 1 else "beyond [-1, 1]"


def main(folder: str) -> None:
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
    for path in sorted(pathlib.Path(folder).iterdir()):
        for reader in READERS:
            if reader == "range" and path.name != "large.jpg":
                continue
            start = time.process_time()
            found = outcome(path, reader)
            seconds = time.process_time() - start
            print(json.dumps([path.name, reader, found, round(seconds, 3)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
