"""Settings turned into what computes."""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.app.animation import check_format
from ilo_jax.app.checks import check_auto, check_lpips, check_settings, check_terms
from ilo_jax.app.description import description_of
from ilo_jax.app.extras import need
from ilo_jax.app.measurements import coils_of
from ilo_jax.app.memory import images_that_fit
from ilo_jax.app.methods import (
    has_reference,
    method_of,
    near,
    of_frames,
    without_reference,
)
from ilo_jax.app.options import (
    asks_for_estimate,
    build_operator,
    differs_by_image,
    own_folders,
)
from ilo_jax.app.prior import usual_width
from ilo_jax.app.settings import Settings
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files.find import file_of, find_images
from ilo_jax.files.images import read_image
from ilo_jax.ops import Operator, as_stored
from ilo_jax.priors import Prior
from ilo_jax.solve import EFFORTS, Auto, Method, is_scarce


@dataclasses.dataclass(frozen=True)
class Run:
    """Settings turned into what computes.

    Attributes:
      prior: the generator.
      operator: the task's; where each image has its own, one like them.
      method: of images that start at random.
      from_variables: of those that start from variables; in a video, its later frames.
      auto: what `--auto` tries; None without.
      restarts: of each image, whose mean is the result.
      width: images at a time on one device, each with all its restarts.
      references: of each image by name, or one of all; None without.
      earlier: the same of images around whose variables to look.
      description: JSON-able: what was chosen, and what the method has by default.
    """

    settings: Settings
    prior: Prior
    operator: Operator
    method: Method
    from_variables: Method
    auto: Auto | None
    restarts: int
    width: int
    references: Mapping[str, Path] | Path | None
    earlier: Mapping[str, Path] | Path | None
    description: dict[str, Any]

    @classmethod
    def create(
        cls,
        settings: Settings,
        prior: Prior,
        width: int | Literal["auto"] | None = None,
        images: int | None = None,
    ) -> "Run":
        """Checks the settings and builds the operator.

        Args:
          width: as many as fit into memory if `auto`; the generator's usual number if None.
          images: that there are; None for many.

        Raises:
          InputError: a setting is out of range, or does not go with another.
        """
        operator = like = operator_of(settings, prior)
        asked, settings = settings, with_method(settings, prior, operator)
        if settings.measured and operator.measures_image:
            nothing = jnp.zeros(operator.measurement_shape, jnp.float32)
            like = as_stored(operator, nothing, step=0)  # what noise there is is known then
        if settings.animate is not None:
            check_format(settings.animate)
        if settings.lpips:
            check_lpips(settings, prior)
        if settings.tensorboard:
            need("tensorboardX", "tensorboard", "--tensorboard")
        method = near(settings, prior, method_of(settings, prior))
        description = description_of(settings, asked, method)
        later = of_frames(method, settings.video) if settings.video else method
        if has_reference(method) and settings.reference is None:
            if not settings.video:
                raise InputError("--weights reference: no reference image; expected --reference")
            method = without_reference(method)  # the first frame has no last one
        check_terms(prior, like, method)
        auto, restarts = None, settings.samples
        if settings.auto:
            check_auto(settings, method)
            auto = EFFORTS[settings.auto]
            restarts = max(auto.restarts, settings.samples)
            auto = dataclasses.replace(auto, restarts=restarts, combine=settings.combine)
        if settings.video or settings.reproducible:
            width = 1
        elif width == "auto":
            width = images_that_fit(prior, like, method, restarts, images)
        elif width is None:
            width = usual_width(prior, restarts)
        return cls(
            settings=settings,
            prior=prior,
            operator=operator,
            method=method,
            from_variables=later,
            auto=auto,
            restarts=restarts,
            width=width,
            references=_by_name(settings.reference),
            earlier=_by_name(settings.earlier.image if settings.earlier else None),
            description=description,
        )

    def reference(self, file: Path) -> np.ndarray | None:
        """`[H, W, C]`, the reference of an image file; None without.

        Raises:
          InputError: it is not there or cannot be read.
        """
        path = _of_image(self.references, self.settings.reference, file)
        return None if path is None else read_image(path, self.prior.image_shape)[0]

    def earlier_file(self, file: Path) -> Path | None:
        """The earlier image of an image file; None without.

        Raises:
          InputError: it has none.
        """
        earlier = self.settings.earlier
        return _of_image(self.earlier, earlier.image if earlier else None, file)

    def starts(self, file: Path) -> list[Path]:
        """The variables that an image file starts from: those of its image, or of each restart;
        none without `--start`."""
        if self.settings.start is None:
            return []
        folder = Path(self.settings.start) / "variables"
        if (folder / file.stem).is_dir():
            return [folder / file.stem / f"{k + 1}.npz" for k in range(self.restarts)]
        return [folder / f"{file.stem}.npz"]

    def files_of(self, file: Path) -> list[Path]:
        """All files of which the image of a file is made.

        Raises:
          InputError: it has no reference, mask or map where one is expected.
        """
        task, options = TASKS[self.settings.task], self.settings.options
        own = [file_of(folder, file.stem) for folder in own_folders(task, options)]
        reference = _of_image(self.references, self.settings.reference, file)
        files = (file, reference, self.earlier_file(file), *self.starts(file), *own)
        return [path for path in files if path is not None]

    def operator_of(self, file: Path, measured: Any = None) -> Operator:
        """The operator of an image.

        Args:
          measured: its measurement, where that was read from a file.

        Raises:
          InputError: it has no mask or map where one is expected, or it cannot be read.
        """
        task, options = TASKS[self.settings.task], self.settings.options
        if not differs_by_image(task, options):
            return self.operator
        shape, key = self.prior.image_shape, _operator_key(self.settings)
        of_measured = file if self.settings.measured else None
        return build_operator(key, task, options, shape, file.stem, measured, of_measured)

    def operator_to_read(self, file: Path) -> Operator:
        """One of the shape of the measurement in a file: of as many coils as that has, where their
        maps are estimated.

        Raises:
          InputError: the file cannot be read.
        """
        task, options = TASKS[self.settings.task], self.settings.options
        if not asks_for_estimate(task, options):
            return self.operator
        shape, key = self.prior.image_shape, _operator_key(self.settings)
        coils = coils_of(file, shape[-1], self.settings)
        return build_operator(key, task, options, shape, file.stem, coils=coils)

    def image_key(self, file: Path) -> jax.Array:
        """Depends on the seed and the file's name alone, not on what else is in the folder."""
        return _folded(jax.random.key(self.settings.seed), _number(file))

    def image_keys(self, files: Sequence[Path]) -> jax.Array:
        """`[n]`, of each."""
        numbers = np.stack([_number(file) for file in files])
        return _each_folded(jax.random.key(self.settings.seed), numbers)


def _number(file: Path) -> np.uint32:
    """Of its name."""
    return np.uint32(zlib.crc32(file.stem.encode(errors="surrogateescape")))


@jax.jit
def _folded(key: jax.Array, number: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(key, 1), number)


_each_folded = jax.jit(jax.vmap(_folded, (None, 0)))


def _of_image(
    found: Mapping[str, Path] | Path | None, folder: str | None, file: Path
) -> Path | None:
    if not isinstance(found, Mapping):
        return found
    if file.stem not in found:
        raise InputError(f"{folder}: no image named {file.stem}; expected one for it")
    return found[file.stem]


def _by_name(given: str | None) -> Mapping[str, Path] | Path | None:
    if given is None:
        return None
    path = Path(given)
    return {file.stem: file for file in find_images([str(path)])} if path.is_dir() else path


def operator_of(settings: Settings, prior: Prior) -> Operator:
    """The task's operator.

    Raises:
      InputError: an option is out of range, or does not go with another setting.
    """
    task = TASKS[settings.task]
    operator = build_operator(_operator_key(settings), task, settings.options, prior.image_shape)
    check_settings(settings, task, operator)
    return operator


def with_method(settings: Settings, prior: Prior, operator: Operator) -> Settings:
    """With the usual method where none was named (`solve.usual`): from the mean where an operator
    that all images share measures next to nothing, and nothing was asked of ILO that this has not,
    or has in other units."""
    if settings.method is not None:
        return settings
    names = ("cuts", "lr", "radii", "start", "earlier", "video", "auto")
    plain = (
        any(getattr(settings, name) is not None for name in names)
        or (settings.steps is not None and len(settings.steps) < 2)
        or differs_by_image(TASKS[settings.task], settings.options)
    )
    few = not plain and is_scarce(prior, operator)
    return dataclasses.replace(settings, method="ilo-mean" if few else "ilo")


def _operator_key(settings: Settings) -> jax.Array:
    return jax.random.fold_in(jax.random.key(settings.seed), 0)
