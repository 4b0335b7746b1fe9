"""What JPEG compression leaves of an image (ITU-T T.81).

Colours become luma and chroma, chroma is averaged over 2x2 pixels (4:2:0), blocks of 8x8 pixels are
transformed (DCT), and each coefficient is rounded to a multiple of its step.
"""

from collections.abc import Mapping

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Measurement, Shape, align, array, draw, mean_where
from ilo_jax.ops.entries import some_of
from ilo_jax.ops.inversion import Identity
from ilo_jax.ops.noise import Noise, mean_of, through

BLOCK = 8

SAMPLINGS: Mapping[str, tuple[int, int]] = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}
"""Rows and columns of pixels that share a value of chroma."""

# Of red, green and blue (JFIF, after ITU-R BT.601): luma, and two of chroma without their offset.
_YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.886 / 1.772],
        [0.701 / 1.402, -0.587 / 1.402, -0.114 / 1.402],
    ]
)
_RGB = np.linalg.inv(_YCC)

_OF_ALL = 1e-3
"""Weight of all coefficients beside those that are held out: it counts where these tell nothing."""


class Jpeg(Noise):
    """The picture of `A(x)`, compressed and decoded again.

    The measurement is the decoded image. Its noise is the rounding of coefficients: an entry's loss
    is the squared error of the pixels, and the level is what the prediction's own rounding would
    make of it. Held out are coefficients, since pixels of a block imply each other; but not means,
    without which a block is another problem. They are judged by their distance from all that would
    have been rounded to what was measured: most of that is 0, where smoothness is not truth;
    where it is 0 of many images, as of few coefficients, by the same of all.

    Attributes:
      operator: `A`, which measures images of one or three channels.
      luma, chroma: steps of the coefficients `[8, 8]`, lowest frequency first, in grey values of
        0-255.
      sampling: of chroma, one of `SAMPLINGS`.
    """

    luma: jax.Array = flax.struct.field(metadata=array(2))
    chroma: jax.Array = flax.struct.field(metadata=array(2))
    sampling: str = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Without rounding: what is left of chroma."""
        return self._coarse(self.operator.picture(mean_of(self.operator, x)))

    def add(self, key: jax.Array, y: jax.Array) -> jax.Array:
        del key
        picture = self.operator.picture(y)
        return through(self._compressed(picture), self._coarse(picture))

    def losses(self, predicted: jax.Array, measured: jax.Array) -> jax.Array:
        return (predicted - measured) ** 2

    def levels(self, predicted: jax.Array) -> jax.Array:
        return (self._compressed(predicted) - predicted) ** 2

    def levels_behind(self, predicted: jax.Array, observed: jax.Array) -> jax.Array:
        return self.levels(_filled(predicted, observed))

    def log_black(self, predicted: jax.Array) -> jax.Array:
        return jnp.full_like(predicted, -1e30)  # a single value of a continuum

    def rounded(self, step: jax.typing.ArrayLike, clip: bool = True) -> "Jpeg":
        """Itself: what is decoded has 8 bits."""
        del step
        return self

    def error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        if where is None:
            return mean_where(self.losses(predicted, measured), None)
        return mean_where(transformed(predicted - measured) ** 2, where)

    def squared_error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        return self.error(predicted, measured, where)

    def held_out_error(
        self, predicted: Measurement, measured: Measurement, held_out: Measurement
    ) -> jax.Array:
        difference = predicted - measured
        if difference.shape[-1] > 1:
            difference = _times(difference, _YCC)[..., :1]
        half_a_step = self._of_coefficients(self.luma) / 255
        beyond = jnp.maximum(jnp.abs(transformed(difference)) - half_a_step, 0) ** 2
        return mean_where(beyond, held_out) + _OF_ALL * mean_where(beyond, None)

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        """Some of the coefficients, of all channels, in the place of their block's pixels."""
        alternate = (np.indices((BLOCK, BLOCK)).sum(0) > 0).astype(np.float32)
        scores = draw(jax.random.uniform, key, (*self.measurement_shape[:2], 1))
        return some_of(scores, fraction, self._of_coefficients(alternate))

    def _of_coefficients(self, table: jax.typing.ArrayLike) -> jax.Array:
        """`[H, W, 1]`, of the table `[8, 8]` what each coefficient has."""
        height, width, _ = self.measurement_shape
        tiled = jnp.tile(table, (-(-height // BLOCK), -(-width // BLOCK)))
        return tiled[:height, :width, None]

    def restrict(self, y: jax.Array) -> jax.Array:
        return y

    def from_picture(self, y: jax.Array) -> jax.Array:
        return y

    def picture(self, y: jax.Array) -> jax.Array:
        return y

    @property
    def observed(self) -> None:
        """All: also what was hidden is in the file."""
        return

    @property
    def noise_variance(self) -> jax.Array:
        """Of noise that would tell as much of the coefficients of luma as their rounding does."""
        rounding = 1 / (jnp.mean(12 / self.luma**2) * 127.5**2)
        return rounding + self.operator.noise_variance

    def _coarse(self, y: jax.Array) -> jax.Array:
        """`y` with as much of chroma as its sampling has."""
        shared = SAMPLINGS[self.sampling]
        if y.shape[-1] == 1 or shared == (1, 1):
            return y
        ycc = _times(y, _YCC)
        chroma = _spread(_averaged(ycc[..., 1:], shared), shared, y.shape)
        return _times(jnp.concatenate([ycc[..., :1], chroma], -1), _RGB)

    def _compressed(self, y: jax.Array) -> jax.Array:
        return self._coded(_grey_values((y + 1) * 127.5)) / 127.5 - 1

    def _coded(self, pixels: jax.Array) -> jax.Array:
        """What a decoder makes of grey values 0-255 that an encoder has had, as libjpeg does it but
        for sums in floating point."""
        if pixels.shape[-1] == 1:
            return _grey_values(_requantized(pixels - 128, self.luma) + 128)
        shared, ycc = SAMPLINGS[self.sampling], jnp.round(_times(pixels, _YCC))
        luma = _grey_values(_requantized(ycc[..., :1] - 128, self.luma) + 128)
        chroma = _requantized(jnp.round(_averaged(ycc[..., 1:], shared)), self.chroma)
        chroma = _grey_values(chroma + 128) - 128
        chroma = jnp.round(_spread(chroma, shared, pixels.shape))
        return _grey_values(_times(jnp.concatenate([luma, chroma], -1), _RGB))


def jpeg(
    image_shape: Shape,
    luma: jax.typing.ArrayLike,
    chroma: jax.typing.ArrayLike | None = None,
    sampling: str = "4:2:0",
) -> Jpeg:
    """Images that were compressed as JPEG and decoded.

    Args:
      image_shape: `(H, W, C)`, C 1 or 3.
      luma, chroma: steps of the coefficients `[8, 8]`, from 1 on, lowest frequency first (not in
        zigzag order); chroma as luma without, and without effect for one channel.
      sampling: of chroma, one of `SAMPLINGS`.

    Raises:
      InputError: another number of channels, another sampling, or no such steps.
    """
    if image_shape[-1] not in (1, 3):
        raise InputError(f"images of {image_shape[-1]} channels; expected 1 (grey) or 3 (RGB)")
    if sampling not in SAMPLINGS:
        raise InputError(f"sampling {sampling}: expected one of {', '.join(SAMPLINGS)}")
    chroma = luma if chroma is None else chroma
    for name, table in (("luma", luma), ("chroma", chroma)):
        values = np.asarray(table, np.float64)
        if values.shape != (BLOCK, BLOCK) or not np.all((values >= 1) & np.isfinite(values)):
            raise InputError(f"{name}: expected {BLOCK}x{BLOCK} steps of 1 or more")
    return Jpeg(
        image_shape,
        Identity(image_shape),
        jnp.asarray(luma, jnp.float32),
        jnp.asarray(chroma, jnp.float32),
        sampling if image_shape[-1] == 3 else "4:4:4",
    )


def _filled(y: jax.Array, observed: jax.Array) -> jax.Array:
    """With the mean of what shows of each block in place of what does not: what is painted on has
    hardly any edges that a compression would see."""
    height, width, _ = y.shape
    high, wide = -(-height // BLOCK), -(-width // BLOCK)

    def in_blocks(a: jax.Array) -> jax.Array:
        padded = jnp.pad(a, ((0, high * BLOCK - height), (0, wide * BLOCK - width), (0, 0)))
        sums = padded.reshape(high, BLOCK, wide, BLOCK, -1).sum((1, 3))
        return jnp.repeat(jnp.repeat(sums, BLOCK, 0), BLOCK, 1)[:height, :width]

    mean = in_blocks(observed * y) / jnp.maximum(in_blocks(observed), 1)
    return jnp.where(observed > 0, y, mean)


def _grey_values(values: jax.Array) -> jax.Array:
    return jnp.clip(jnp.round(values), 0, 255)


def _times(colours: jax.Array, matrix: np.ndarray) -> jax.Array:
    rows = jnp.asarray(matrix, jnp.float32)
    return jnp.einsum("...c,dc->...d", colours, rows, precision="highest")


def _averaged(values: jax.Array, shared: tuple[int, int]) -> jax.Array:
    """`[..., H, W, C]`, means of so many rows and columns; the last one is repeated."""
    for axis, n in zip((-3, -2), shared, strict=True):
        values = _to_multiple(values, axis, n)
        at = values.ndim + axis
        shape = (*values.shape[:at], values.shape[at] // n, n, *values.shape[at + 1 :])
        values = values.reshape(shape).mean(at + 1)
    return values


def _spread(values: jax.Array, shared: tuple[int, int], shape: Shape) -> jax.Array:
    """As many rows and columns as `shape` has, each three quarters of its own value and a quarter
    of its neighbour's, where two share one."""
    for axis, n in zip((-3, -2), shared, strict=True):
        if n == 2:
            at, count = values.ndim + axis, values.shape[axis]
            index = np.arange(count)
            before = jnp.take(values, np.maximum(index - 1, 0), axis)
            after = jnp.take(values, np.minimum(index + 1, count - 1), axis)
            both = jnp.stack([0.75 * values + 0.25 * v for v in (before, after)], at + 1)
            whole = both.reshape(*values.shape[:at], 2 * count, *values.shape[at + 1 :])
            values = jax.lax.slice_in_dim(whole, 0, shape[axis], axis=at)
    return values


def _requantized(values: jax.Array, steps: jax.Array) -> jax.Array:
    """`[..., H, W, C]`, with the coefficients of its blocks rounded to multiples of their steps."""
    height, width = values.shape[-3:-1]
    whole = _to_multiple(_to_multiple(values, -3, BLOCK), -2, BLOCK)
    rows, columns = whole.shape[-3] // BLOCK, whole.shape[-2] // BLOCK
    coefficients = transformed(whole)
    tiled = align(jnp.tile(steps, (rows, columns))[..., None], coefficients)
    rounded = jnp.sign(coefficients) * jnp.floor(jnp.abs(coefficients) / tiled + 0.5) * tiled
    return transformed(rounded, inverse=True)[..., :height, :width, :]


def _to_multiple(values: jax.Array, axis: int, n: int) -> jax.Array:
    """With its last values once more, to a multiple of `n` along an axis."""
    more = -values.shape[axis] % n
    padding = [(0, 0)] * values.ndim
    padding[axis] = (0, more)
    return jnp.pad(values, padding, mode="edge") if more else values


def transformed(values: jax.Array, *, inverse: bool = False) -> jax.Array:
    """The orthonormal DCT of each block of 8x8 pixels of `[..., H, W, C]`, in its place; of what is
    left at the border, of as many."""
    for axis in (-3, -2):
        size = values.shape[axis]
        parts = [size - size % BLOCK, size % BLOCK]
        pieces = jnp.split(values, parts[:1], axis)
        done = [
            _of_blocks(piece, axis, min(BLOCK, length), inverse)
            for piece, length in zip(pieces, parts, strict=True)
            if length
        ]
        values = jnp.concatenate(done, axis)
    return values


def _of_blocks(values: jax.Array, axis: int, n: int, inverse: bool) -> jax.Array:
    k, i = np.indices((n, n))
    basis = np.sqrt((1 + (k > 0)) / n) * np.cos(np.pi * k * (2 * i + 1) / (2 * n))
    matrix = jnp.asarray(basis.T if inverse else basis, jnp.float32)
    moved = jnp.moveaxis(values, axis, -1)
    blocks = moved.reshape(*moved.shape[:-1], -1, n)
    mapped = jnp.einsum("...i,ki->...k", blocks, matrix, precision="highest")
    return jnp.moveaxis(mapped.reshape(moved.shape), -1, axis)
