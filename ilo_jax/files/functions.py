"""A user's functions, named on the command line."""

import importlib
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from ilo_jax.errors import InputError, one_line
from ilo_jax.files.digest import combined, digest_of


def load_function(text: str) -> Callable[[Any], Any]:
    """`MODULE:FUNCTION` -> the function; modules are also looked for in the current directory.

    Raises:
      InputError: it cannot be imported, or is no function.
    """
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise InputError(f"{text}: expected MODULE:FUNCTION")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module may fail in any way
        raise InputError(
            f"{text}: cannot be imported ({one_line(error)}); expected MODULE:FUNCTION, in "
            "a module that Python finds here"
        ) from error
    if not callable(function):
        raise InputError(f"{text}: is of type {type(function).__name__}; expected a function")
    return function


def digest_of_function(text: str) -> str:
    """Of the file of a function's module; what it imports is not looked at.

    Raises:
      InputError: as `load_function`.
    """
    load_function(text)
    file = getattr(sys.modules[text.partition(":")[0]], "__file__", None)
    return digest_of(file) if file else combined(platform.python_version())
