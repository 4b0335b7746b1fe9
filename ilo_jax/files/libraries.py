"""Libraries of extras, which are imported where they are needed."""

from collections.abc import Iterator
from contextlib import contextmanager

from ilo_jax.errors import InputError


@contextmanager
def of_extra(what: str, library: str, extra: str) -> Iterator[None]:
    """Around an import: raises `InputError` where the library is not installed."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{what}, which needs the library {library}: pip install 'ilo_jax[{extra}]'"
        ) from error
