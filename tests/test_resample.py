"""Convolutions against their plain definitions, values and gradients, on random shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from ilo_jax.stylegan2 import resample, winograd


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
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )


def plain_upsample_conv(x, kernel):
    """Convolution of the image spread over zeros, then one of each channel with the FIR filter."""
    spread = lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        (1, 1),
        ((3, 3), (3, 3)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )
    return plain_fir(spread)


def plain_upsample(x):
    spread = lax.pad(x, 0.0, ((0, 0, 0), (2, 2, 1), (2, 2, 1), (0, 0, 0)))
    return plain_fir(spread)


def plain_fir(t):
    taps = jnp.array([1.0, 3.0, 3.0, 1.0]) / 4
    channels = t.shape[-1]
    return lax.conv_general_dilated(
        t,
        jnp.tile(jnp.outer(taps, taps)[:, :, None, None], (1, 1, 1, channels)),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
        precision="highest",
    )


def value_and_input_gradient(f, x, seed):
    @jax.jit
    def both(x):
        y, vjp = jax.vjp(f, x)
        return y, vjp(jax.random.normal(jax.random.key(seed), y.shape))[0]

    return both(x)


@pytest.mark.parametrize(("ours", "prepare"), FORMS)
@settings(max_examples=3, deadline=None)
@given(
    height=sizes, width=sizes, inputs=sizes, outputs=sizes, batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_conv_equals_its_definition(ours, prepare, height, width, inputs, outputs, batch, seed):
    k_x, k_kernel = jax.random.split(jax.random.key(seed))
    x = jax.random.normal(k_x, (batch, height, width, inputs))
    kernel = jax.random.normal(k_kernel, (3, 3, inputs, outputs))
    kernels = prepare(kernel)
    plain = plain_conv if ours is resample.conv else plain_upsample_conv
    got = value_and_input_gradient(lambda x: ours(x, kernels), x, seed)
    expected = value_and_input_gradient(lambda x: plain(x, kernel), x, seed)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@settings(max_examples=3, deadline=None)
@given(height=sizes, width=sizes, channels=sizes, seed=st.integers(0, 99))
def test_upsample_equals_its_definition(height, width, channels, seed):
    x = jax.random.normal(jax.random.key(seed), (2, height, width, channels))
    got = value_and_input_gradient(resample.upsample, x, seed)
    expected = value_and_input_gradient(plain_upsample, x, seed)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(("ours", "prepare"), FORMS)
def test_any_batch_axes(ours, prepare):
    x = jax.random.normal(jax.random.key(0), (2, 3, 8, 8, 4))
    kernels = prepare(jax.random.normal(jax.random.key(1), (3, 3, 4, 5)))
    y, dx = value_and_input_gradient(lambda x: ours(x, kernels), x, 0)
    one, one_dx = value_and_input_gradient(lambda x: ours(x, kernels), x[1, 2], 0)
    assert dx.shape == x.shape
    assert one_dx.shape == x[1, 2].shape
    np.testing.assert_allclose(y[1, 2], one, atol=5e-5)
    np.testing.assert_allclose(jax.vmap(lambda x: ours(x, kernels))(x), y, atol=5e-5)


def test_wide_layers_take_the_winograd_form_and_stay_exact():
    x = jax.random.normal(jax.random.key(0), (1, 16, 16, 128))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 128, 128)) / (9 * 128) ** 0.5
    kernels = resample.prepare_conv(kernel, resolution=16)
    assert kernels.winograd == (jax.default_backend() == "cpu")
    np.testing.assert_allclose(resample.conv(x, kernels), plain_conv(x, kernel), atol=2e-5)
