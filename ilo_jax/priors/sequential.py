"""A generator as a chain of plain functions: the way to bring your own (docs/priors.md)."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.projections import euclidean_norm, rescale_to_norm
from ilo_jax.priors.base import NO_FACTS, Facts, Inputs, Prior, Regularizer


def _squared_norm(prior: Prior, z: jax.Array, free: Any) -> jax.Array:
    """`|z|^2`, Bora et al.'s (2017): the negative log of the latents' density, but for a half."""
    del prior, free
    return jnp.sum(z**2)


class Sequential(Prior):
    """`G(z) = f_n(... f_2(f_1(z)))`, `z` standard normal, in one vector.

    A DCGAN, the decoder of a VAE, a multi-layer perceptron: each `f_i` is a pure function
    `(params, x) -> x` of one image, without a batch axis; the last one returns `[H, W, C]` in
    [-1, 1].

        prior = Sequential.create((dense, upsample, to_image), params, latent=20)

    Attributes:
      functions: `f_1`, `f_2`, ...; static.
      params: the parameters of each.
      latent: length of `z`.
      about: radii by cut, notice, licence.
    """

    functions: tuple[Callable[[Any, jax.Array], jax.Array], ...] = flax.struct.field(
        pytree_node=False
    )
    params: tuple[Any, ...]
    latent: int = flax.struct.field(pytree_node=False)
    shape: tuple[int, int, int] = flax.struct.field(pytree_node=False)
    about: Facts = flax.struct.field(pytree_node=False, default=NO_FACTS)

    regularizers: ClassVar[Mapping[str, Regularizer]] = {"squared_norm": _squared_norm}

    @classmethod
    def create(
        cls,
        functions: tuple[Callable[[Any, jax.Array], jax.Array], ...],
        params: tuple[Any, ...],
        latent: int,
        about: Facts = NO_FACTS,
    ) -> "Sequential":
        """Tries the functions on shapes.

        Raises:
          InputError: not as many parameters as functions, or no image at the end.
        """
        if len(functions) != len(params) or not functions:
            raise InputError(
                f"Sequential: {len(functions)} functions, {len(params)} params; "
                "expected one of each a layer"
            )

        def whole(params: Any, x: jax.Array) -> jax.Array:
            for function, p in zip(functions, params, strict=True):
                x = function(p, x)
            return x

        image = jax.eval_shape(whole, params, jax.ShapeDtypeStruct((latent,), jnp.float32))
        if len(image.shape) != 3 or image.dtype != jnp.float32:
            raise InputError(
                f"Sequential: the last function returns {image.dtype}{list(image.shape)}; "
                "expected an image, float32[H, W, C]"
            )
        return cls(functions, params, latent, image.shape, about)

    @property
    def facts(self) -> Facts:
        return self.about

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.shape

    @property
    def depth(self) -> int:
        return len(self.functions)

    def starts(self) -> Mapping[str, Callable[[jax.Array], Inputs]]:
        """`random`, or the `mean` of all latents."""
        return {
            "random": lambda key: jax.random.normal(key, (self.latent,), jnp.float32),
            "mean": lambda _: jnp.zeros(self.latent, jnp.float32),
        }

    def constraints(self) -> Mapping[str, Any]:
        """`none`, or the `sphere` on which the latent began."""
        return {"none": np.float32(0), "sphere": np.float32(1)}

    def first(self, inputs: Inputs) -> jax.Array:
        return inputs

    def layers(self, inputs: Inputs, state: jax.Array, start: int, stop: int) -> jax.Array:
        del inputs
        for function, params in zip(
            self.functions[start:stop], self.params[start:stop], strict=True
        ):
            state = function(params, state)
        return state

    def code(self, cut: int, state: jax.Array) -> jax.Array:
        del cut
        return state

    def with_code(self, cut: int, state: jax.Array, code: jax.Array) -> jax.Array:
        del cut, state
        return code

    def free(
        self, start: int, stop: int, index: int | None = 0, space: str | None = None
    ) -> np.ndarray:
        """The latent is read by layer 0 alone."""
        del index
        self.check_space(space)
        return np.asarray(start == 0 and stop > 0)

    def keep(self, inputs: Inputs, center: Inputs, constraint: Any) -> Inputs:
        on_sphere = rescale_to_norm(inputs, euclidean_norm(center, 0), 0)
        return jnp.where(constraint > 0, on_sphere, inputs)
