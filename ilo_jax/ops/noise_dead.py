"""Dead pixels: black, and nobody knows which of the black ones."""

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Operator, array, draw
from ilo_jax.ops.noise import Noise, through
from ilo_jax.ops.noise_gaussian import Noisy


class DeadPixels(Noise):
    """With probability `p` a pixel is black (-1) in all channels, whatever the image; the others
    are as another kind of noise has them.

    A black pixel's likelihood is a mixture, `p + (1 - p) prod_c P(y_c = -1 | x)`; that of any other
    pixel is its channels'.

    Attributes:
      operator: the noise on pixels that live, a `Noise`.
      fraction: `p`, in [0, 1).
    """

    fraction: jax.Array = flax.struct.field(metadata=array(0))

    def add(self, key: jax.Array, y: jax.Array) -> jax.Array:
        dead = draw(jax.random.uniform, key, (*y.shape[:-1], 1)) < self.fraction
        return through(jnp.where(dead, -1, y), y)

    def expected(self, y: jax.Array) -> jax.Array:
        return (1 - self.fraction) * self._alive.expected(y) - self.fraction

    def losses(self, predicted: jax.Array, measured: jax.Array) -> jax.Array:
        alive = jnp.mean(self._alive.losses(predicted, measured), -1, keepdims=True)
        black = jnp.all(measured <= -1, -1, keepdims=True)
        return jnp.where(black, self._of_black(predicted), alive)

    def levels(self, predicted: jax.Array) -> jax.Array:
        black = self._alive.losses(predicted, jnp.full_like(predicted, -1))
        black = jnp.mean(black, -1, keepdims=True)
        alive = jnp.mean(self._alive.levels(predicted), -1, keepdims=True)
        chance = jnp.exp(jnp.sum(self._alive.log_black(predicted), -1, keepdims=True))
        dead = self.fraction + (1 - self.fraction) * chance
        return dead * self._of_black(predicted) + (1 - self.fraction) * (alive - chance * black)

    def _of_black(self, predicted: jax.Array) -> jax.Array:
        """Of pixels that are black in all channels, `[..., h, w, 1]`."""
        alive = jnp.sum(self._alive.log_black(predicted), -1, keepdims=True)
        dead = jnp.log(jnp.maximum(self.fraction, jnp.finfo(jnp.float32).tiny))
        likelihood = jnp.logaddexp(dead, jnp.log1p(-self.fraction) + alive)
        return -2 * self.noise_variance * likelihood / predicted.shape[-1]

    def rounded(self, step: jax.typing.ArrayLike, clip: bool = True) -> "DeadPixels":
        return self.replace(operator=self._alive.rounded(step, clip))

    @property
    def noise_is_known(self) -> bool:
        return self._alive.noise_is_known

    @property
    def noise_variance(self) -> jax.Array:
        return self._alive.noise_variance

    @property
    def _alive(self) -> Noise:
        assert isinstance(self.operator, Noise)
        return self.operator


def dead_pixels(operator: Operator, fraction: float) -> DeadPixels:
    """Dead pixels of an operator that measures images, with noise or without.

    Raises:
      InputError: `fraction` is not in [0, 1), or measurements are no images.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"dead {fraction}: expected a fraction of the pixels in [0, 1)")
    if not operator.measures_image:
        raise InputError(
            f"dead pixels: a measurement is {operator.measurement_shape}; expected an image"
        )
    if not isinstance(operator, Noise):
        operator = Noisy(operator.image_shape, operator, jnp.float32(0), clip=True)
    return DeadPixels(operator.image_shape, operator, jnp.float32(fraction))
