"""Networks on disk: a folder with `KIND.json` (what it is) and `arrays/` (orbax)."""

import dataclasses
import json
import pathlib
import shutil
import tempfile
from typing import Any

import jax
import orbax.checkpoint as ocp

from ilo_jax.errors import InputError

FORMAT_VERSION = 1


def own_checkpointer() -> ocp.StandardCheckpointer:
    """Orbax's, for files that this process reads and writes without the others of its run."""
    own = jax.process_index()
    return ocp.StandardCheckpointer(
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process-{own}"
        )
    )


class CheckpointError(InputError):
    """A checkpoint that cannot be used; the message says which, why, and what to do."""


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The folders that hold one kind of network.

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
    ) -> None:
        """Writes the folder `path`, whole or not at all.

        Args:
          config: the network's sizes, JSON-serializable.
          arrays: a pytree of dicts and arrays.
          about: JSON-serializable notes on where the weights are from.
          facts: JSON-serializable, what the network says of itself.

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
            with own_checkpointer() as checkpointer:
                checkpointer.save(work.absolute() / "arrays", arrays)
            (work / "arrays" / "commit_success.txt").unlink()  # names the temporary folder
            description = {"format": FORMAT_VERSION, "config": config, "about": about}
            if facts:
                description["facts"] = facts
            (work / f"{self.kind}.json").write_text(json.dumps(description, indent=2) + "\n")
            work.chmod(0o755)
            work.rename(path)
        except BaseException:
            shutil.rmtree(work)
            raise

    def locate(self, what: str | pathlib.Path) -> pathlib.Path:
        """The folder of an embedded network's name, or `what` itself."""
        embedded = self.embedded / what
        return embedded if embedded.is_dir() else pathlib.Path(what)

    def describe(self, folder: pathlib.Path) -> tuple[Any, Any]:
        """What `save` was given as `config`, and as `facts`: {} if nothing.

        Raises:
          CheckpointError: `folder` holds none, or one of another format version.
        """
        try:
            description = json.loads((folder / f"{self.kind}.json").read_text())
        except (OSError, ValueError) as error:
            names = ", ".join(sorted(p.name for p in self.embedded.iterdir() if p.is_dir()))
            raise CheckpointError(
                f"{folder}: not a {self.kind}; expected a folder written by convert_weights, "
                f"or an embedded one: {names}"
            ) from error
        if not isinstance(description, dict) or description.get("format") != FORMAT_VERSION:
            found = description.get("format") if isinstance(description, dict) else None
            raise CheckpointError(
                f"{folder}: checkpoint format {found}; expected {FORMAT_VERSION}; "
                f"convert the weights again: {self.again}"
            )
        return description.get("config"), description.get("facts", {})

    def damaged(self, folder: pathlib.Path) -> CheckpointError:
        """The error for a config that is none."""
        return CheckpointError(
            f"{folder}: config is damaged; convert the weights again: {self.again}"
        )

    def arrays(self, folder: pathlib.Path, shapes: Any) -> Any:
        """What `save` was given as `arrays`, on the first device.

        Args:
          shapes: the same pytree of `jax.ShapeDtypeStruct`.

        Raises:
          CheckpointError: they are missing, damaged, or of other shapes.
        """
        # Not where they were written.
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        expected = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), shapes
        )
        try:
            with own_checkpointer() as checkpointer:
                return checkpointer.restore(folder.absolute() / "arrays", expected)
        except Exception as error:  # orbax and its back ends raise any, some of them just this one
            raise CheckpointError(
                f"{folder}: arrays are missing, damaged or of other sizes; convert the weights "
                f"again: {self.again}"
            ) from error
