"""Which files and functions go into a run's images, beside its settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ilo_jax.app.options import named, own_folders
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Settings
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files import generators
from ilo_jax.files.digest import combined, digest_of


def inputs_of(settings: Settings) -> dict[str, str]:
    """Digests, by what a user calls them: of the generator, and of each mask, kernel and function;
    of what each image has its own of, `Run.files_of` has the files.

    Raises:
      InputError: one of them cannot be read.
    """
    found = {settings.generator: generators.digest_of(settings.generator)}
    task = TASKS[settings.task]
    own = own_folders(task, settings.options)
    for given, reader in named(task, settings.options):
        if given not in own and reader.digest is not None:
            found[given] = reader.digest(given)
    return found


class Inputs:
    """Digests of everything that goes into the image of each file; those of frames of a video hold
    all frames before them, since each starts from the last one.

    Attributes:
      files: in order.
      named: of what the settings name, in all images; see `inputs_of`.

    Raises:
      InputError: as `inputs_of`.
    """

    def __init__(self, run: Run, files: Sequence[Path], named: Mapping[str, str] | None = None):
        self.files = files
        self.named = dict(named or inputs_of(run.settings))
        self._run = run
        self._found: dict[Path, str] = {}
        if run.settings.video:
            before = ""
            for file in files:
                before = self._found[file] = combined(before, self._of_file(file))

    def digest(self, file: Path) -> str:
        """Of one file, as it was when first asked for; of one that cannot be read, another one than
        of any that can."""
        if file not in self._found:
            self._found[file] = self._of_file(file)
        return self._found[file]

    def _of_file(self, file: Path) -> str:
        try:
            files = [digest_of(path) for path in self._run.files_of(file)]
        except InputError as error:  # whoever reads the file is told so
            return combined(str(error))
        return combined(self.named, *files)


def kept(digests: Mapping[str, str], inputs: Inputs, say: Callable[[str], None]) -> set[str]:
    """Names of the files whose results are of the inputs as they are now; says how many there are,
    and which are not.

    Args:
      digests: of what the results were made of, by name.
    """
    there = [file for file in inputs.files if file.stem in digests]
    same = {file.stem for file in there if digests[file.stem] == inputs.digest(file)}
    changed = [file.stem for file in there if file.stem not in same]
    names = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
    tell(say, len(same), len(inputs.files), len(changed), f": {names}")
    return same


def tell(say: Callable[[str], None], same: int, wanted: int, changed: int, which: str = "") -> None:
    """Says how many of the results that are wanted are there, and how many, and which, are there of
    other inputs."""
    if same:
        say(f"{same} of {wanted} were there already")
    if changed:
        say(f"{changed} were made of other inputs, and are computed again{which}")
