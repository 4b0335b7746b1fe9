"""Noise on what an operator measures: what it is, and how likely a measurement is under it.

A new kind is one file: a subclass of `Noise` with `add`, `losses` and `levels` of an array, and a
function that makes one.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

from ilo_jax.ops.base import Measurement, Operator, align, mean_where

AnyNoise = TypeVar("AnyNoise", bound="Noise")

_INSIDE = 2**31
"""Folded into the key of noise that is inside of other noise."""


class Noise(Operator):
    """`noise(A(x))`, of the entries that `A` measures.

    Attributes:
      operator: `A`.
    """

    operator: Operator

    def add(self, key: jax.Array, y: jax.Array) -> jax.Array:
        """Of an array `y` of the measurement, what is measured in its place."""
        raise NotImplementedError

    def losses(self, predicted: jax.Array, measured: jax.Array) -> jax.Array:
        """Whose mean over the entries is `error`, convex in `predicted` and finite: of the array's
        entries, or of something that broadcasts to them."""
        raise NotImplementedError

    def levels(self, predicted: jax.Array) -> jax.Array:
        """What `losses` are on average where `predicted` is the truth."""
        raise NotImplementedError

    def levels_behind(self, predicted: jax.Array, observed: jax.Array) -> jax.Array:
        """`levels` at the pixels that are 1 in `observed`, `[h, w, 1]`; others are not known."""
        del observed
        return self.levels(predicted)

    def expected(self, y: jax.Array) -> jax.Array:
        """What `add` gives on average: what is measured next of a noisy image sees that."""
        return y

    def log_black(self, predicted: jax.Array) -> jax.Array:
        """Of each entry, the logarithm of the probability that black (-1) is measured."""
        raise NotImplementedError

    def rounded(self: AnyNoise, step: jax.typing.ArrayLike, clip: bool = True) -> AnyNoise:
        """With rounding behind it, to multiples of `step`, and clipping to [-1, 1], both of which
        files do: likelihood and level are of all."""
        raise NotImplementedError

    @property
    def noise_variance(self) -> jax.Array:
        raise NotImplementedError

    @property
    def is_unknown(self) -> bool:
        """Whether it is to be estimated (`known`) before anything else can be done."""
        return isinstance(self.operator, Noise) and self.operator.is_unknown

    def known(self, y: Measurement) -> "Noise":
        """With what is unknown estimated from one measurement, outside of `jax.jit`."""
        inner = self.operator
        return self.replace(operator=inner.known(y)) if isinstance(inner, Noise) else self

    @property
    def signal(self) -> Operator:
        """Without any noise."""
        return noiseless(self.operator)

    def __call__(self, x: jax.Array) -> Measurement:
        return self.operator(x)

    def measure(self, key: jax.Array, x: jax.Array) -> Measurement:
        y = self.operator.measure(jax.random.fold_in(key, _INSIDE), x)
        leaves, treedef = jax.tree.flatten(y)
        keys = treedef.unflatten(list(jax.random.split(key, len(leaves))))
        noisy = jax.tree.map(self.add, keys, y)
        if self.observed is None:
            return noisy
        return jax.tree.map(
            lambda seen, n, y: jnp.where(align(seen, y) > 0, n, y), self.observed, noisy, y
        )

    def error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        losses = jax.tree.map(self.losses, predicted, measured)
        return mean_where(losses, self._seen(where))

    def squared_error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        return super().squared_error(predicted, measured, self._seen(where))

    def noise_level(self, predicted: Measurement) -> jax.Array:
        return mean_where(jax.tree.map(self.levels, predicted), self.observed)

    def _seen(self, where: Measurement | None) -> Measurement | None:
        """Of the entries of `where`, those that are measured."""
        if where is None or self.observed is None:
            return self.observed if where is None else where
        return jax.tree.map(jnp.multiply, where, self.observed)

    def hold_out(self, key: jax.Array, fraction: float) -> Measurement:
        return self.operator.hold_out(key, fraction)

    @property
    def observed(self) -> Measurement | None:
        return self.operator.observed

    @property
    def measures_k_space(self) -> bool:
        return self.operator.measures_k_space

    @property
    def is_noisy(self) -> bool:
        return True

    @property
    def noise_is_known(self) -> bool:
        return not self.operator.is_noisy

    def picture(self, y: Measurement) -> jax.Array:
        return self.operator.picture(y)

    def from_picture(self, y: jax.Array) -> Measurement:
        return self.operator.from_picture(y)

    def restrict(self, y: Measurement) -> Measurement:
        return self.operator.restrict(y)


def noiseless(operator: Operator) -> Operator:
    """What noise at the end is added to, the operator itself without."""
    return operator.signal if isinstance(operator, Noise) else operator


def mean_of(operator: Operator, x: jax.Array) -> Measurement:
    """What an operator measures on average."""
    y = operator(x)
    return jax.tree.map(operator.expected, y) if isinstance(operator, Noise) else y


def through(drawn: jax.Array, y: jax.Array) -> jax.Array:
    """What was drawn, with the derivative of `y`: for noise that has none of its own."""
    return jax.lax.stop_gradient(drawn) + (y - jax.lax.stop_gradient(y))
