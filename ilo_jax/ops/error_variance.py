"""How far an image is off, from what its measurement leaves of it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ilo_jax.ops.base import LinearOperator, Measurement, Operator, count_where, draw
from ilo_jax.ops.information import PROBE, Determined, repeats

_FITTED = 0.5
"""Of the noise in what a measurement determines, what an image has that was fitted to it: 0.42 to
0.50 of it where radiographs have noise of sigma 5 to 25 (`benchmarks.consistency`)."""

_WINDOW = 8
"""Pixels a side over which an image counts as equally far off."""

_MOST_SEEN = _WINDOW**2 / 4
"""Pixels that an entry may see, to tell something of the window that it lies in."""

_EXACT = 1e-6
"""Noise, in parts of the variance, that stands for none."""

_TINY = jnp.finfo(jnp.float32).tiny


class Fit(NamedTuple):
    """An image's measurement, and what is known of how the image was fitted to it.

    Attributes:
      operator, linear: with its noise, and without.
      measurement: `y`, of one image.
      where: 1 at the entries that count; all without.
      grey: whether all channels of images are equal.
      determined: shares of the image, where it was fitted to the measurement.
    """

    operator: Operator
    linear: LinearOperator
    measurement: Measurement
    where: Measurement | None
    grey: bool
    determined: Determined | None

    @property
    def are_alike(self) -> bool:
        """Whether each channel measures the same, of which the mean has less noise."""
        shape = self.operator.image_shape
        by_pixel = self.grey and self.operator.measures_image
        return by_pixel and shape[-1] == self.measurement.shape[-1]

    @property
    def noises(self) -> jax.Array:
        """How many a value of the image has that do not depend on each other."""
        channels = self.operator.image_shape[-1] if self.grey else 1
        return channels / repeats(self.operator, self.measurement, grey=self.grey)


def error_variance(fit: Fit, residual: Measurement) -> tuple[jax.Array, jax.Array]:
    """Variance of an image's error, and of the noise that is left in what it is to be corrected by.

    The mean square of a residual is the variance of the error through `A`, and that of the noise.
    Where images are measured it is taken in windows, each drawn to the mean of all as far as they
    may differ by chance alone: the estimate of James and Stein, of pixels and of windows.

    Args:
      residual: `y - A x`.

    Returns:
      `[]`, or `[H, W, 1]` where images are measured; and `[]`, above 0.
    """
    operator, shape = fit.operator, fit.operator.image_shape
    noises = fit.noises
    if fit.are_alike:
        residual = jnp.broadcast_to(jnp.mean(residual, -1, keepdims=True), residual.shape)
    left, in_residual = _noise_left(fit)
    in_residual /= noises if fit.are_alike else 1

    def mean_square(r: Measurement) -> jax.Array:
        return operator.squared_error(r, jax.tree.map(jnp.zeros_like, r), fit.where)

    def gain(image: jax.Array) -> jax.Array:
        return mean_square(fit.linear(jnp.broadcast_to(image, shape)))

    probe = draw(jax.random.normal, jax.random.key(PROBE), (*shape[:2], 1) if fit.grey else shape)
    scale = jnp.maximum(gain(jnp.sign(probe)), _TINY)
    off = jnp.maximum((mean_square(residual) - in_residual) / scale, 0)
    noise = jnp.maximum(left / noises, _EXACT * off * scale + _TINY)
    if operator.measures_image:
        by_pixel = _by_pixel(fit, residual**2 / scale, off, in_residual / scale, noise / scale)
        pixels_seen = gain(jnp.ones(shape)) / scale  # by an entry
        off = jnp.where(pixels_seen <= _MOST_SEEN, by_pixel, off)
    return off, noise


def _by_pixel(
    fit: Fit, squares: jax.Array, off: jax.Array, in_residual: jax.Array, noise: jax.Array
) -> jax.Array:
    """`[H, W, 1]`, of squares of the residual, all in units of images."""

    side = [min(_WINDOW, n) for n in fit.operator.image_shape[:2]]

    def in_windows(entries: jax.Array) -> jax.Array:
        """Sums of what falls on the pixels of each window."""
        chosen = entries if fit.where is None else fit.where * entries
        pixels = jnp.maximum(jnp.sum(fit.linear.adjoint(chosen), -1), 0)
        return _window_sums(pixels, side)

    entries = in_windows(jnp.ones_like(squares))
    means = in_windows(squares) / jnp.maximum(entries, _TINY) - in_residual
    entries /= squares.shape[-1] if fit.are_alike else 1
    chance = 2 * (off + in_residual) ** 2  # variance of a square
    more = jnp.where(entries > 0, entries * (means - off) ** 2 - chance, 0)
    differ = jnp.maximum(jnp.sum(more) / jnp.maximum(jnp.sum(entries), _TINY), 0)
    trust = entries * differ / jnp.maximum(entries * differ + chance, _TINY)
    means = jnp.maximum(off + trust * (means - off), 0)
    # A pixel moves by the mean of what the windows that it lies in say.
    gain = _window_sums(means / (means + noise), side, pad=1)
    gain /= _window_sums(jnp.ones_like(means), side, pad=1)
    return (noise * gain / (1 - gain))[..., None]


def _window_sums(a: jax.Array, side: Sequence[int], pad: int = 0) -> jax.Array:
    """`[h, w]`, of windows that lie in it or, padded, overlap it."""
    padding = [(pad * (n - 1), pad * (n - 1)) for n in side]
    return jax.lax.reduce_window(a, jnp.float32(0), jax.lax.add, tuple(side), (1, 1), padding)


def _noise_left(fit: Fit) -> tuple[jax.Array, jax.Array]:
    """Variance of the noise that is not in the image yet: of what it can have in it, and on average
    of the entries."""
    variance = jnp.float32(fit.operator.noise_variance)
    if fit.determined is None:
        return variance, variance
    height, width, channels = fit.operator.image_shape
    values = height * width * (1 if fit.grey else channels)
    entries = count_where(fit.measurement, fit.operator.observed)
    entries /= channels if fit.are_alike else 1
    fitted = _FITTED * fit.determined.share / jnp.maximum(fit.determined.noiseless, _TINY)
    in_image = fitted * fit.determined.noiseless
    return variance * (1 - fitted), variance * jnp.maximum(1 - in_image * values / entries, 0)
