import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ilo_jax.ops import euclidean_norm, project_l1_ball, rescale_to_norm

SHAPES = [(1,), (7,), (3, 4), (2, 3, 2)]
project = jax.jit(project_l1_ball)

# Zero, or of any size that float32 has, short of overflow in sums and of denormal numbers.
sizes = st.just(0.0) | st.floats(-25, 30).map(lambda e: float(np.float32(10**e)))
radii = sizes | st.just(np.inf)


@st.composite
def arrays(draw, shapes=SHAPES):
    """Entries of one size or of many, some of them equal, some zero."""
    shape = draw(st.sampled_from(shapes))
    mantissas = hnp.arrays(np.float32, shape, elements=st.floats(-1, 1, width=16))
    size = draw(sizes | hnp.arrays(np.float32, shape, elements=sizes))
    x = np.float32(draw(mantissas) * size)
    return np.where(np.abs(x) < 1e-30, np.float32(0), x)


def sorted_projection(x: np.ndarray, radius: float) -> np.ndarray:
    """Duchi et al. (2008), figure 1, in float64, for signed vectors. An entry that is level with
    the threshold may count or not: here it does, so that there always is one."""
    magnitude = np.abs(x, dtype=np.float64)
    if magnitude.sum() <= radius:
        return x.astype(np.float64)
    mu = np.sort(magnitude.ravel())[::-1]
    excess = np.cumsum(mu) - radius
    counts = np.arange(1, mu.size + 1)
    rho = np.max(counts[mu - excess / counts >= 0])
    return np.sign(x) * np.maximum(magnitude - excess[rho - 1] / rho, 0)


def roundoff(x):
    return 2e-6 * float(np.abs(x).max())


@settings(max_examples=300)
@given(x=arrays(), radius=radii)
@example(x=np.array([1e30] * 7, np.float32), radius=1.0)
@example(x=np.array([3, -3, 3, -3, 3, -3, 3], np.float32), radius=2.0)
@example(x=np.array([5, 0, 0, 0, 0, 0, 0], np.float32), radius=1.0)
@example(x=np.array([1, 2, 3, 4, 5, 6, 7], np.float32), radius=28.0)
def test_l1_projection_equals_the_one_that_sorts(x, radius):
    found = np.asarray(project(x, radius))
    assert found.shape == x.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sorted_projection(x, radius), rtol=0, atol=roundoff(x))


@settings(max_examples=300)
@given(x=arrays(), radius=radii)
@example(x=np.array([1000, 999.9999, 999.9998, -1000, 1, 2, 3], np.float32), radius=1e-3)
@example(x=np.full((3, 4), 0.10013714, np.float32), radius=0.10366329550743103)
def test_l1_projection_is_in_the_ball_and_stays(x, radius):
    found = np.asarray(project(x, radius), np.float64)
    assert np.abs(found).sum() <= radius * (1 + 2e-6)
    tolerance = 0 if radius == np.inf else 2e-6 * radius
    np.testing.assert_allclose(project(np.float32(found), radius), found, rtol=0, atol=tolerance)
    if np.abs(x, dtype=np.float64).sum() <= radius * (1 - 2e-6):
        np.testing.assert_array_equal(found, x)


@settings(max_examples=200)
@given(
    x=hnp.arrays(np.float32, (7,), elements=st.floats(-4, 4, width=16)),
    other=hnp.arrays(np.float32, (7,), elements=st.floats(-4, 4, width=16)),
    radius=st.floats(0, 8, width=16),
)
def test_l1_projection_is_the_nearest_point(x, other, radius):
    # The variational inequality: <x - p, y - p> <= 0 for every y in the ball.
    nearest = np.asarray(project(x, radius), np.float64)
    inside = other / max(np.abs(other).sum(), 1e-3)
    ball = radius * np.stack([*np.eye(7), *-np.eye(7), inside])
    assert np.max((ball - nearest) @ (x - nearest)) <= 1e-4


def test_radius_0_gives_0_and_infinity_the_same_bits():
    x = jax.random.normal(jax.random.key(0), (64, 64, 8))
    assert not project(x, 0.0).any()
    np.testing.assert_array_equal(project(x, jnp.inf), x)
    assert not project(jnp.full((3, 3), 0.1), 0.0).any()


def test_l1_projection_of_a_large_map_is_exact():
    x = jax.random.normal(jax.random.key(0), (128, 128, 32)) ** 3
    for radius in (1.0, 1e3, 1e5, 5e5):
        found = np.asarray(project(x, radius), np.float64)
        np.testing.assert_allclose(found, sorted_projection(np.asarray(x), radius), atol=2e-5)
        assert np.abs(found).sum() <= radius * (1 + 1e-5)


def test_l1_projection_maps_over_images_and_radii():
    x = jax.random.normal(jax.random.key(1), (5, 3, 4))
    limits = jnp.array([0.0, 0.5, 3.0, 100.0, jnp.inf])
    found = jax.jit(jax.vmap(project_l1_ball))(x, limits)
    for one, image, radius in zip(found, x, limits, strict=True):
        np.testing.assert_allclose(one, project(image, radius), atol=1e-7)


@pytest.mark.parametrize("radius", [0.0, 0.5, 3.0, 1e3])
def test_forward_derivative_of_the_l1_projection(radius):
    x = jax.random.normal(jax.random.key(2), (3, 4))
    direction = jax.random.normal(jax.random.key(3), (3, 4))
    _, derivative = jax.jit(
        lambda x, d: jax.jvp(functools.partial(project_l1_ball, radius=radius), (x,), (d,))
    )(x, direction)
    x, direction = np.asarray(x, np.float64), np.asarray(direction, np.float64)
    small = 1e-7
    forward, backward = (sorted_projection(x + s * small * direction, radius) for s in (1, -1))
    np.testing.assert_allclose(derivative, (forward - backward) / (2 * small), atol=1e-5)


def test_forward_derivative_in_the_radius():
    x = jnp.array([3.0, -2.0, 0.1])
    _, derivative = jax.jvp(lambda r: project_l1_ball(x, r), (2.0,), (1.0,))
    np.testing.assert_allclose(derivative, [0.5, -0.5, 0], atol=1e-6)


@given(
    x=hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(-10, 10, width=16)),
    axis=st.sampled_from([-1, 0, (-2, -1), (0, 1, 2)]),
    size=st.sampled_from([1e-2, 1.0, 1e6]),
)
def test_rescaling_keeps_norm_and_direction(x, axis, size):
    # Away from the origin, where there is no direction: `euclidean_norm` is smoothed there.
    x = jnp.asarray(size * (x + np.sign(x + 0.5)))
    start = jax.random.normal(jax.random.key(4), x.shape)
    norm = euclidean_norm(start, axis)
    np.testing.assert_allclose(norm, np.sqrt((start**2).sum(axis, keepdims=True)), rtol=1e-5)
    moved = rescale_to_norm(x, norm, axis)
    np.testing.assert_allclose(np.sqrt((moved**2).sum(axis, keepdims=True)), norm, rtol=1e-3)
    again = rescale_to_norm(moved, norm, axis)
    np.testing.assert_allclose(again, moved, rtol=1e-3)
    assert (np.sign(moved) == np.sign(x)).all()


def test_the_norm_has_a_gradient_at_zero():
    gradient = jax.grad(lambda x: euclidean_norm(x, -1).sum())(jnp.zeros((2, 3)))
    np.testing.assert_array_equal(gradient, 0)
