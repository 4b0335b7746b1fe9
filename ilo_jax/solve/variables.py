"""An image's variables on disk, so that a later run goes on from them."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.checkpoint import own_checkpointer
from ilo_jax.errors import InputError
from ilo_jax.solve.cuts import Solution
from ilo_jax.stylegan2 import Generator, State


def save_solution(path: Path, solution: Solution) -> None:
    """Writes one image's solution to the folder `path`, whole or not at all; what was there goes.

    Raises:
      InputError: `path` cannot be written.
    """
    stored = {
        "latents": solution.latents,
        "noises": list(solution.noises),
        "states": {
            str(layer): {
                name: value for name, value in state._asdict().items() if value is not None
            }
            for layer, state in solution.states.items()
        },
        "image": solution.image,
        "error": solution.error,
        "found_at": solution.found_at,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".tmp-", dir=path.parent))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); expected a writable folder"
        ) from error
    try:
        with own_checkpointer() as checkpointer:
            checkpointer.save(work.absolute() / "arrays", stored)
        shutil.rmtree(path, ignore_errors=True)
        (work / "arrays").rename(path)
    finally:
        shutil.rmtree(work)


def load_solution(path: Path, generator: Generator) -> Solution:
    """Reads what `save_solution` wrote.

    Raises:
      InputError: there is none, it is damaged, or of another generator.
    """
    expected = f"expected variables that a run with --save-variables wrote for {_size(generator)}"
    if not path.is_dir():
        raise InputError(f"{path}: does not exist; {expected}")
    try:
        with own_checkpointer() as checkpointer:
            stored: Any = checkpointer.restore(path.absolute())
        stored = jax.tree.map(jnp.asarray, stored)
        states = {int(layer): State(**{"rgb": None} | s) for layer, s in stored["states"].items()}
        solution = Solution(**stored | {"states": states, "noises": tuple(stored["noises"])})
    except Exception as error:  # orbax and its back ends raise any on damaged files
        raise InputError(f"{path}: damaged; {expected}") from error
    config = generator.config
    sizes = [n.shape for n in solution.noises]
    wanted = [(r, r, 1) for r in map(config.layer_resolution, range(config.num_layers))]
    if sizes != wanted or solution.latents.shape[-1] != config.w_dim:
        raise InputError(f"{path}: of another generator; {expected}")
    return solution


def _size(generator: Generator) -> str:
    return f"a generator of {generator.config.resolution} px"
