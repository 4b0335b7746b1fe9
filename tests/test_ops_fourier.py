"""Operators that are computed by FFT, against direct computations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from operators import coil_maps

from ilo_jax.errors import InputError
from ilo_jax.ops import (
    FourierMagnitude,
    UndersampledFourier,
    blur,
    cartesian_mask,
    gaussian_blur,
    masked_mri,
    motion_blur,
    motion_kernel,
    radial_mask,
    sign_patterns,
)

many_programs = True

KEY = jax.random.key(0)
SHAPE = (10, 14, 3)
apply = jax.jit(lambda operator, x: operator(x))


def image(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def convolve(x, kernel):
    """Each channel, by SciPy, whose `mirror` is NumPy's `reflect`."""
    channels = np.moveaxis(x.astype(np.float64), -1, 0)
    found = [scipy.ndimage.convolve(channel, kernel, mode="mirror") for channel in channels]
    return np.stack(found, -1)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 9), (19, 27), (2, 4), (6, 1)])
def test_blur_equals_direct_convolution(size):
    kernel = np.random.default_rng(1).uniform(size=size)
    found = apply(blur(SHAPE, kernel), image())
    # SciPy wants odd sizes to agree on the centre.
    odd = np.pad(kernel / kernel.sum(), [(0, 1 - n % 2) for n in size])
    np.testing.assert_allclose(found, convolve(image(), odd), atol=1e-5)


@pytest.mark.parametrize("sigma", [0.1, 0.6, 1.5, 2.3])
def test_gaussian_blur_equals_scipys(sigma):
    found = apply(gaussian_blur(SHAPE, sigma), image())
    channels = np.moveaxis(image(), -1, 0)
    expected = [scipy.ndimage.gaussian_filter(c, sigma, mode="mirror") for c in channels]
    np.testing.assert_allclose(found, np.stack(expected, -1), atol=1e-5)


@given(st.integers(1, 12), st.floats(-400, 400))
def test_motion_is_a_line_through_the_centre(length, angle):
    kernel = motion_kernel(length, angle)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-9)
    np.testing.assert_allclose(kernel, motion_kernel(length, angle + 180), atol=1e-9)
    np.testing.assert_allclose(kernel[::-1], motion_kernel(length, -angle), atol=1e-9)
    np.testing.assert_allclose(kernel.T[::-1, ::-1], motion_kernel(length, 90 - angle), atol=1e-9)
    # Second moments along and across the line; bilinear weights add at most 1/4 an axis.
    y, x = np.indices(kernel.shape) - length // 2
    along = x * np.cos(np.radians(angle)) - y * np.sin(np.radians(angle))
    across = x * np.sin(np.radians(angle)) + y * np.cos(np.radians(angle))
    points = (length**2 - 1) / 12
    assert points - 1e-9 <= (kernel * along**2).sum() <= points + 0.25 + 1e-9
    assert (kernel * across**2).sum() <= 0.25 + 1e-9


def test_motion_blurs_along_the_line():
    point = image() * 0
    point[5, 7] = 1
    line = np.asarray(apply(motion_blur(SHAPE, 3, 90.0), point))
    np.testing.assert_allclose(line[4:7, 7], 1 / 3, atol=1e-6)


def test_motion_on_the_axes():
    np.testing.assert_allclose(motion_kernel(1, 77), [[1]])
    row = np.zeros((5, 5))
    row[2] = 0.2
    np.testing.assert_allclose(motion_kernel(5, 0), row, atol=1e-9)
    np.testing.assert_allclose(motion_kernel(5, 90), row.T, atol=1e-9)
    np.testing.assert_allclose(motion_kernel(2, 0)[1], [0.25, 0.5, 0.25], atol=1e-9)
    # Counter-clockwise, as seen: up to the right.
    rising = motion_kernel(5, 45)
    assert rising[1, 3] > 0.1
    assert rising[3, 3] == 0


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (np.ones((21, 3)), "kernel of 3x21: expected at most 27x19 for images of 14x10"),
        (np.ones((3, 28)), "kernel of 28x3: expected at most"),
        (np.ones(3), r"kernel of shape \(3,\): expected \(h, w\)"),
        (np.zeros((3, 3)), "kernel with sum 0.0: expected a positive sum"),
        (np.full((3, 3), np.nan), "kernel with sum nan: expected"),
        (np.full((3, 3), np.inf), "kernel with sum inf: expected"),
    ],
)
def test_bad_kernels_are_refused(kernel, expected):
    with pytest.raises(InputError, match=expected):
        blur(SHAPE, kernel)


def centred_dft(n):
    t = np.arange(n) - n // 2
    return np.exp(-2j * np.pi * np.outer(t, t) / n) / n**0.5


def test_mri_equals_its_matrices():
    mask = cartesian_mask(KEY, SHAPE, 2, 0.2)
    k_space = np.einsum("ui,ijc,vj->uvc", centred_dft(10), image(), centred_dft(14))
    expected = np.asarray(mask)[..., None] * np.stack([k_space.real, k_space.imag], -1)
    operator = UndersampledFourier(SHAPE, mask)
    np.testing.assert_allclose(apply(operator, image()), expected, atol=1e-5)
    assert operator.measurement_shape == (*SHAPE, 2)


shown = jax.jit(lambda operator, x: operator.picture(operator(x)))


def test_parallel_mri_equals_numpys_transform_of_what_each_coil_sees():
    maps, x = coil_maps(SHAPE, 3), image()
    mask = np.asarray(radial_mask(SHAPE, 4))
    found = apply(masked_mri(SHAPE, mask, maps), x)
    seen = np.fft.ifftshift(maps * x, (-3, -2))
    expected = mask * np.fft.fftshift(np.fft.fft2(seen, axes=(-3, -2), norm="ortho"), (-3, -2))
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, atol=1e-5)
    # One coil that sees all alike is a single coil.
    alone = apply(masked_mri(SHAPE, mask, np.ones((1, *SHAPE[:2], 1))), x)
    np.testing.assert_allclose(alone[0], apply(masked_mri(SHAPE, mask), x), atol=1e-6)


def test_maps_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"maps of shape \(3, 14, 10, 1\): expected \(K, 10"):
        masked_mri(SHAPE, np.ones((10, 14, 1)), coil_maps(SHAPE, 3).swapaxes(1, 2))


def test_mri_shows_the_zero_filled_reconstruction():
    everything = UndersampledFourier(SHAPE, jnp.ones((10, 14, 1)))
    np.testing.assert_allclose(shown(everything, image()), image(), atol=1e-5)
    nothing_but_the_mean = UndersampledFourier(SHAPE, jnp.zeros((10, 14, 1)).at[5, 7].set(1))
    picture = shown(nothing_but_the_mean, image())
    expected = np.broadcast_to(image().mean((0, 1)), SHAPE)
    np.testing.assert_allclose(picture, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("width", "acceleration", "centre", "lines", "middle"),
    [
        (64, 4, 0.08, 16, range(30, 35)),
        (15, 3, 0.2, 5, range(6, 9)),
        (64, 64, 0, 1, ()),
        (8, 1, 0, 8, ()),
        (64, 4, None, 16, range(30, 35)),
        (64, 16, None, 4, range(31, 33)),
    ],
)
def test_cartesian_masks_have_the_lines_they_say(width, acceleration, centre, lines, middle):
    shape, keys = (6, width, 1), jax.random.split(KEY, 300)
    draw = jax.jit(jax.vmap(lambda key: cartesian_mask(key, shape, acceleration, centre)))
    masks = np.asarray(draw(keys))[..., 0]
    assert set(np.unique(masks)) <= {0, 1}
    assert (masks == masks[:, :1]).all()
    assert (masks[:, 0].sum(-1) == lines).all()
    assert masks[:, 0, list(middle)].all()
    # The others are equally likely.
    others = np.delete(masks[:, 0], list(middle), axis=-1)
    share = (lines - len(middle)) / others.shape[-1]
    deviation = (share * (1 - share) / 300) ** 0.5
    assert abs(others.mean(0) - share).max() <= 4.5 * deviation


def test_radial_masks_are_diameters():
    one = np.asarray(radial_mask((8, 10, 3), 1))[..., 0]
    assert one[4].all()
    assert one.sum() == 10
    two = np.asarray(radial_mask((8, 10, 3), 2))[..., 0]
    assert two[4].all()
    assert two[:, 5].all()
    assert two.sum() == 17

    mask = np.asarray(radial_mask((64, 64, 3), 7))[..., 0]
    y, x = np.indices((64, 64)) - 32
    angles = np.pi * np.arange(7) / 7
    distances = abs(np.multiply.outer(np.sin(angles), x) - np.multiply.outer(np.cos(angles), y))
    assert distances.min(0)[mask == 1].max() <= 0.5**0.5 + 1e-6
    inside = x**2 + y**2 < 31**2
    assert (mask[inside & (distances.min(0) < 0.2)] == 1).all()
    assert (mask[x**2 + y**2 > 33**2] == 0).all()


@pytest.mark.parametrize("oversampling", [1, 2, 3])
def test_phase_equals_its_matrices(oversampling):
    signs = sign_patterns(KEY, SHAPE, 2)
    rows, columns = (
        np.exp(-2j * np.pi * np.outer(np.arange(m), np.arange(n)) / m) / m**0.5
        for n, m in ((10, oversampling * 10), (14, oversampling * 14))
    )
    coded = np.asarray(signs) * image()
    expected = abs(np.einsum("ui,kijc,vj->kuvc", rows, coded, columns))
    operator = FourierMagnitude(SHAPE, signs, oversampling)
    y = apply(operator, image())
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_allclose(apply(operator, -image()), y, atol=1e-6)
    assert np.sum(y**2) == pytest.approx(2 * np.sum(image() ** 2), rel=1e-4)


def test_sign_patterns_tell_shifted_images_apart():
    moved = np.roll(image(), (2, 3), (0, 1))
    plain = FourierMagnitude(SHAPE, jnp.ones((1, 10, 14, 1)), 1)
    np.testing.assert_allclose(apply(plain, image()), apply(plain, moved), atol=1e-5)
    signs = sign_patterns(KEY, SHAPE, 1)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 0.3
    coded = FourierMagnitude(SHAPE, signs, 1)
    assert np.abs(apply(coded, image()) - apply(coded, moved)).mean() > 0.1


def test_the_gradient_of_a_magnitude_at_zero_is_zero():
    operator = FourierMagnitude(SHAPE, sign_patterns(KEY, SHAPE, 1), 2)
    gradient = jax.jit(jax.grad(lambda x: operator(x).sum()))
    assert (gradient(jnp.zeros(SHAPE)) == 0).all()
    assert np.isfinite(gradient(jnp.full(SHAPE, 1e-30))).all()
