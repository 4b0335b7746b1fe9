"""The sizes of networks, which may come from files of anybody."""

from typing import Any

MAX_WIDTH = 4096  # of layers; StyleGAN2 has 512, ResNet-50 has 2048
MAX_CLASSES = 2**15


def check_size(name: str, size: Any, most: int) -> None:
    """Refuses a size that is no integer from 1 to `most`.

    Raises:
      ValueError: which one, what it is, and what was expected; one line.
    """
    if type(size) is not int or not 1 <= size <= most:
        found = size if type(size) in (int, float) else f"a {type(size).__name__}"
        raise ValueError(f"{name} is {found}; expected an integer from 1 to {most}")


def check_sizes(name: str, sizes: Any, longest: int, most: int) -> None:
    """Refuses what is no tuple of 1 to `longest` such sizes.

    Raises:
      ValueError: as `check_size`.
    """
    if not (isinstance(sizes, tuple) and 1 <= len(sizes) <= longest):
        found = f"{len(sizes)} numbers" if isinstance(sizes, tuple) else f"a {type(sizes).__name__}"
        raise ValueError(f"{name} is {found}; expected 1 to {longest}")
    for size in sizes:
        check_size(name, size, most)
