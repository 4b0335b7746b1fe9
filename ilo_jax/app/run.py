"""Settings turned into what computes."""

import dataclasses
import functools
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from ilo_jax import lpips
from ilo_jax.app.animation import check_format
from ilo_jax.app.extras import need
from ilo_jax.app.folder import without_infinity
from ilo_jax.app.measurements import coils_of
from ilo_jax.app.memory import images_that_fit
from ilo_jax.app.methods import (
    describe,
    has_reference,
    method_of,
    near,
    of_frames,
    without_reference,
)
from ilo_jax.app.options import (
    asks_for_estimate,
    asks_for_file,
    asks_for_zeros,
    build_operator,
    differs_by_image,
    own_folders,
)
from ilo_jax.app.settings import Settings
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files.find import file_of, find_images
from ilo_jax.files.generators import load
from ilo_jax.files.images import read_image
from ilo_jax.ops import Noise, Operator, UnknownFilter, as_stored, can_be_consistent
from ilo_jax.priors import Prior
from ilo_jax.solve import EFFORTS, Auto, Data, Method, is_scarce
from ilo_jax.stylegan2 import StyleGAN2, with_label


def load_prior(
    generator: str, label: int | None, seed: int, precision: str = "float32"
) -> StyleGAN2:
    """A generator by name or folder, in a precision; a class-conditional one of one class.

    Raises:
      InputError: there is none, it needs a label, or it has none or no such one.
    """
    prior = load(generator)
    if precision != "float32":  # which it has
        prior = prior.with_precision(precision)
    if prior.image_shape[-1] not in (1, 3):
        raise InputError(
            f"{generator}: images of {prior.image_shape[-1]} channels; expected 1 (grey) or 3 (RGB)"
        )
    classes = prior.generator.config.label_dim
    if label is None and classes:
        raise InputError(f"--label: {generator} is class-conditional; expected 0 to {classes - 1}")
    if label is None:
        return prior
    if not classes:
        raise InputError(f"--label {label}: {generator} has no classes; expected no label")
    if label >= classes:
        raise InputError(f"--label {label}: expected 0 to {classes - 1}, a class of {generator}")
    key = jax.random.fold_in(jax.random.key(seed), 2)
    return prior.replace(generator=with_label(prior.generator, label, key))


def prior_of(settings: Settings) -> StyleGAN2:
    """The generator that was chosen; errors as `load_prior`."""
    return load_prior(settings.generator, settings.label, settings.seed, settings.precision)


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
        cls, settings: Settings, prior: Prior, width: int | Literal["auto"] | None = None
    ) -> "Run":
        """Checks the settings and builds the operator.

        Args:
          width: as many as fit into memory if `auto`; the generator's usual number if None.

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
            _check_lpips(settings, prior)
        if settings.tensorboard:
            need("tensorboardX", "tensorboard", "--tensorboard")
        method = near(settings, prior, method_of(settings, prior))
        description = _description(settings, method) | {"made_by": _made_by(asked)}
        later = of_frames(method, settings.video) if settings.video else method
        if has_reference(method) and settings.reference is None:
            if not settings.video:
                raise InputError("--weights reference: no reference image; expected --reference")
            method = without_reference(method)  # the first frame has no last one
        _check_terms(prior, like, method)
        auto, restarts = None, settings.samples
        if settings.auto:
            _check_auto(settings, method)
            auto = EFFORTS[settings.auto]
            restarts = max(auto.restarts, settings.samples)
            auto = dataclasses.replace(auto, restarts=restarts)
        if settings.video or settings.reproducible:
            width = 1
        elif width == "auto":
            width = images_that_fit(prior, like, method, restarts)
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
        key = jax.random.fold_in(jax.random.key(self.settings.seed), 1)
        return jax.random.fold_in(key, zlib.crc32(file.stem.encode(errors="surrogateescape")))


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
    if asks_for_zeros(task, settings.options) and not settings.measured:
        raise InputError("--mask zeros: expected with --measured, whose zeros they are")
    if asks_for_estimate(task, settings.options) and not settings.measured:
        raise InputError("--maps estimate: expected with --measured, in whose k-space they are")
    if asks_for_file(task, settings.options) and not settings.measured:
        raise InputError("--quality: expected 1 to 100, or --measured, whose files have tables")
    if settings.units != "image" and settings.save_arrays is None:
        raise InputError("--units: expected with --save-arrays, whose units they are")
    if settings.crop and not (settings.measured and operator.measures_k_space):
        raise InputError(f"--crop: expected with --measured k-space; {task.name} has none here")
    if isinstance(operator, Noise) and operator.is_unknown and not settings.measured:
        what = "--filter unknown" if isinstance(operator, UnknownFilter) else "--sigma auto"
        raise InputError(f"{what}: expected --measured, or what is to be simulated")
    if settings.consistent and not can_be_consistent(operator):
        raise InputError(
            f"--consistent: {task.name} is not linear, or has noise that is neither Gaussian nor "
            "rounding; expected a task whose measurements an image can meet"
        )
    for name, value in {
        "--video": settings.video,
        "--start": settings.start,
        "--samples": settings.samples > 1,
    }.items():
        if value and settings.earlier:
            raise InputError(
                f"--prior-image with {name}: expected one of them, since both say where to start"
            )
    if settings.samples > 1 and settings.video:
        raise InputError("--samples: expected without --video, which goes on from one solution")
    if settings.keep_samples and (settings.samples == 1 or settings.auto):
        raise InputError("--keep-samples: expected with --samples, of at least 2, without --auto")
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


def usual_width(prior: Prior, restarts: int) -> int:
    """Images at a time on a device: what is about as fast an image as any more are
    (docs/scale.md). The cores of a processor share what is usual."""
    pixels = prior.image_shape[0] * prior.image_shape[1]
    if jax.default_backend() == "cpu":
        usual = prior.facts.batch or min(32, 2**18 // pixels)
        usual //= jax.local_device_count()
    else:
        usual = max(prior.facts.batch, min(256, 2**20 // pixels))
    return max(1, usual // restarts)


def _description(settings: Settings, method: Method) -> dict[str, Any]:
    given = {k: v for k, v in dataclasses.asdict(settings).items() if v is not None}
    options = given.pop("options")
    return given | describe(settings, method) | options


def _made_by(settings: Settings) -> dict[str, Any]:
    """What was asked for, as `--config` takes it, and what else the bytes depend on."""
    asked = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if getattr(settings, field.name) not in (None, field.default)
    }
    earlier = asked.pop("earlier", None)
    if earlier is not None:
        asked |= {
            f"prior_{name}": value for name, value in vars(earlier).items() if value is not None
        }
    video = asked.pop("video", None)
    if video is not None:
        asked |= {"video": True, "frame_steps": video.steps, "frame_radii": video.radii}
    given = {k: without_infinity(v) if isinstance(v, tuple) else v for k, v in asked.items()}
    return {
        "given": given,
        "ilo_jax": ilo_jax.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


def _check_terms(prior: Prior, operator: Operator, method: Method) -> None:
    """Tries on shapes whether the terms of the objective are defined, before anything is read."""
    image = jax.ShapeDtypeStruct(prior.image_shape, jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    measurement = jax.eval_shape(operator.measure, key, image)

    def prepare(measurement: Any, reference: jax.Array) -> Any:
        return method.objective.prepare(prior, operator, Data(measurement, reference))

    jax.eval_shape(prepare, measurement, image)


def _check_lpips(settings: Settings, prior: Prior) -> None:
    if settings.measured:
        raise InputError("--lpips: expected without --measured, which has no truth")
    image = jax.ShapeDtypeStruct(prior.image_shape, jnp.float32)
    jax.eval_shape(functools.partial(lpips.features, lpips.load("vgg")), image)


def _check_auto(settings: Settings, method: Method) -> None:
    others = {
        "--video": settings.video,
        "--save-variables": settings.save_variables,
        "--start": settings.start,
        "--reference": settings.reference,
        "--animate": settings.animate,
        "--prior-image": settings.earlier,
    }
    for name, value in others.items():
        if value:
            raise InputError(f"--auto with {name}: expected one of them")
    if not method.cuts:
        raise InputError(f"--auto: {settings.method} has no radii; expected a method that cuts")
