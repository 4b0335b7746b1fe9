"""Forward operators and projections."""

from ilo_jax.ops.base import LinearOperator, Measurement, Operator, Option, Task
from ilo_jax.ops.circulant import PartialCirculant, partial_circulant
from ilo_jax.ops.downsample import BicubicDownsample
from ilo_jax.ops.identity import Identity
from ilo_jax.ops.inpaint import Inpaint, box_mask, random_mask
from ilo_jax.ops.noise import Noisy
from ilo_jax.ops.projections import euclidean_norm, project_l1_ball, rescale_to_norm
from ilo_jax.ops.tasks import TASKS

__all__ = [
    "TASKS",
    "BicubicDownsample",
    "Identity",
    "Inpaint",
    "LinearOperator",
    "Measurement",
    "Noisy",
    "Operator",
    "Option",
    "PartialCirculant",
    "Task",
    "box_mask",
    "euclidean_norm",
    "partial_circulant",
    "project_l1_ball",
    "random_mask",
    "rescale_to_norm",
]
