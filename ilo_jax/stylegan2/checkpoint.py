"""Generators on disk: a folder with `generator.json` (what it is) and `arrays/` (orbax)."""

import dataclasses
import json
import pathlib
import shutil
import tempfile
from typing import Any

import jax
import orbax.checkpoint as ocp

from ilo_jax.errors import InputError
from ilo_jax.stylegan2.config import GeneratorConfig
from ilo_jax.stylegan2.generator import Generator, derive, random_generator

FORMAT_VERSION = 1
_AGAIN = "python -m convert_weights SOURCE OUT"
EMBEDDED = pathlib.Path(__file__).parent / "pretrained"
EMBEDDED_DEFAULT = "chest64"
NOTICES = {"chest64": "Radiographs by the generator chest64: research data, not for diagnosis."}
"""What must be said where images of an embedded generator are shown."""


class CheckpointError(InputError):
    """A checkpoint that cannot be used; the message says which, why, and what to do."""


def save(path: str | pathlib.Path, generator: Generator, about: dict) -> None:
    """Writes a generator to the folder `path`, whole or not at all.

    Args:
      about: JSON-serializable notes on where the weights are from.

    Raises:
      CheckpointError: `path` exists already, or cannot be written.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise CheckpointError(f"{path}: exists already; expected a new folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(work.absolute() / "arrays", _stored(generator))
        (work / "arrays" / "commit_success.txt").unlink()  # names the temporary folder
        description = {
            "format": FORMAT_VERSION,
            "config": dataclasses.asdict(generator.config),
            "about": about,
        }
        (work / "generator.json").write_text(json.dumps(description, indent=2) + "\n")
        work.chmod(0o755)
        work.rename(path)
    except BaseException:
        shutil.rmtree(work)
        raise


def load(path: str | pathlib.Path) -> Generator:
    """Reads a generator by folder, or by the name of an embedded one (`chest64`).

    Raises:
      CheckpointError: there is none, or it is damaged or of another format version.
    """
    folder = EMBEDDED / path if (EMBEDDED / path).is_dir() else pathlib.Path(path)
    config = _config(folder, describe(folder).get("config"))
    expected = jax.eval_shape(lambda: _stored(random_generator(config, jax.random.key(0))))
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])  # not where they were written
    expected = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), expected
    )
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            stored = checkpointer.restore(folder.absolute() / "arrays", expected)
    except Exception as error:  # orbax and its back ends raise any, some of them just this one
        raise CheckpointError(
            f"{folder}: arrays are missing, damaged or of other sizes; convert the weights again: "
            f"{_AGAIN}"
        ) from error
    return Generator(config=config, synthesis=derive(stored.pop("synthesis")), **stored)


def describe(folder: pathlib.Path) -> dict:
    """The contents of `generator.json`: format, config, about.

    Raises:
      CheckpointError: `folder` holds no generator, or one of another format version.
    """
    names = ", ".join(sorted(p.name for p in EMBEDDED.iterdir() if p.is_dir()))
    try:
        description = json.loads((folder / "generator.json").read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: not a generator; expected a folder written by convert_weights, "
            f"or an embedded one: {names}"
        ) from error
    if not isinstance(description, dict) or description.get("format") != FORMAT_VERSION:
        found = description.get("format") if isinstance(description, dict) else None
        raise CheckpointError(
            f"{folder}: checkpoint format {found}; expected {FORMAT_VERSION}; "
            f"convert the weights again: {_AGAIN}"
        )
    return description


def _config(folder: pathlib.Path, stored: Any) -> GeneratorConfig:
    try:
        return GeneratorConfig(**stored | {"channels": tuple(stored["channels"])})
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: config is damaged; convert the weights again: {_AGAIN}"
        ) from error


def _stored(generator: Generator) -> dict:
    return {
        "mapping": generator.mapping,
        "synthesis": generator.synthesis["params"],
        "w_avg": generator.w_avg,
        "noises": generator.noises,
        "proxy": generator.proxy,
    }
