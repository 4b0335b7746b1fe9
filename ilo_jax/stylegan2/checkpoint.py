"""Generators on disk: a folder with `generator.json` (what it is) and `arrays/` (orbax)."""

import dataclasses
import pathlib

import jax

from ilo_jax.checkpoint import Checkpoints
from ilo_jax.stylegan2.config import GeneratorConfig
from ilo_jax.stylegan2.generator import Generator, derive, random_generator

EMBEDDED_DEFAULT = "chest64"
NOTICES = {"chest64": "Radiographs by the generator chest64: research data, not for diagnosis."}
"""What must be said where images of an embedded generator are shown."""
_GENERATORS = Checkpoints(
    kind="generator",
    embedded=pathlib.Path(__file__).parent / "pretrained",
    again="python -m convert_weights SOURCE OUT",
)


def save(path: str | pathlib.Path, generator: Generator, about: dict) -> None:
    """Writes a generator to the folder `path`, whole or not at all.

    Args:
      about: JSON-serializable notes on where the weights are from.

    Raises:
      CheckpointError: `path` exists already, or cannot be written.
    """
    _GENERATORS.save(path, dataclasses.asdict(generator.config), _stored(generator), about)


def load(path: str | pathlib.Path) -> Generator:
    """Reads a generator by folder, or by the name of an embedded one (`chest64`).

    Raises:
      CheckpointError: there is none, or it is damaged or of another format version.
    """
    folder = _GENERATORS.locate(path)
    stored = _GENERATORS.config(folder)
    try:
        config = GeneratorConfig(**stored | {"channels": tuple(stored["channels"])})
    except (TypeError, KeyError, ValueError) as error:
        raise _GENERATORS.damaged(folder) from error
    shapes = jax.eval_shape(lambda: _stored(random_generator(config, jax.random.key(0))))
    arrays = _GENERATORS.arrays(folder, shapes)
    return Generator(config=config, synthesis=derive(arrays.pop("synthesis")), **arrays)


def _stored(generator: Generator) -> dict:
    return {
        "mapping": generator.mapping,
        "synthesis": generator.synthesis["params"],
        "w_avg": generator.w_avg,
        "noises": generator.noises,
        "proxy": generator.proxy,
    }
