"""Generators on disk: a folder with `generator.json` (what it is) and `arrays/` (orbax)."""

import dataclasses
import pathlib
from typing import Any

from ilo_jax.errors import InputError
from ilo_jax.files import digest
from ilo_jax.files.checkpoint import CheckpointError, Checkpoints
from ilo_jax.priors import NO_FACTS, Facts
from ilo_jax.stylegan2 import Generator, GeneratorConfig, StyleGAN2, derive, generator_shapes

EMBEDDED_DEFAULT = "chest64"
_GENERATORS = Checkpoints(
    kind="generator",
    embedded=pathlib.Path(__file__).parents[1] / "stylegan2" / "pretrained",
    again="python -m convert_weights SOURCE OUT",
)


def save(
    path: str | pathlib.Path,
    generator: Generator,
    about: dict,
    facts: Facts = NO_FACTS,
    card: str = "",
) -> None:
    """Writes a generator to the folder `path`, or to one file if its name ends in `.safetensors`,
    whole or not at all.

    Args:
      about: JSON-serializable notes on where the weights are from.
      facts: what the generator says of itself.
      card: its model card.

    Raises:
      CheckpointError: `path` exists already, or cannot be written.
    """
    told = facts.told
    if facts.radii:
        told["radii"] = {str(cut): radius for cut, radius in facts.radii}
    config = dataclasses.asdict(generator.config)
    _GENERATORS.save(path, config, _stored(generator), about, told, card)


def load(path: str | pathlib.Path = EMBEDDED_DEFAULT) -> StyleGAN2:
    """Reads a generator by folder or file, or by the name of an embedded one (`chest64`), as a
    prior with the facts that came with it: default radii, notice, licence, usual batch.

    Raises:
      CheckpointError: there is none, or it is damaged or of another format version.
    """
    folder = _GENERATORS.locate(path)
    description = _GENERATORS.describe(folder)
    stored, told = description.get("config", {}), description.get("facts", {})
    try:
        config = GeneratorConfig(**stored | {"channels": tuple(stored["channels"])})
        facts = _facts(told, config)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise _GENERATORS.damaged(folder, error) from error
    arrays = _GENERATORS.arrays(folder, _stored(generator_shapes(config)))
    generator = Generator(config=config, synthesis=derive(arrays.pop("synthesis")), **arrays)
    return StyleGAN2(generator, facts)


def card_of(path: str | pathlib.Path) -> tuple[dict[str, Any], str]:
    """What `save` was given as `about` and `card`.

    Raises:
      CheckpointError: as `load`.
    """
    path = _GENERATORS.locate(path)
    return _GENERATORS.describe(path).get("about", {}), _GENERATORS.card(path)


def is_generator(path: str | pathlib.Path) -> bool:
    """Whether `load` reads it: the name of an embedded one, a folder, or a file of `save`'s."""
    try:
        _GENERATORS.describe(_GENERATORS.locate(path))
    except InputError:
        return False
    return True


def digest_of(path: str | pathlib.Path) -> str:
    """Of the files that `load` reads.

    Raises:
      InputError: they cannot be read.
    """
    return digest.digest_of(_GENERATORS.locate(path))


def _facts(told: dict[str, Any], config: GeneratorConfig) -> Facts:
    radii = told.get("radii", {})
    by_cut = tuple(sorted((int(cut), radius) for cut, radius in radii.items()))
    if any(not 1 <= cut <= config.num_layers for cut, _ in by_cut):
        raise ValueError(f"radii are at other layers than 1 to {config.num_layers}")
    named: dict[str, Any] = told | {"radii": by_cut}
    return Facts(**named)


def _stored(generator: Generator) -> dict:
    return {
        "mapping": generator.mapping,
        "synthesis": generator.synthesis["params"],
        "w_avg": generator.w_avg,
        "noises": generator.noises,
        "proxy": generator.proxy,
    }


__all__ = [
    "EMBEDDED_DEFAULT",
    "CheckpointError",
    "card_of",
    "digest_of",
    "is_generator",
    "load",
    "save",
]
