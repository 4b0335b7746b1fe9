"""What a user chooses; `run.py` turns it into what computes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ilo_jax.files.generators import EMBEDDED_DEFAULT


@dataclasses.dataclass(frozen=True)
class Video:
    """Frames in order, each started from the last one's variables and held near them.

    Attributes:
      steps: for each frame after the first, at the last cut.
      radii: l1 radii of code, latents and each noise map around the last frame's.
    """

    steps: int = 100
    radii: tuple[float, float, float] = (200.0, 200.0, 5.0)


@dataclasses.dataclass(frozen=True)
class Earlier:
    """An earlier image of the same subject, whose codes are kept but for what may change.

    Attributes:
      image: file, or folder of images of the same names.
      layers: first and last that may change, from 0; None for all.
      radii: l1 radii of latents and each noise map around its own; of W, W+ and each layer's styles
        the first one in units of their spread.
    """

    image: str
    layers: tuple[int, int] | None = None
    radii: tuple[float, float] = (20.0, 5.0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user chooses; two runs with equal settings are the same run. None is the method's
    default, or the generator's.

    Attributes:
      task: name in `TASKS`.
      options: of the task, as given: JSON-able.
      method: name in `PRESETS`; None for the usual one.
      seed: of everything random: operator, noise, initial latents.
      steps: of each round.
      cuts: of each round.
      lr: learning rate, one or one a round.
      radii: l1 radius of the code, one or one for each round that has a code.
      weights: of the terms of the objective, each one or one a round.
      tolerance: of the term `dead_zone`.
      sna: Stochastic Noise Addition; None leaves it to the operator.
      measured: whether the files hold measurements rather than images to be measured.
      generator: name or folder.
      precision: of the generator's features and convolutions.
      label: the class, of a class-conditional generator.
      reference: image, or folder of images of the same names, for the term `reference`.
      start: output folder of a run with `save_variables`, from whose variables to start.
      earlier: an earlier image, around whose variables to look; None without.
      save_variables: whether each image's variables are kept.
      video: frames in order; None for independent images.
      samples: restarts of each image.
      combine: name in `COMBINE`, what is made of restarts.
      consistent: whether results are moved to the nearest image of the same measurement.
      range: numbers of the files that are black and white, the second one None for the largest;
        None for what the type of the numbers says.
      key: name of the measurement in a file with several arrays.
      slice: which one of a file that holds a stack of measurements or images, from 0.
      crop: whether k-space that is larger than the generator's images is cropped.
      save_measurement: whether what is measured is kept.
      save_arrays: as which files results are kept as numbers, too: `npy` or `tiff`; None for none.
      units: of those numbers: `image`, [-1, 1], or `input`, those of the files.
      keep_samples: whether each restart's image is kept.
      animate: format of the animation of each image; None for none.
      tensorboard: whether curves, metrics and images are written for TensorBoard.
      lpips: whether LPIPS is among the metrics.
      auto: name in `EFFORTS`, to choose start, depth, radii, rate and steps for each image.
      reproducible: whether each image is solved by itself, on one device.
    """

    task: str
    options: Mapping[str, Any]
    method: str | None
    seed: int
    steps: tuple[int, ...] | None = None
    cuts: tuple[int, ...] | None = None
    lr: tuple[float, ...] | None = None
    radii: tuple[float, ...] | None = None
    weights: Mapping[str, tuple[float, ...]] | None = None
    tolerance: float | None = None
    sna: bool | None = None
    measured: bool = False
    generator: str = EMBEDDED_DEFAULT
    precision: str = "float32"
    label: int | None = None
    reference: str | None = None
    start: str | None = None
    earlier: Earlier | None = None
    save_variables: bool = False
    video: Video | None = None
    samples: int = 1
    combine: str = "mean"
    consistent: bool = False
    range: tuple[float, float | None] | None = None
    key: str | None = None
    slice: int | None = None
    crop: bool = False
    save_measurement: bool = False
    save_arrays: str | None = None
    units: str = "image"
    keep_samples: bool = False
    animate: str | None = None
    tensorboard: bool = False
    lpips: bool = False
    auto: str | None = None
    reproducible: bool = False
