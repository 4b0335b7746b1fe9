"""What comes in is checked once, at the door, and told in one line."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import Measurement, Operator
from ilo_jax.priors import Prior
from ilo_jax.solve.method import Method
from ilo_jax.solve.variables import Variables, zeros


def image_keys(key: jax.Array, images: int) -> jax.Array:
    """`[images]` keys, of one key or of as many, typed ones or those of `jax.random.PRNGKey`.

    Raises:
      InputError: no key, or another number of them.
    """
    if not isinstance(key, jax.Array):
        raise InputError(f"key of type {type(key).__name__}; expected jax.random.key(seed)")
    if key.dtype == jnp.uint32 and key.ndim in (1, 2) and key.shape[-1] == 2:
        key = jax.random.wrap_key_data(key)
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.shape not in ((), (images,)):
        raise InputError(
            f"key of {key.dtype}{list(key.shape)}; expected one key, or {images}, one an image"
        )
    return jax.random.split(key, images) if key.ndim == 0 else key


def check_problem(prior: Prior, operator: Operator, measurement: Measurement) -> int:
    """The number of images that were measured.

    Raises:
      InputError: an operator for other images, or anything but a batch of its measurements.
    """
    if operator.image_shape != prior.image_shape:
        raise InputError(
            f"operator for images of {operator.image_shape}; expected {prior.image_shape}, "
            "the generator's"
        )
    leaves = jax.tree.leaves(measurement)
    if not leaves or not all(isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves):
        raise InputError("measurement: expected arrays, with the images along their first axis")
    for leaf in leaves:
        if leaf.dtype in (np.float64, np.complex128):
            raise InputError(f"measurement of {leaf.dtype}; expected 32 bits a number")
    return operator.check_measurement(measurement)


def check_images(what: str, images: jax.Array, shape: Sequence[int]) -> None:
    """Raises `InputError` unless these are float32 of this shape."""
    try:
        chex.assert_shape(images, tuple(shape))
        chex.assert_type(images, jnp.float32)
    except AssertionError as error:
        raise InputError(
            f"{what} {images.dtype}{list(images.shape)}; expected float32{list(shape)}"
        ) from error


def check_variables(what: str, x: Variables, prior: Prior, batch: int) -> None:
    """Raises `InputError` unless these are variables of a batch, for this generator."""

    def one(key: jax.Array) -> Variables:
        return Variables(prior.starts()["random"](key), zeros(prior, tuple(x.v)))

    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), batch))
    expected = jax.eval_shape(jax.vmap(one), keys)
    try:
        chex.assert_trees_all_equal_shapes_and_dtypes(x, expected)
    except AssertionError as error:
        raise InputError(
            f"{what}: of another generator or another number of images; expected variables of "
            f"{batch} images, leaves [{batch}, ...]"
        ) from error


def check_method(method: Method, batch: int) -> None:
    """Raises `InputError` for a method whose numbers are those of another number of images."""
    if method.by_image and method.steps.shape[0] != batch:
        raise InputError(f"method of {method.steps.shape[0]} images; expected {batch}")
