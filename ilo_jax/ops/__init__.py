"""Forward operators and projections."""

from ilo_jax.ops.base import LinearOperator, Measurement, Operator, Option, Task
from ilo_jax.ops.blur import Blur, gaussian_kernel, motion_kernel
from ilo_jax.ops.circulant import PartialCirculant, partial_circulant
from ilo_jax.ops.compose import Composed, composition
from ilo_jax.ops.consistency import make_batch_consistent, make_consistent
from ilo_jax.ops.custom import Custom
from ilo_jax.ops.downsample import BicubicDownsample
from ilo_jax.ops.gaussian import GaussianMatrix, gaussian_matrix
from ilo_jax.ops.grey import Grey
from ilo_jax.ops.identity import Identity
from ilo_jax.ops.inpaint import Inpaint, box_mask, random_mask
from ilo_jax.ops.mri import UndersampledFourier, cartesian_mask, radial_mask
from ilo_jax.ops.noise import Noisy
from ilo_jax.ops.phase import FourierMagnitude, sign_patterns
from ilo_jax.ops.projections import euclidean_norm, project_l1_ball, rescale_to_norm
from ilo_jax.ops.tasks import TASKS

__all__ = [
    "TASKS",
    "BicubicDownsample",
    "Blur",
    "Composed",
    "Custom",
    "FourierMagnitude",
    "GaussianMatrix",
    "Grey",
    "Identity",
    "Inpaint",
    "LinearOperator",
    "Measurement",
    "Noisy",
    "Operator",
    "Option",
    "PartialCirculant",
    "Task",
    "UndersampledFourier",
    "box_mask",
    "cartesian_mask",
    "composition",
    "euclidean_norm",
    "gaussian_kernel",
    "gaussian_matrix",
    "make_batch_consistent",
    "make_consistent",
    "motion_kernel",
    "partial_circulant",
    "project_l1_ball",
    "radial_mask",
    "random_mask",
    "rescale_to_norm",
    "sign_patterns",
]
