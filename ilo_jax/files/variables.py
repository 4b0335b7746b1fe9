"""An image's variables on disk, so that a later run goes on from them: one `.npz` file.

    inputs/...   the generator's inputs, by name: of StyleGAN2 `inputs/latents`, `inputs/noises/0`,
                 `inputs/styles/layers/0` and so on; `inputs` alone where they are one array
    v/CUT        the deviation of the code at each cut that has one
    image        `[H, W, C]`, the image that they give, not clipped
    error        its measurement error

All are float32 arrays of one image; nothing is pickled, and nothing says which devices there were.
"""

import io
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np
from numpy.lib.npyio import NpzFile

from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically
from ilo_jax.priors import Prior
from ilo_jax.solve import Variables
from ilo_jax.solve.variables import zeros

_DAMAGED = (OSError, ValueError, KeyError, EOFError, NotImplementedError, BadZipFile, zlib.error)
"""What NumPy and `zipfile` raise on files that are none."""


def save_variables(path: Path, variables: Variables, image: Any, error: Any) -> None:
    """Writes one image's variables, whole or not at all.

    Args:
      image: that they give.
      error: its measurement error.

    Raises:
      InputError: `path` cannot be written.
    """
    arrays = {**_by_name(variables), "image": image, "error": error}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **{k: np.asarray(a) for k, a in arrays.items()})
    write_atomically(path, content.getvalue())


def load_variables(path: Path, prior: Prior) -> Variables:
    """Reads what `save_variables` wrote, as arrays of the host.

    Raises:
      InputError: there is none, it is damaged, or of another generator.
    """
    expected = "expected variables that a run with --save-variables wrote"
    try:
        with NpzFile(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files if name not in ("image", "error")}
    except FileNotFoundError as error:
        raise InputError(f"{path}: does not exist; {expected}") from error
    except _DAMAGED as error:
        raise InputError(f"{path}: damaged; {expected}") from error
    of = "x".join(map(str, prior.image_shape[:2]))
    expected += f" for this generator, of {of} px"
    cuts = [name.removeprefix("v/") for name in stored if name.startswith("v/")]
    if not all(cut.isdecimal() and 1 <= int(cut) <= prior.depth for cut in cuts):
        raise InputError(f"{path}: deviations at cuts {', '.join(cuts)}; {expected}")
    wanted = jax.eval_shape(
        lambda key: Variables(prior.starts()["random"](key), zeros(prior, tuple(map(int, cuts)))),
        jax.random.key(0),
    )
    shapes = _by_name(wanted)
    for name in shapes | stored:
        found, should = (_shape(arrays.get(name)) for arrays in (stored, shapes))
        if found != should:
            raise InputError(f"{path}: {name} is {found}, not {should}; {expected}")
    return jax.tree.unflatten(jax.tree.structure(wanted), [stored[name] for name in shapes])


def _by_name(variables: Variables) -> dict[str, Any]:
    """Leaves by name, in the order of the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(variables)
    return {
        "/".join(jax.tree_util.keystr((key,), simple=True) for key in path): leaf
        for path, leaf in leaves
    }


def _shape(array: Any) -> str:
    return "missing" if array is None else f"{array.dtype}{list(array.shape)}"
