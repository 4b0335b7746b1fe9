"""What an image shows, by a classifier (Section 4.3, figure 5)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Operator, Shape


class Classifier(Operator):
    """`A(x)`: the logits of a classifier. A measurement says which class it is, one-hot; one is
    met best by the image that maximizes `P(class | x)`.

    Attributes:
      network: images `[..., H, W, C]` in [-1, 1] -> logits `[..., K]`; a pytree.
    """

    network: Callable[[jax.Array], jax.Array]

    @classmethod
    def create(cls, image_shape: Shape, network: Callable[[jax.Array], jax.Array]) -> "Classifier":
        """Tries the network on shapes.

        Raises:
          InputError: it fails, or returns no logits `[..., K]`.
        """
        try:
            image = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
            logits = jax.eval_shape(network, image)
        except Exception as error:  # whatever the user's function raises
            reason = " ".join(str(error).split())
            raise InputError(
                f"classifier: fails on images {image_shape} ({type(error).__name__}: {reason}); "
                "expected JAX operations on [..., H, W, C]"
            ) from error
        shape = getattr(logits, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] != 2 or shape[1] < 2:
            found = "no array" if shape is None else str(shape)
            raise InputError(
                f"classifier: returns {found} for two images; expected logits (2, classes)"
            )
        return cls(image_shape, network)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.network(x)

    @property
    def classes(self) -> int:
        """How many there are."""
        return self.measurement_shape[0]

    def one_hot(self, label: int) -> jax.Array:
        """The measurement `[K]` 'it shows class `label`'.

        Raises:
          InputError: there is no such class.
        """
        if not 0 <= label < self.classes:
            raise InputError(f"class {label}: expected 0 to {self.classes - 1}")
        return jax.nn.one_hot(label, self.classes, dtype=jnp.float32)

    def measure(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """The class that the image most likely shows, one-hot."""
        del key
        return jax.nn.one_hot(jnp.argmax(self(x), -1), self.classes, dtype=jnp.float32)

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        """None: a class is one thing."""
        del key, fraction
        return jnp.zeros(self.measurement_shape, jnp.float32)

    def picture(self, y: jax.Array) -> jax.Array:
        """A strip of a pixel for each class, the measured one white: `[..., 1, K, 1]`."""
        return 2 * y[..., None, :, None] - 1

    def error(
        self, predicted: jax.Array, measured: jax.Array, where: jax.Array | None = None
    ) -> jax.Array:
        """`-log P(class | x)`; a class has no entries to choose from with `where`."""
        assert where is None
        return optax.softmax_cross_entropy(predicted, measured)
