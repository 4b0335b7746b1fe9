"""Deblurring: convolution with a known kernel."""

import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, align, array


class Blur(LinearOperator):
    """`A(x) = k * x` in each channel, the image mirrored at its border (edge pixels once).

    Mirrored, because a photograph goes on beyond its border: circular convolution would blur its
    left side into its right. The mirrored image is convolved by FFT, and what wraps around is
    cut off with the border.

    Attributes:
      spectrum: `[P, Q // 2 + 1, 1]` complex, the FFT of the kernel at the mirrored image's size
        P x Q.
      border: rows and columns that the kernel reaches beyond a pixel.
    """

    spectrum: jax.Array = flax.struct.field(metadata=array(3))
    border: tuple[int, int] = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        height, width, _ = self.image_shape
        top, left = self.border
        around = [(0, 0)] * (x.ndim - 3) + [(top, top), (left, left), (0, 0)]
        mirrored = jnp.pad(x, around, mode="reflect")
        size = (height + 2 * top, width + 2 * left)
        transformed = jnp.fft.rfft2(mirrored, axes=(-3, -2))
        blurred = jnp.fft.irfft2(align(self.spectrum, x) * transformed, size, axes=(-3, -2))
        return blurred[..., top : top + height, left : left + width, :]


def blur(image_shape: Shape, kernel: np.ndarray) -> Blur:
    """Blurs with a kernel `[h, w]` that is scaled to sum 1; its centre is `[h // 2, w // 2]`.

    Raises:
      InputError: a kernel that is no matrix, that reaches beyond the mirrored image, or whose sum
        is not positive.
    """
    height, width, _ = image_shape
    if np.ndim(kernel) != 2:
        raise InputError(f"kernel of shape {np.shape(kernel)}: expected (h, w)")
    kernel = np.asarray(kernel, np.float64)
    h, w = kernel.shape
    if h // 2 >= height or w // 2 >= width:
        raise InputError(
            f"kernel of {w}x{h}: expected at most {2 * width - 1}x{2 * height - 1} "
            f"for images of {width}x{height}"
        )
    if not 0 < kernel.sum() < math.inf:
        raise InputError(f"kernel with sum {kernel.sum()}: expected a positive sum")
    border = (h // 2, w // 2)
    padded = np.zeros((height + 2 * border[0], width + 2 * border[1]))
    padded[:h, :w] = kernel / kernel.sum()
    centred = np.roll(padded, (-border[0], -border[1]), (0, 1))
    spectrum = np.fft.rfft2(centred)[..., None]
    return Blur(image_shape, jnp.asarray(spectrum, jnp.complex64), border)


def gaussian_blur(image_shape: Shape, sigma: float) -> Blur:
    """Blurs with a Gaussian of standard deviation `sigma` in pixels.

    Raises:
      InputError: not positive, or wider than the image.
    """
    limit = (min(image_shape[:2]) - 0.5) / 4
    if not 0 < sigma < limit:
        raise InputError(f"sigma {sigma}: expected more than 0 and less than {limit:g} pixels")
    return blur(image_shape, gaussian_kernel(sigma))


def motion_blur(image_shape: Shape, length: int, angle: float = 0.0) -> Blur:
    """Blurs along a line of `length` pixels, `angle` degrees counter-clockwise from the horizontal.

    Raises:
      InputError: no length, longer than the mirrored image, or an angle that is no number.
    """
    longest = 2 * min(image_shape[:2]) - 1
    if not 1 <= length <= longest:
        raise InputError(f"motion {length}: expected 1 to {longest} pixels")
    if not math.isfinite(angle):
        raise InputError(f"angle {angle}: expected degrees")
    return blur(image_shape, motion_kernel(length, angle))


def gaussian_kernel(sigma: float) -> np.ndarray:
    """Gaussian with standard deviation `sigma` in pixels, cut off at four of them."""
    radius = int(4 * sigma + 0.5)
    t = np.arange(-radius, radius + 1) / sigma
    profile = np.exp(-0.5 * t**2)
    return np.outer(profile, profile) / profile.sum() ** 2


def motion_kernel(length: int, angle: float) -> np.ndarray:
    """A camera that stands at `length` points in turn, one pixel apart on a line through the
    centre, `angle` degrees counter-clockwise from the horizontal. Points between pixels count by
    bilinear weights."""
    radius = length // 2
    t = np.arange(length) - (length - 1) / 2
    x = radius + t * math.cos(math.radians(angle))
    y = radius - t * math.sin(math.radians(angle))
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = x - column, y - row
    kernel = np.zeros((2 * radius + 2, 2 * radius + 2))
    for i, j, weight in (
        (0, 0, (1 - below) * (1 - right)),
        (0, 1, (1 - below) * right),
        (1, 0, below * (1 - right)),
        (1, 1, below * right),
    ):
        np.add.at(kernel, (row + i, column + j), weight / length)
    return kernel[:-1, :-1]
