"""What a forward operator is, and what a task of the command line says about one.

A new operator is one file: a subclass of `Operator` or `LinearOperator` and its `TASK`, with
options for the command line and examples for the tests; and one line in `tasks.py`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError

Shape = tuple[int, ...]
Measurement = Any


class Operator(flax.struct.PyTreeNode):
    """A forward operator `y = A(x)` (equation 1 and Section 2.1): a pytree, differentiable in x.

    `x` is `[..., H, W, C]` float32, nominally in [-1, 1]; the measurement is an array or a
    pytree of arrays, each with the same batch axes `...` in front.

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

    def restrict(self, y: Measurement) -> Measurement:
        """Takes from a measurement that was made elsewhere what this operator can produce."""
        return y

    def error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        """How far a predicted measurement of one image is from what was measured: the mean squared
        difference over all entries, or those where `where` (as `hold_out` has it) is 1. The image
        that makes it least is a solver's result."""
        squares = jax.tree.map(lambda p, m: (p - m) ** 2, predicted, measured)
        if where is None:
            where = jax.tree.map(jnp.ones_like, squares)
        where = jax.tree.map(lambda w, s: jnp.broadcast_to(w, s.shape), where, squares)
        total = jax.tree.map(lambda w, s: jnp.sum(w * s), where, squares)
        count = jax.tree.map(jnp.sum, where)
        return jnp.asarray(sum(jax.tree.leaves(total))) / sum(jax.tree.leaves(count))

    def hold_out(self, key: jax.Array, fraction: float) -> Measurement:
        """Entries to judge a reconstruction by that has not seen them: 1 where held out, else 0,
        in arrays that broadcast to one image's measurement. Whole pixels of images, otherwise
        single entries; an operator whose entries imply each other holds those out together.

        Args:
          fraction: in (0, 1), of the entries.

        Raises:
          InputError: too few entries.
        """
        leaves, treedef = jax.tree.flatten(self._measured)
        keys = jax.random.split(key, len(leaves))
        shapes = [(*y.shape[:-1], 1) if y.ndim > 2 else y.shape for y in leaves]
        return treedef.unflatten(
            [
                least_part(jax.random.uniform(k, s), jnp.ones(s), fraction)
                for k, s in zip(keys, shapes, strict=True)
            ]
        )

    @property
    def noise_variance(self) -> jax.typing.ArrayLike:
        """Of the noise that `measure` adds to each entry, before any clipping."""
        return 0.0

    @property
    def measurement_shape(self) -> Any:
        """Shape of one image's measurement, a pytree of shapes if that is a pytree."""
        return jax.tree.map(lambda y: y.shape, self._measured)

    @property
    def _measured(self) -> Any:
        """Shapes and types of one image's measurement, a `ShapeDtypeStruct` for each array."""
        x = jax.ShapeDtypeStruct(self.image_shape, jnp.float32)
        return jax.eval_shape(self.__call__, x)

    @property
    def measures_image(self) -> bool:
        """Whether a measurement is an image `[h, w, C]`, C 1 or 3."""
        shape = self.measurement_shape
        return isinstance(shape, tuple) and len(shape) == 3 and shape[-1] in (1, 3)


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


def least_part(scores: jax.Array, available: jax.Array, fraction: float) -> jax.Array:
    """1 at the given fraction of the entries available, those of least score (and at ties), else
    0; at least one, and not all.

    Raises:
      InputError: fewer than two entries are available.
    """
    entries = int(jnp.sum(available > 0))
    if entries < 2:
        raise InputError(f"{entries} entries measured: expected two or more, to hold some out")
    count = min(max(round(fraction * entries), 1), entries - 1)
    scores = jnp.where(available > 0, scores, jnp.inf)
    return (scores <= jnp.sort(scores, axis=None)[count - 1]).astype(jnp.float32)


def opposite(scores: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """At every frequency `k` of a Fourier transform, zero first, what was at `-k`."""
    return jnp.roll(jnp.flip(scores, axes), 1, axes)


def scale_to_one(x: jax.Array) -> jax.Array:
    """Images `[..., H, W, C]`, each divided by its largest magnitude."""
    largest = jnp.max(jnp.abs(x), axis=(-3, -2, -1), keepdims=True)
    return x / jnp.where(largest > 0, largest, 1)


@dataclasses.dataclass(frozen=True)
class Option:
    """A command-line option of a task.

    Attributes:
      name: `--name`, and the keyword of the task's `build`.
      type: `float`, `int`, or what a text names, such as "mask": see `solve/options.py`.
      help: one line.
      default: None if it must be given.
    """

    name: str
    type: type | str
    help: str
    default: Any = None


Form = tuple[Option, ...]
"""Options that go together."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A row of the table: how a kind of measurement is named, asked for, and built.

    Attributes:
      name: on the command line.
      help: one line.
      build: `(key, image_shape, **options) -> Operator`, with all options of one of the forms;
        raises `InputError` for a bad value.
      forms: ways to ask for it, of which a user takes one. Where there are several, each begins
        with an option of its own that has no default.
      examples: options that the tests run, sizes up to 16x16x3.
      demo: options of the demo; None if it is not in the demo.
      sna: whether Stochastic Noise Addition (Section 4.2) is used.
    """

    name: str
    help: str
    build: Callable[..., Operator]
    forms: tuple[Form, ...] = ((),)
    examples: tuple[Mapping[str, Any], ...] = ({},)
    demo: Mapping[str, Any] | None = None
    sna: bool = False

    @property
    def options(self) -> tuple[Option, ...]:
        """Those of all forms."""
        return tuple(option for form in self.forms for option in form)

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of the form that was taken, with their defaults.

        Raises:
          InputError: what is given is none of the forms.
        """
        for form in self.forms:
            required = {option.name for option in form if option.default is None}
            if required <= given.keys() <= {option.name for option in form}:
                return {option.name: given.get(option.name, option.default) for option in form}
        forms = " | ".join(
            " ".join(o.name if o.default is None else f"[{o.name}]" for o in form) or "no options"
            for form in self.forms
        )
        raise InputError(f"{' '.join([self.name, *given])}: expected {forms}")
