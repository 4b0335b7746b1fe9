"""Every operator there is, made by the constructors of the library: what each must do is tested in
a table."""

import dataclasses
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax import ops
from ilo_jax.ops.classify import Classifier

COLOUR, GREY = (8, 12, 3), (10, 8, 1)


def quick_key(seed: int) -> jax.Array:
    """A key whose draws compile in no time; for tests that draw in many programs."""
    return jax.random.key(seed, impl="unsafe_rbg")


class Linear(flax.struct.PyTreeNode):
    """A classifier's network."""

    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.einsum("...hwc,ck->...k", x, self.weight)


def _classifier(key: jax.Array, shape: tuple[int, ...]) -> Classifier:
    return Classifier(shape, Linear(jnp.linspace(-1, 1, 15, dtype=jnp.float32).reshape(3, 5)))


def _statistics(x: jax.Array) -> dict[str, jax.Array]:
    return {"rows": x.sum(-2) / 4, "mean": x.mean((-3, -2, -1))}


@dataclasses.dataclass(frozen=True)
class Case:
    """How an operator is made, for images of a shape."""

    make: Callable[[jax.Array, tuple[int, ...]], ops.Operator]
    shape: tuple[int, ...] = COLOUR

    def __call__(self, key: jax.Array) -> ops.Operator:
        return self.make(key, self.shape)


def coil_maps(shape: tuple[int, ...], coils: int = 2) -> np.ndarray:
    """Complex sensitivities `[K, H, W, 1]`."""
    random = np.random.default_rng(3)
    real, imaginary = random.normal(size=(2, coils, *shape[:2], 1))
    return (real + 1j * imaginary).astype(np.complex64)


STEPS = 10 + 5 * np.indices((8, 8)).sum(0)
CHECKERBOARD = np.indices((8, 12)).sum(0)[..., None] % 2

OPERATORS = {
    "identity": Case(lambda _, s: ops.identity(s)),
    "inpainting": Case(lambda _, s: ops.inpainting(s, CHECKERBOARD)),
    "random inpainting": Case(lambda k, s: ops.random_inpainting(k, s, 0.3)),
    "random inpainting of all": Case(lambda k, s: ops.random_inpainting(k, s, 1.0), GREY),
    "noise behind strokes": Case(
        lambda k, s: ops.composition(ops.denoising(s, 30.0), ops.stroke_inpainting(k, s, 2))
    ),
    "box inpainting": Case(lambda _, s: ops.box_inpainting(s, 5), GREY),
    "superresolution 2": Case(lambda _, s: ops.superresolution(s, 2), GREY),
    "superresolution 4": Case(lambda _, s: ops.superresolution(s, 4)),
    "superresolution to a pixel": Case(lambda _, s: ops.superresolution(s, 8), (8, 8, 3)),
    "average": Case(lambda _, s: ops.superresolution(s, 2, "average")),
    "jpeg": Case(lambda _, s: ops.jpeg(s, STEPS, 2 * STEPS)),
    "denoising": Case(lambda _, s: ops.denoising(s, 25.0)),
    "circulant": Case(lambda k, s: ops.partial_circulant(k, s, 29)),
    "circulant, all rows": Case(lambda k, s: ops.partial_circulant(k, s, 80), GREY),
    "gaussian": Case(lambda k, s: ops.gaussian_matrix(k, s, 29)),
    "gaussian, square": Case(lambda k, s: ops.gaussian_matrix(k, s, 80), GREY),
    "matrix": Case(lambda _, s: ops.dense_matrix(s, np.eye(7, 80) - 0.5), GREY),
    "gaussian blur": Case(lambda _, s: ops.gaussian_blur(s, 1.5)),
    "motion blur": Case(lambda _, s: ops.motion_blur(s, 6, 30.0), GREY),
    "blur": Case(lambda _, s: ops.blur(s, np.arange(6).reshape(2, 3)), GREY),
    "grey": Case(lambda _, s: ops.grey(s)),
    "cartesian MRI": Case(lambda k, s: ops.cartesian_mri(k, s, 4.0, 0.08)),
    "cartesian MRI of all": Case(lambda k, s: ops.cartesian_mri(k, s, 1.0, 0.0), GREY),
    "parallel MRI": Case(lambda k, s: ops.cartesian_mri(k, s, 2.0, maps=coil_maps(s)), GREY),
    "radial MRI": Case(lambda _, s: ops.radial_mri(s, 5)),
    "phase retrieval": Case(lambda k, s: ops.phase_retrieval(k, s, 2, 1)),
    "phase retrieval without signs": Case(lambda k, s: ops.phase_retrieval(k, s, 0, 2), GREY),
    "composition of linear ones": Case(
        lambda _, s: ops.composition(
            ops.superresolution(s, 2), ops.motion_blur((s[0] // 2, s[1] // 2, s[2]), 3)
        )
    ),
    "composition with noise": Case(
        lambda k, s: ops.composition(
            ops.random_inpainting(k, s, 0.5), ops.denoising(s, 10.0), ops.radial_mri(s, 4)
        )
    ),
    "photon counts": Case(lambda _, s: ops.photon_counts(s, 50.0)),
    "quantization": Case(lambda _, s: ops.quantization(s, 4), GREY),
    "dead pixels": Case(lambda _, s: ops.dead_pixels(ops.photon_counts(s, 50.0), 0.2)),
    "dead pixels of a blur": Case(lambda _, s: ops.dead_pixels(ops.motion_blur(s, 3), 0.2)),
    "noise on what a mask shows": Case(
        lambda k, s: ops.composition(ops.random_inpainting(k, s, 0.5), ops.denoising(s, 30.0))
    ),
    "noise on compression": Case(
        lambda k, s: ops.Noisy(s, ops.partial_circulant(k, s, 29), jnp.float32(0.1), clip=False)
    ),
    "custom": Case(lambda _, s: ops.custom(s, jnp.tanh), GREY),
    "custom, turned": Case(lambda _, s: ops.custom(s, jnp.matrix_transpose)),
    "custom, two arrays": Case(lambda _, s: ops.custom(s, _statistics)),
    "classifier": Case(_classifier),
}
