"""Convolutions against their plain definitions: values and derivatives, on random shapes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ilo_jax.stylegan2 import resample, winograd

many_programs = True


def prepare_small_conv(kernel):
    return resample.prepare_conv(kernel, resolution=8)


def prepare_winograd_conv(kernel):
    both = kernel, jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    forward, adjoint = map(winograd.prepare, both)
    return resample.ConvKernels((forward,), (adjoint,), winograd=True)


FORMS = [
    (resample.conv, prepare_small_conv),
    (resample.conv, prepare_winograd_conv),
    (resample.upsample_conv, resample.prepare_phases),
    (resample.upsample_conv, resample.prepare_whole),
]
sizes = st.sampled_from([1, 2, 5, 8])


def plain_conv(x, kernel):
    return correlate(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), kernel)


def plain_upsample_conv(x, kernel):
    """Convolution of the image spread over zeros, then one of each channel with the FIR filter."""
    return plain_fir(correlate(spread(x, edge=3), kernel[::-1, ::-1]))


def plain_upsample(x):
    return plain_fir(spread(x, edge=2))


def spread(x, edge):
    """Pixels two apart, with zeros between and around."""
    n, h, w, channels = x.shape
    y = np.zeros((n, 2 * h - 1 + 2 * edge, 2 * w - 1 + 2 * edge, channels))
    y[:, edge:-edge:2, edge:-edge:2] = x
    return y


def plain_fir(t):
    taps = np.array([1.0, 3.0, 3.0, 1.0]) / 4
    return correlate(t, np.multiply.outer(np.outer(taps, taps), np.eye(t.shape[-1])))


def correlate(x, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    return np.einsum("nhwiab,abio->nhwo", windows, kernel, optimize=True)


def transpose(linear, y, shape):
    """The transpose of a map of images of this shape, by its matrix."""
    size = np.prod(shape)
    matrix = linear(np.eye(size).reshape(size, *shape)).reshape(size, -1)
    return (y.reshape(len(y), -1) @ matrix.T).reshape(-1, *shape)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@functools.partial(jax.jit, static_argnums=0)
def results(ours, x, kernels, dx):
    """Of `f(x) = sum(sin(ours(x)))`: y, the tangent of y, f's gradient and the Hessian times `dx`,
    forward over reverse and reverse over reverse."""

    def gradient(x):
        return jax.grad(lambda x: jnp.sum(jnp.sin(ours(x, kernels))))(x)

    y, dy = jax.jvp(lambda x: ours(x, kernels), (x,), (dx,))
    df, forward = jax.jvp(gradient, (x,), (dx,))
    return y, dy, df, forward, jax.vjp(gradient, x)[1](dx)[0]


@pytest.mark.parametrize(("ours", "prepare"), FORMS)
@settings(max_examples=3, deadline=None)
@given(
    height=sizes, width=sizes, inputs=sizes, outputs=sizes, batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_conv_equals_its_definition(ours, prepare, height, width, inputs, outputs, batch, seed):
    x, dx = normal(seed, 2, batch, height, width, inputs)
    kernel = normal(seed + 1, 3, 3, inputs, outputs) / (3 * inputs**0.5)
    plain = functools.partial(
        plain_conv if ours is resample.conv else plain_upsample_conv, kernel=kernel
    )
    adjoint = functools.partial(transpose, plain, shape=x.shape[1:])
    y, dy = plain(x), plain(dx)
    hessian = adjoint(-np.sin(y) * dy)
    got = results(ours, x, prepare(kernel), dx)
    for a, b in zip(got, (y, dy, adjoint(np.cos(y)), hessian, hessian), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@settings(max_examples=3, deadline=None)
@given(height=sizes, width=sizes, channels=sizes, seed=st.integers(0, 99))
def test_upsample_equals_its_definition(height, width, channels, seed):
    x, _ = normal(seed, 2, 2, height, width, channels)
    dy = normal(seed + 1, 2, 2 * height, 2 * width, channels)

    @jax.jit
    def both(x):
        y, vjp = jax.vjp(resample.upsample, x)
        return y, vjp(dy)[0]

    y, dx = both(x)
    np.testing.assert_allclose(y, plain_upsample(x), atol=1e-5)
    np.testing.assert_allclose(dx, transpose(plain_upsample, dy, x.shape[1:]), atol=1e-5)


@pytest.mark.parametrize(("ours", "prepare"), FORMS)
def test_any_batch_axes_of_images_and_of_kernels(ours, prepare):
    x, kernel = normal(0, 2, 3, 8, 6, 4), normal(1, 2, 3, 3, 4, 5) / 6
    plain = plain_conv if ours is resample.conv else plain_upsample_conv

    def value_and_gradient(f):
        y, vjp = jax.vjp(f, x)
        return y, vjp(y)[0]

    @jax.jit
    def run(x, kernel):
        one, two = prepare(kernel[0]), jax.vmap(prepare)(kernel)
        over_images = jax.vmap(jax.vmap(ours, (0, None)), (0, None))
        return (
            value_and_gradient(lambda x: ours(x, one)),
            value_and_gradient(lambda x: over_images(x, one)),
            value_and_gradient(lambda x: jax.vmap(ours)(x, two)),
            value_and_gradient(lambda x: jax.vmap(jax.vmap(ours), (1, None), 1)(x, two)),
        )

    for i, (y, dx) in enumerate(run(x, kernel)):
        assert dx.shape == x.shape
        kernels = (kernel[0], kernel[0] if i < 2 else kernel[1])
        for batch, k in enumerate(kernels):
            linear = functools.partial(plain, kernel=k)
            np.testing.assert_allclose(y[batch], linear(x[batch]), atol=5e-5)
            expected = transpose(linear, linear(x[batch]), x.shape[2:])
            np.testing.assert_allclose(dx[batch], expected, atol=5e-4)


@pytest.mark.parametrize(("ours", "prepare"), FORMS)
def test_derivatives_with_respect_to_kernels_are_refused(ours, prepare):
    x, kernels = normal(0, 2, 8, 8, 4), prepare(jnp.asarray(normal(1, 3, 3, 4, 5)))
    for mode in (jax.jacfwd, jax.jacrev):
        with pytest.raises(TypeError, match="weights of convolutions are frozen"):
            jax.eval_shape(mode(jax.jit(ours), argnums=1), x, kernels)


def test_wide_layers_take_the_winograd_form_and_stay_exact():
    x, kernel = normal(0, 1, 16, 16, 128), normal(1, 3, 3, 128, 128) / (9 * 128) ** 0.5
    kernels = resample.prepare_conv(jnp.asarray(kernel), resolution=16)
    assert kernels.winograd == (jax.default_backend() == "cpu")
    y = resample.conv(jnp.asarray(x), kernels)
    np.testing.assert_allclose(y, plain_conv(x, kernel), atol=2e-5)
