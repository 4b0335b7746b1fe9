"""Networks on disk: a folder with `KIND.json` (what it is) and `arrays/` (orbax's), or one file of
safetensors that has both.

A network may come from anybody: what it asks for is looked at before memory is taken.
"""

import dataclasses
import json
import math
import os
import pathlib
import shutil
import tempfile
from typing import Any

import jax
from safetensors import SafetensorError

from ilo_jax.errors import CheckpointError, InputError, one_line
from ilo_jax.files import one_file
from ilo_jax.files.orbax_arrays import read_arrays, write_arrays
from ilo_jax.files.regular import read_regular

FORMAT_VERSION = 1
MAX_PARAMETERS = 2**27  # StyleGAN2 at 1024 px has 30 million, ResNet-152 has 60
_DESCRIPTION_BYTES = 2**20
_CARD = "MODEL_CARD.md"


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The folders and files that hold one kind of network.

    Attributes:
      kind: `generator`, say: the JSON file's name, and the network's in messages.
      embedded: folder of those that ship with the package, which are loaded by name.
      again: the command that writes such a folder.
    """

    kind: str
    embedded: pathlib.Path
    again: str

    def save(
        self,
        path: str | pathlib.Path,
        config: dict,
        arrays: Any,
        about: dict,
        facts: dict | None = None,
        card: str = "",
    ) -> None:
        """Writes the folder `path`, or one file if its name ends in `.safetensors`, whole or not at
        all.

        Args:
          config: the network's sizes, JSON-serializable.
          arrays: a pytree of dicts and arrays.
          about: JSON-serializable notes on where the weights are from.
          facts: JSON-serializable, what the network says of itself.
          card: its model card, Markdown; of a folder the file `MODEL_CARD.md`.

        Raises:
          CheckpointError: `path` exists already, or cannot be written.
        """
        path = pathlib.Path(path)
        if os.path.lexists(path):
            raise CheckpointError(f"{path}: exists already; expected a new folder or file")
        description = {"format": FORMAT_VERSION, "config": config, "about": about}
        if facts:
            description["facts"] = facts
        text = json.dumps(description, indent=2) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == one_file.SUFFIX:
                description |= {"kind": self.kind} | ({"card": card} if card else {})
                one_file.write(path, description, _by_name(arrays))
                return
            work = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}-", dir=path.parent))
        except InputError as error:
            raise CheckpointError(str(error)) from error
        except (OSError, ValueError) as error:  # ValueError: a name with a null character
            raise _unwritten(path, error) from error
        try:
            write_arrays(work.absolute() / "arrays", arrays)
            (work / f"{self.kind}.json").write_text(text)
            if card:
                (work / _CARD).write_text(card)
            work.chmod(0o755)
            work.rename(path)
        except BaseException as error:
            shutil.rmtree(work)
            if isinstance(error, OSError):
                raise _unwritten(path, error) from error
            raise

    def locate(self, what: str | pathlib.Path) -> pathlib.Path:
        """The folder of an embedded network's name, or `what` itself.

        Raises:
          CheckpointError: it is the name of an embedded one and of a file or folder here.
        """
        if str(what) not in self._embedded():
            return pathlib.Path(what)
        if os.path.lexists(what):
            raise CheckpointError(
                f"{what}: an embedded {self.kind}, and a file or folder here; expected ./{what} "
                f"for the latter, or another current folder for the embedded {self.kind}"
            )
        return self.embedded / what

    def _embedded(self) -> list[str]:
        return sorted(p.name for p in self.embedded.iterdir() if p.is_dir())

    def describe(self, path: pathlib.Path) -> dict[str, Any]:
        """What `save` was given, by name: `config`, `about` and, if there are any, `facts`; of a
        file the `card`, too.

        Raises:
          CheckpointError: `path` holds none, or one of another format version.
        """
        try:
            if os.path.isfile(path):
                description = one_file.describe(path)
                if not isinstance(description, dict) or description.get("kind") != self.kind:
                    raise ValueError
            else:
                description = json.loads(
                    read_regular(path / f"{self.kind}.json", _DESCRIPTION_BYTES)
                )
        except CheckpointError:
            raise
        except (ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{path}: not a {self.kind}; expected a folder or .safetensors file written by "
                f"convert_weights, or an embedded one: {', '.join(self._embedded())}"
            ) from error
        found = description.get("format") if isinstance(description, dict) else None
        if type(found) is not int or found != FORMAT_VERSION:
            found = found if type(found) is int else None
            raise CheckpointError(
                f"{path}: checkpoint format {found}; expected {FORMAT_VERSION}; "
                f"convert the weights again: {self.again}"
            )
        return description

    def card(self, path: pathlib.Path) -> str:
        """The model card; empty if there is none.

        Raises:
          InputError: as `describe`, or it cannot be read.
        """
        if os.path.isfile(path):
            return str(self.describe(path).get("card", ""))
        card = path / _CARD
        if not card.exists():
            return ""
        return read_regular(card, _DESCRIPTION_BYTES).decode(errors="replace")

    def damaged(self, folder: pathlib.Path, error: Exception) -> CheckpointError:
        """The error for a config that is none: `error` says why."""
        reason = f" ({error})" if type(error) in (ValueError, InputError) else ""
        return CheckpointError(
            f"{folder}: config is damaged{reason}; convert the weights again: {self.again}"
        )

    def arrays(self, folder: pathlib.Path, shapes: Any) -> Any:
        """What `save` was given as `arrays`, on the first device.

        Args:
          shapes: the same pytree of `jax.ShapeDtypeStruct`.

        Raises:
          CheckpointError: they are missing, damaged, of other shapes, not finite, or too many.
        """
        parameters = sum(math.prod(a.shape) for a in jax.tree.leaves(shapes))
        try:
            if parameters > MAX_PARAMETERS:
                raise CheckpointError(f"{parameters} parameters; expected at most {MAX_PARAMETERS}")
            if os.path.isfile(folder):
                arrays = one_file.read_arrays(folder, _by_name(shapes))
            else:
                arrays = read_arrays(folder.absolute() / "arrays", _by_name(shapes))
        except CheckpointError as error:
            raise CheckpointError(
                f"{folder}: {error}; convert the weights again: {self.again}"
            ) from error
        except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(
                f"{folder}: arrays are missing or damaged; convert the weights again: {self.again}"
            ) from error
        here = jax.local_devices()[0]
        return jax.device_put(jax.tree.unflatten(jax.tree.structure(shapes), arrays), here)


def _unwritten(path: pathlib.Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path}: cannot be written ({one_line(error)}); expected a folder with write "
        "permission and free space"
    )


def _by_name(tree: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="."): leaf for p, leaf in leaves}


__all__ = ["MAX_PARAMETERS", "CheckpointError", "Checkpoints"]
