"""The image nearest to another among those that a measurement allows."""

import jax

from ilo_jax.ops.base import LinearOperator, Measurement
from ilo_jax.ops.batch import map_images


def make_consistent(
    operator: LinearOperator, measurement: Measurement, x: jax.Array, iterations: int = 100
) -> jax.Array:
    """`x + A^+ (y - A x)`: the nearest image whose noiseless measurement is `y`.

    `A^+ r = A^T u` with `A A^T u = r`, by conjugate gradients, which need neither a matrix nor
    that `A A^T` can be inverted.

    Args:
      measurement: `y`, of one image.
      x: `[H, W, C]`.
      iterations: at most; fewer suffice where `A A^T` has few different eigenvalues.
    """
    residual = jax.tree.map(lambda y, p: y - p, measurement, operator(x))
    u, _ = jax.scipy.sparse.linalg.cg(
        lambda u: operator(operator.adjoint(u)), residual, maxiter=iterations, tol=1e-5
    )
    return x + operator.adjoint(u)


@jax.jit
def make_batch_consistent(
    operator: LinearOperator, measurement: Measurement, x: jax.Array
) -> jax.Array:
    """`make_consistent` of every image of a batch `[B, H, W, C]`, each with its measurement; the
    operator is one for all, or has arrays for each."""
    return map_images(make_consistent, operator, measurement, x)
