"""What a forward operator is.

A new operator is one file: a subclass of `Operator` or `LinearOperator`, whose arrays are declared
by `array`, and a function that makes one.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.entries import some_of
from ilo_jax.pytree import Node

Shape = tuple[int, ...]
Measurement = Any


def array(rank: int) -> Mapping[str, Any]:
    """Metadata of a field that holds an array, of `rank` axes for one image: the operator of a
    batch may have a batch axis in front of it, one array for each image. What fields without it
    hold is the same for all images."""
    return {"rank": rank}


class Operator(Node):
    """A forward operator `y = A(x)` (equation 1 and Section 2.1): a pytree, differentiable in x.

    `x` is `[..., H, W, C]` float32, nominally in [-1, 1]; the measurement is an array or a
    pytree of arrays, each with the same batch axes `...` in front.

    All methods are those of one operator, which may measure many images. Where the arrays of an
    operator have a batch axis, so that each image has its own, `map_images` calls them.

    Attributes:
      image_shape: `(H, W, C)`.
    """

    image_shape: Shape = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> Measurement:
        """The noiseless measurement."""
        raise NotImplementedError

    def measure(self, key: jax.Array, x: jax.Array) -> Measurement:
        """A simulated measurement: `A(x)` and whatever noise the operator adds."""
        del key
        return self(x)

    def picture(self, y: Measurement) -> jax.Array:
        """The measurement as an image `[..., h, w, 1 or C]`, to look at."""
        return y

    def from_picture(self, y: jax.Array) -> Measurement:
        """The measurement of which an image file shows the picture `y`; see `restrict`."""
        return self.restrict(y)

    def restrict(self, y: Measurement) -> Measurement:
        """Takes from a measurement that was made elsewhere what this operator can produce."""
        return y

    def error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        """How far a predicted measurement of one image is from what was measured, over all entries,
        or those where `where` (as `hold_out` has it) is 1. The image that makes it least is a
        solver's result. The mean squared difference, but where the operator knows better: of noise
        that is not Gaussian, `2 noise_variance` times its negative log-likelihood, less what no
        image changes."""
        return self.squared_error(predicted, measured, where)

    def squared_error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        """The mean squared difference, as `error` without knowledge of noise."""
        return mean_where(jax.tree.map(lambda p, m: (p - m) ** 2, predicted, measured), where)

    def held_out_error(
        self, predicted: Measurement, measured: Measurement, held_out: Measurement
    ) -> jax.Array:
        """`error` on what `hold_out` gave, by which a reconstruction is judged that has not seen
        it."""
        return self.error(predicted, measured, held_out)

    def hold_out(self, key: jax.Array, fraction: float) -> Measurement:
        """Entries to judge a reconstruction by that has not seen them: 1 where held out, else 0,
        in arrays that broadcast to one image's measurement. Whole pixels of images, otherwise
        single entries; an operator whose entries imply each other holds those out together.

        Of each array at least one entry, and not all; none where it has fewer than two. It can be
        traced; `can_hold_out` says beforehand whether there is anything to hold out.

        Args:
          fraction: in (0, 1), of the entries.
        """
        leaves, treedef = jax.tree.flatten(self._measured)
        keys = jax.random.split(key, len(leaves))
        shapes = [(*y.shape[:-1], 1) if y.ndim > 2 else y.shape for y in leaves]
        return treedef.unflatten(
            [
                some_of(draw(jax.random.uniform, k, s), fraction)
                for k, s in zip(keys, shapes, strict=True)
            ]
        )

    @property
    def observed(self) -> Measurement | None:
        """1 at the entries that are measured, 0 where a measurement holds a 0 in their place, in
        arrays that broadcast to one image's measurement; None where all are measured."""
        return None

    @property
    def is_noisy(self) -> bool:
        """Whether `measure` adds noise."""
        return False

    @property
    def noise_is_known(self) -> bool:
        """Whether `error` and `noise_level` are of all noise that `measure` adds. Else they are of
        the last noise alone, and the level is a lower bound: noise that arises before something
        else is measured of it has no simple likelihood."""
        return True

    @property
    def noise_is_additive(self) -> bool:
        """Whether what `measure` adds is Gaussian noise, the same for every image and unclipped."""
        return False

    @property
    def noise_variance(self) -> jax.typing.ArrayLike:
        """Of the noise that `measure` adds to each entry, before any clipping; at mid-grey where it
        depends on the image."""
        return 0.0

    def noise_level(self, predicted: Measurement) -> jax.typing.ArrayLike:
        """What `error` is on average where `predicted` is the truth (Morozov's discrepancy)."""
        del predicted
        return self.noise_variance

    @property
    def measurement_shape(self) -> Any:
        """Shape of one image's measurement, a pytree of shapes if that is a pytree."""
        return jax.tree.map(lambda y: y.shape, self._measured)

    @property
    def _measured(self) -> Any:
        """Shapes and types of one image's measurement, a `ShapeDtypeStruct` for each array."""
        x = jax.ShapeDtypeStruct(self.image_shape, jnp.float32)
        return jax.eval_shape(lambda x: _of_first_image(self)(x), x)

    @property
    def measures_image(self) -> bool:
        """Whether a measurement is an image `[h, w, C]`, C 1 or 3."""
        shape = self.measurement_shape
        return isinstance(shape, tuple) and len(shape) == 3 and shape[-1] in (1, 3)

    @property
    def measures_k_space(self) -> bool:
        """Whether a measurement is a Fourier transform, zero frequency in the middle:
        `[..., H, W, C, 2]`, real and imaginary part."""
        return False

    def check_measurement(self, y: Measurement, batch: int | None = None) -> int:
        """Checks the shapes of a batch of measurements, `[B, ...]` in every array.

        Args:
          batch: `B`; None takes that of the first array.

        Returns:
          `B`.

        Raises:
          InputError: another pytree than a measurement, or an array of another shape, such as that
            of one image.
        """
        expected, found = jax.tree.structure(self._measured), jax.tree.structure(y)
        if found != expected:
            raise InputError(f"measurement: {found}; expected {expected}")
        shapes = [leaf.shape for leaf in jax.tree.leaves(self._measured)]
        for (path, leaf), shape in zip(jax.tree.leaves_with_path(y), shapes, strict=True):
            came = np.shape(leaf)
            if len(came) != len(shape) + 1 or came[1:] != shape or came[0] != (batch or came[0]):
                of_one = ", of one image" if came == shape else ""
                size = "B" if batch is None else batch
                wanted = f"({', '.join(map(str, (size, *shape)))}{'' if shape else ','})"
                raise InputError(
                    f"measurement{jax.tree_util.keystr(path)}: shape {came}{of_one}; "
                    f"expected {wanted}, a batch of images"
                )
            batch = came[0]
        assert batch is not None
        return batch


class LinearOperator(Operator):
    """An operator linear in `x`, hence with an adjoint."""

    def adjoint(self, y: Measurement) -> jax.Array:
        """`A^T y`: `<A x, y> = <x, A^T y>` for all `x`, `y`."""
        leaf, one = jax.tree.leaves(y)[0], jax.tree.leaves(self._measured)[0]
        batch = leaf.shape[: leaf.ndim - one.ndim]
        x = jax.ShapeDtypeStruct((*batch, *self.image_shape), jnp.float32)
        (result,) = jax.linear_transpose(self.__call__, x)(y)
        return result

    def back_projection(self, y: Measurement) -> jax.Array:
        """`A^T y`, scaled to [-1, 1] to look at."""
        return scale_to_one(self.adjoint(y))


def mean_where(losses: Measurement, where: Measurement | None) -> jax.Array:
    """Mean of all entries, or of those where `where` is 1."""
    total = losses if where is None else jax.tree.map(lambda w, s: w * s, where, losses)
    return sum_of(total) / count_where(losses, where)


def count_where(losses: Measurement, where: Measurement | None) -> jax.Array:
    """How many entries there are, or of them where `where` is 1."""
    if where is None:
        where = jax.tree.map(jnp.ones_like, losses)
    return sum_of(jax.tree.map(lambda w, s: jnp.broadcast_to(w, s.shape), where, losses))


def sum_of(y: Measurement) -> jax.Array:
    """Of all entries."""
    return jnp.asarray(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(y)))


def map_arrays(function: Callable[..., Any], *operators: Operator, where: str | None = None) -> Any:
    """`function(where, rank, *leaves)` of every leaf of operators of one structure, and of the
    operators inside them.

    `where` names the leaf, such as `Noisy.operator.mask`; `rank` is what its field declares by
    `array`, None without.
    """
    first, name = operators[0], where or type(operators[0]).__name__

    def of_field(field: dataclasses.Field) -> Any:
        def of_node(path: tuple, *nodes: Any) -> Any:
            here = f"{name}.{field.name}{jax.tree_util.keystr(path)}"
            if isinstance(nodes[0], Operator):
                return map_arrays(function, *nodes, where=here)
            return function(here, field.metadata.get("rank"), *nodes)

        values = [getattr(operator, field.name) for operator in operators]
        return jax.tree.map_with_path(of_node, *values, is_leaf=lambda n: isinstance(n, Operator))

    fields = [f for f in dataclasses.fields(first) if f.metadata.get("pytree_node", True)]
    return first.replace(**{field.name: of_field(field) for field in fields})


def _of_first_image(operator: Operator) -> Operator:
    """The operator itself, or the first image's of a batch's."""
    return map_arrays(
        lambda _, rank, leaf: leaf if rank is None or np.ndim(leaf) == rank else leaf[0], operator
    )


def align(a: jax.Array, x: jax.Array) -> jax.Array:
    """`a` with axes of size one in front, as many axes as `x` has: to broadcast over its batch."""
    return jnp.expand_dims(a, range(x.ndim - a.ndim))


def scale_to_one(x: jax.Array) -> jax.Array:
    """Images `[..., H, W, C]`, each divided by its largest magnitude."""
    largest = jnp.max(jnp.abs(x), axis=(-3, -2, -1), keepdims=True)
    return x / jnp.where(largest > 0, largest, 1)


def draw(sample: Callable[..., jax.Array], key: jax.Array, shape: Shape) -> jax.Array:
    """`sample(key, shape)` of `jax.random`, float32. Drawn flat: the numbers are the same, and the
    program compiles in a fraction of the time."""
    return sample(key, (math.prod(shape),), jnp.float32).reshape(shape)


def random_signs(key: jax.Array, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
    """+1 or -1; the same whether or not JAX has 64 bits enabled, unlike `jax.random.rademacher`."""
    return 2 * jax.random.bernoulli(key, jnp.float32(0.5), shape).astype(dtype) - 1
