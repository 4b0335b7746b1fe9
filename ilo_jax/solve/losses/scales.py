"""LPIPS of measurements that are small: at many scales (Poirier-Ginter & Lalonde, 2023), or
enlarged (Marinescu et al., 2020)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax import lpips
from ilo_jax.errors import InputError
from ilo_jax.ops import Operator
from ilo_jax.priors import Prior
from ilo_jax.solve.losses.objective import Data, Term, View

SCALES, SMALLEST = 6, 16


class ScalesTarget(NamedTuple):
    """What stays fixed of one image.

    Attributes:
      fill: of each scale `[h, w, C]`, 0 where a pixel is observed; None where all are.
      features: of each scale, those of the measurement, as `lpips.features` gives them.
      rest: the measurement at the scale behind the last of them.
    """

    fill: tuple[jax.Array, ...] | None
    features: tuple[tuple[jax.Array, ...], ...]
    rest: jax.Array


class PerceptualScales(Term):
    """LPIPS of `A(x)` and `y` at their size and at each halving of it above 16 px, six at most,
    plus 0.05 times the mean absolute difference at the next (Poirier-Ginter & Lalonde, 2023; 0.1
    of images in [0, 1]). Of measurements of up to 16 px it is the difference alone.

    Pixels that are not observed have the same noise in both, or black would be compared; it is
    drawn once, so that the features of `y` are, too.

    Attributes:
      network: as `lpips.load` gives it.
      difference: weight of the mean absolute difference.
    """

    network: lpips.Lpips
    difference: jax.typing.ArrayLike = 0.05

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> ScalesTarget:
        _check("lpips_scales", operator, data)
        scales, rest = halvings(data.measurement)
        fill = None
        if operator.observed is not None:
            keys = jax.random.split(jax.random.key(0), SCALES)
            observed, _ = halvings(operator.observed)
            fill = tuple(map(_noise, keys, observed, scales))
            scales = [a + b for a, b in zip(scales, fill, strict=True)]
        features = tuple(lpips.features(self.network, scale) for scale in scales)
        return ScalesTarget(fill, features, rest)

    def __call__(self, target: ScalesTarget, view: View) -> jax.Array:
        scales, rest = halvings(view.predicted)
        if target.fill is not None:
            scales = [a + b for a, b in zip(scales, target.fill, strict=True)]
        total = jnp.float32(self.difference) * jnp.mean(jnp.abs(rest - target.rest))
        for scale, features in zip(scales, target.features, strict=True):
            total += lpips.distance(lpips.features(self.network, scale), features)
        return total


class PerceptualEnlarged(Term):
    """LPIPS of `A(x)` and `y`, both resized to the generator's size, 256 px at most, by the means
    of areas: a measurement of a few pixels has each of them repeated (Marinescu et al., 2020).

    Attributes:
      network: as `lpips.load` gives it.
    """

    network: lpips.Lpips

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> tuple[jax.Array, ...]:
        _check("lpips_enlarged", operator, data)
        return self._features(prior, data.measurement)

    def __call__(self, target: tuple[jax.Array, ...], view: View) -> jax.Array:
        return lpips.distance(self._features(view.prior, view.predicted), target)

    def _features(self, prior: Prior, image: jax.Array) -> tuple[jax.Array, ...]:
        least = lpips.smallest_size(self.network.stages)
        side = min(max(*prior.image_shape[:2], least), lpips.SIZE)
        rows, columns = (_areas(n, side) for n in image.shape[:2])
        resized = jnp.einsum("ih,jw,hwc->ijc", rows, columns, image, precision="highest")
        return lpips.features(self.network, resized)


def _areas(before: int, after: int) -> np.ndarray:
    """`[after, before]`: the mean of the pixels that each new one lies over, even in part."""
    i = np.arange(after)[:, None]
    first, end = i * before // after, -(-(i + 1) * before // after)
    j = np.arange(before)[None, :]
    over = ((first <= j) & (j < end)).astype(np.float32)
    return over / over.sum(1, keepdims=True)


def _check(name: str, operator: Operator, data: Data) -> None:
    if data.held_out is not None:
        raise InputError(
            f"loss {name}: looks at all entries of a measurement at once; expected the loss mse "
            "where some are held out"
        )
    if not operator.measures_image:
        raise InputError(
            f"loss {name}: a measurement is {operator.measurement_shape}; expected an image "
            "(height, width, 1 or 3), or the loss mse"
        )


def halvings(image: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """The image `[H, W, C]` and its halvings above 16 px, six at most; and the next."""
    scales: list[jax.Array] = []
    while len(scales) < SCALES and min(image.shape[:2]) > SMALLEST:
        scales.append(image)
        image = _half(image)
    return scales, image


def _half(image: jax.Array) -> jax.Array:
    """Means of 2x2 pixels; an odd row or column at the end is left out."""
    height, width, channels = (image.shape[0] // 2, image.shape[1] // 2, image.shape[2])
    even = image[: 2 * height, : 2 * width]
    return jnp.mean(even.reshape(height, 2, width, 2, channels), (1, 3))


def _noise(key: jax.Array, observed: jax.Array, scale: jax.Array) -> jax.Array:
    """In [-1, 1], of mean -0.5 and standard deviation 1, where pixels are missing."""
    noise = jax.random.normal(key, (scale.size,), jnp.float32).reshape(scale.shape)
    return (noise - 0.5) * (1 - observed)
