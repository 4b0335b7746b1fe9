"""An image's variables on disk, so that a later run goes on from them: one `.npz` file.

    inputs/...   the generator's inputs, by name: of StyleGAN2 `inputs/latents`, `inputs/noises/0`,
                 `inputs/styles/layers/0` and so on; `inputs` alone where they are one array
    v/CUT        the deviation of the code at each cut that has one
    image        `[H, W, C]`, the image that they give by `image_of`, not clipped
    error        its measurement error

All are float32 arrays of one image; nothing is pickled, and nothing says which devices there were.
"""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.files.arrays import read_npz, write_npz
from ilo_jax.priors import Prior
from ilo_jax.pytree import by_name
from ilo_jax.solve import Variables, image
from ilo_jax.solve.variables import zeros


def save_variables(path: Path | str, variables: Variables, image: Any, error: Any) -> None:
    """Writes one image's variables, whole or not at all.

    Args:
      image: that they give.
      error: its measurement error.

    Raises:
      InputError: `path` cannot be written.
    """
    arrays = {**by_name(variables), "image": image, "error": error}
    write_npz(Path(path), {k: np.asarray(a) for k, a in arrays.items()})


def load_variables(path: Path | str, prior: Prior) -> Variables:
    """Reads what `save_variables` wrote, as arrays of the host.

    Raises:
      InputError: there is none, it is damaged, or of another generator.
    """
    expected = "expected variables that a run with --save-variables wrote"
    if not os.path.lexists(path):
        raise InputError(f"{path}: does not exist; {expected}")
    try:
        stored = read_npz(path)
    except InputError as error:
        raise InputError(f"{path}: damaged; {expected}") from error
    stored = {name: a for name, a in stored.items() if name not in ("image", "error")}
    of = "x".join(map(str, prior.image_shape[:2]))
    expected += f" for this generator, of {of} px"
    cuts = [name.removeprefix("v/") for name in stored if name.startswith("v/")]
    if not all(cut.isdecimal() and 1 <= int(cut) <= prior.depth for cut in cuts):
        raise InputError(f"{path}: deviations at cuts {', '.join(cuts)}; {expected}")
    wanted = jax.eval_shape(
        lambda key: Variables(prior.starts()["random"](key), zeros(prior, tuple(map(int, cuts)))),
        jax.random.key(0),
    )
    shapes = by_name(wanted)
    for name in shapes | stored:
        found, should = (_shape(arrays.get(name)) for arrays in (stored, shapes))
        if found != should:
            raise InputError(f"{path}: {name} is {found}, not {should}; {expected}")
    return jax.tree.unflatten(jax.tree.structure(wanted), [stored[name] for name in shapes])


def image_of(prior: Prior, variables: Variables) -> np.ndarray:
    """The image `[H, W, C]` of one image's variables, not clipped, by the one program that makes
    those which a run with `--save-variables` writes: the same bytes on the same machine."""
    return np.asarray(_image(prior, variables))


_image = jax.jit(image)


def _shape(array: Any) -> str:
    return "missing" if array is None else f"{array.dtype}{list(array.shape)}"
