"""How the restarts of an automatic choice are divided among its candidates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.ops import Measurement, Operator, count_where, map_images, repeats
from ilo_jax.solve.sweep import Grid


@functools.partial(jax.jit, static_argnames=("grey", "least"))
def exponential_weights(
    operator: Operator,
    measurement: Measurement,
    held_out: Measurement,
    error: jax.Array,
    *,
    grey: bool = False,
    least: bool = False,
) -> jax.Array:
    """`[methods, B]`, of errors on what is held out: exponential weights (Leung & Barron, 2006).
    Under noise the least error may be least by chance, so that all that are not worse by more than
    chance count; without, all the weight is the best's. What a file repeats counts once.

    Args:
      grey: whether all channels of images are equal.
      least: whether all of the least error may be chance, what the steps left included, and not
        only the noise.
    """

    def one(
        operator: Operator, y: Measurement, held_out: Measurement, error: jax.Array
    ) -> jax.Array:
        entries = count_where(y, held_out) / repeats(operator, y, grey=grey)
        variance = jnp.min(error)
        if not least:  # the truth's own error is the noise's: what is below it knows better
            variance = jnp.minimum(jnp.asarray(operator.noise_variance), variance)
        variance = jnp.maximum(variance, jnp.finfo(jnp.float32).tiny)
        above = jnp.where(jnp.isfinite(error), error - jnp.min(error), jnp.inf)
        return jax.nn.softmax(-entries * above / (4 * variance))

    return map_images(one, operator, measurement, held_out, error.T).T


def divided(shares: np.ndarray, steps: np.ndarray, restarts: int, total: int, most: int) -> Grid:
    """Which restarts of each image by which methods, in proportion to their shares; those that stop
    late first, since a batch takes as long as its longest run.

    Args:
      shares, steps: `[methods, B]`.
      restarts, total: as many restarts as so many of `total` steps cost, and at least so many.
      most: of restarts of an image.
    """
    on_average = np.maximum((shares * steps).sum(0), 1)
    counts = np.clip(restarts * total / on_average, restarts, most).astype(int)
    image = np.repeat(np.arange(len(counts)), counts)
    restart = np.concatenate([np.arange(n) for n in counts])
    part = (restart + 0.5) / counts[image]
    order = np.argsort(-shares, 0, kind="stable")
    upto = np.cumsum(np.take_along_axis(shares, order, 0), 0)[:, image]
    method = order[np.minimum((upto < part).sum(0), len(shares) - 1), image]
    late_first = np.argsort(-steps[method, image], kind="stable")
    return Grid(method[late_first], restart[late_first], image[late_first])
