"""Forward operators and projections."""

from ilo_jax.ops.base import LinearOperator, Measurement, Operator, array, count_where
from ilo_jax.ops.batch import batch_axes, can_hold_out, map_images, stack
from ilo_jax.ops.circulant import PartialCirculant, partial_circulant
from ilo_jax.ops.colour import Grey, grey
from ilo_jax.ops.compose import Composed, Hidden, composition
from ilo_jax.ops.consistency import make_batch_consistent, make_consistent
from ilo_jax.ops.convolution import (
    Blur,
    blur,
    gaussian_blur,
    gaussian_kernel,
    motion_blur,
    motion_kernel,
)
from ilo_jax.ops.denoised import denoised, sees_pixels
from ilo_jax.ops.downsample import FILTERS, Downsample, superresolution
from ilo_jax.ops.function import Custom, custom
from ilo_jax.ops.gaussian import DenseMatrix, dense_matrix, gaussian_matrix
from ilo_jax.ops.information import Determined, determined_share, repeats
from ilo_jax.ops.inpaint import (
    Inpaint,
    box_inpainting,
    box_mask,
    inpainting,
    random_inpainting,
    random_mask,
    soft_inpainting,
    stroke_inpainting,
    stroke_mask,
)
from ilo_jax.ops.inversion import Identity, identity
from ilo_jax.ops.jpeg import Jpeg, jpeg
from ilo_jax.ops.mri import (
    ParallelFourier,
    UndersampledFourier,
    cartesian_mask,
    cartesian_mri,
    masked_mri,
    radial_mask,
    radial_mri,
)
from ilo_jax.ops.mri_maps import estimate_maps
from ilo_jax.ops.noise import Noise, noiseless
from ilo_jax.ops.noise_dead import DeadPixels, dead_pixels
from ilo_jax.ops.noise_estimate import estimate_mismatch, estimate_sigma
from ilo_jax.ops.noise_gaussian import (
    Noisy,
    Quantized,
    UnknownNoise,
    as_stored,
    can_be_consistent,
    denoising,
    quantization,
    unknown_noise,
)
from ilo_jax.ops.noise_poisson import PhotonCounts, photon_counts
from ilo_jax.ops.phase import FourierMagnitude, phase_retrieval, sign_patterns
from ilo_jax.ops.projections import euclidean_norm, project_l1_ball, rescale_to_norm
from ilo_jax.ops.similar import nonlocal_bayes
from ilo_jax.ops.unknown_filter import UnknownFilter, unknown_superresolution

__all__ = [
    "FILTERS",
    "Blur",
    "Composed",
    "Custom",
    "DeadPixels",
    "DenseMatrix",
    "Determined",
    "Downsample",
    "FourierMagnitude",
    "Grey",
    "Hidden",
    "Identity",
    "Inpaint",
    "Jpeg",
    "LinearOperator",
    "Measurement",
    "Noise",
    "Noisy",
    "Operator",
    "ParallelFourier",
    "PartialCirculant",
    "PhotonCounts",
    "Quantized",
    "UndersampledFourier",
    "UnknownFilter",
    "UnknownNoise",
    "array",
    "as_stored",
    "batch_axes",
    "blur",
    "box_inpainting",
    "box_mask",
    "can_be_consistent",
    "can_hold_out",
    "cartesian_mask",
    "cartesian_mri",
    "composition",
    "count_where",
    "custom",
    "dead_pixels",
    "denoised",
    "denoising",
    "dense_matrix",
    "determined_share",
    "estimate_maps",
    "estimate_mismatch",
    "estimate_sigma",
    "euclidean_norm",
    "gaussian_blur",
    "gaussian_kernel",
    "gaussian_matrix",
    "grey",
    "identity",
    "inpainting",
    "jpeg",
    "make_batch_consistent",
    "make_consistent",
    "map_images",
    "masked_mri",
    "motion_blur",
    "motion_kernel",
    "noiseless",
    "nonlocal_bayes",
    "partial_circulant",
    "phase_retrieval",
    "photon_counts",
    "project_l1_ball",
    "quantization",
    "radial_mask",
    "radial_mri",
    "random_inpainting",
    "random_mask",
    "repeats",
    "rescale_to_norm",
    "sees_pixels",
    "sign_patterns",
    "soft_inpainting",
    "stack",
    "stroke_inpainting",
    "stroke_mask",
    "superresolution",
    "unknown_noise",
    "unknown_superresolution",
]
