"""Packages that a plain run does without."""

import importlib.util

from ilo_jax.errors import InputError


def need(package: str, extra: str, what: str) -> None:
    """Raises `InputError` where a package is not installed, with the extra that has it.

    Args:
      package: as it is imported.
      what: asks for it.
    """
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{what}: needs {package}; pip install 'ilo_jax[{extra}]'")
