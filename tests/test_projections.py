import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small import normal

from ilo_jax.ops import euclidean_norm, project_l1_ball, rescale_to_norm

many_programs = True

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


def test_passes_too_many_change_nothing(monkeypatch):
    """As on a GPU, where eight are taken before their host looks."""
    x = normal(3, 50, 7)
    sizes = (0.0, 0.1, 10.0, 1e4)
    one = [np.asarray(project(x, radius)) for radius in sizes]
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args))
    for radius, expected in zip(sizes, one, strict=True):
        np.testing.assert_array_equal(jax.jit(lambda *a: project_l1_ball(*a))(x, radius), expected)


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
    x = normal(0, 64, 64, 8)
    assert not np.any(project(x, 0.0))
    np.testing.assert_array_equal(project(x, np.inf), x)
    assert not np.any(project(np.full((3, 4), 0.1, np.float32), 0.0))


def test_l1_projection_of_a_large_map_is_exact():
    x = normal(0, 128, 128, 32) ** 3
    for radius in (1.0, 1e3, 1e5, 5e5):
        found = np.asarray(project(x, radius), np.float64)
        np.testing.assert_allclose(found, sorted_projection(x, radius), atol=2e-5)
        assert np.abs(found).sum() <= radius * (1 + 1e-5)


def test_l1_projection_maps_over_images_and_radii():
    x, limits = normal(1, 5, 3, 4), np.array([0, 0.5, 3, 100, np.inf], np.float32)
    found = np.asarray(jax.jit(jax.vmap(project_l1_ball))(x, limits))
    for one, image, radius in zip(found, x, limits, strict=True):
        np.testing.assert_allclose(one, project(image, radius), atol=1e-7)


@jax.jit
def derivatives(x, radius, dx, dradius, weight):
    """The derivative in a direction, and the gradient of the weighted sum, by x and radius."""
    return (
        jax.jvp(project_l1_ball, (x, radius), (dx, dradius))[1],
        jax.vjp(project_l1_ball, x, radius)[1](weight),
    )


steps = hnp.arrays(np.float32, (3, 4), elements=st.floats(-2, 2, width=16))


@settings(max_examples=200)
@given(
    # Sizes all different, so that few are near the threshold, where the derivative jumps.
    order=st.permutations(range(12)),
    signs=hnp.arrays(np.int8, (3, 4), elements=st.sampled_from([-1, 0, 1])),
    radius=st.floats(0.125, 40, width=16) | st.just(math.inf),
    dx=steps,
    dradius=st.floats(-2, 2, width=16),
    weight=steps,
)
def test_derivatives_equal_finite_differences(order, signs, radius, dx, dradius, weight):
    x = np.asarray(signs * (np.array(order).reshape(3, 4) + 1) / 4, np.float32)
    small = 1e-6
    projected = sorted_projection(x, radius)
    level = np.abs(x).max() - np.abs(projected).max()  # the threshold
    assume(abs(np.abs(x).sum() - radius) > 1e-3)
    assume(np.abs(np.abs(x)[x != 0] - level).min(initial=1) > 1e-3)
    forward, backward = (
        sorted_projection(x + s * small * dx.astype(float), radius + s * small * dradius)
        for s in (1, -1)
    )
    expected = (forward - backward) / (2 * small)
    tangent, (by_x, by_radius) = jax.device_get(
        derivatives(x, np.float32(radius), dx, np.float32(dradius), weight)
    )
    np.testing.assert_allclose(tangent, expected, atol=1e-4)
    assert np.sum(by_x * dx) + by_radius * dradius == pytest.approx(
        np.sum(weight * expected), abs=1e-3
    )


def test_derivatives_at_the_edges():
    x = np.array([3, -2, 0.1], np.float32)
    slope = jax.jit(jax.grad(lambda x, radius: project_l1_ball(x, radius)[0], argnums=(0, 1)))
    np.testing.assert_array_equal(slope(x, jnp.inf)[0], [1, 0, 0])
    assert slope(x, jnp.inf)[1] == 0
    # A ball of radius 0 has no inside.
    for at in (x, 0 * x):
        np.testing.assert_array_equal(slope(at, 0.0)[0], 0)
    np.testing.assert_array_equal(slope(0 * x, 1.0)[0], [1, 0, 0])
    # The support and its signs are constant: no second derivative.
    hessian = jax.jit(jax.hessian(lambda x: project_l1_ball(x, 2.0).sum()))
    np.testing.assert_array_equal(hessian(x), 0)


def test_gradients_map_over_images_and_radii():
    x, limits = normal(5, 4, 6), np.array([0, 0.5, 100, np.inf], np.float32)

    def loss(x, radius):
        return jnp.sum(project_l1_ball(x, radius) ** 2)

    together = jax.device_get(jax.jit(jax.vmap(jax.grad(loss, argnums=(0, 1))))(x, limits))
    one_image = jax.jit(jax.grad(loss, argnums=(0, 1)))
    for i, radius in enumerate(limits):
        one = one_image(x[i], radius)
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-6), together, one
        )


def test_projections_are_of_one_type_and_rank():
    x = jnp.ones((2, 3), jnp.float32)
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        for radius in (1.0, 1, jnp.float32(1), np.float64(1), jnp.float64(1)):
            found = jax.eval_shape(lambda x, radius=radius: project_l1_ball(x, radius), x)
            assert found.dtype == jnp.float32
        gradient = jax.grad(lambda x, radius: project_l1_ball(x, radius).sum(), argnums=(0, 1))
        slopes = jax.eval_shape(gradient, x, jnp.float32(1))
        assert [g.dtype for g in slopes] == [jnp.float32, jnp.float32]
        found = jax.eval_shape(lambda x: rescale_to_norm(x, euclidean_norm(x, -1), -1), x)
        assert found.dtype == jnp.float32


@functools.partial(jax.jit, static_argnums=2)
def rescaled(x, start, axis):
    """The norm of `start`, `x` with it, and that once more."""
    norm = euclidean_norm(start, axis)
    moved = rescale_to_norm(x, norm, axis)
    return norm, moved, rescale_to_norm(moved, norm, axis)


@given(
    x=hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(-10, 10, width=16)),
    axis=st.sampled_from([-1, 0, (-2, -1), (0, 1, 2)]),
    size=st.sampled_from([1e-2, 1.0, 1e6]),
)
def test_rescaling_keeps_norm_and_direction(x, axis, size):
    # Away from the origin, where there is no direction: `euclidean_norm` is smoothed there.
    x = np.float32(size) * (x + np.sign(x + np.float32(0.5)))
    start = normal(4, *x.shape)
    norm, moved, again = jax.device_get(rescaled(x, start, axis))
    np.testing.assert_allclose(norm, np.sqrt((start**2).sum(axis, keepdims=True)), rtol=1e-5)
    np.testing.assert_allclose(np.sqrt((moved**2).sum(axis, keepdims=True)), norm, rtol=1e-3)
    np.testing.assert_allclose(again, moved, rtol=1e-3)
    assert (np.sign(moved) == np.sign(x)).all()


def test_the_norm_has_a_gradient_at_zero():
    slope = jax.jit(jax.grad(lambda x: euclidean_norm(x, -1).sum()))
    np.testing.assert_array_equal(slope(np.zeros((2, 3), np.float32)), 0)
