"""Several measurements, one after the other."""

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Measurement, Operator, align
from ilo_jax.ops.inpaint import Inpaint
from ilo_jax.ops.inversion import Identity
from ilo_jax.ops.noise import Noise, mean_of

_LEAST_SEEN = 0.1
"""Of what is behind a mask of soft edges: with less of it, 8 bits are too few."""


class Composed(Operator):
    """`A(x) = A_k(... A_2(A_1(x)))`; noise of each enters where it arises.

    Attributes:
      operators: in the order in which they are applied, each for the images that the last one
        measures.
    """

    operators: tuple[Operator, ...]

    def __call__(self, x: jax.Array) -> Measurement:
        *before, last = self.operators
        for operator in before:
            x = mean_of(operator, x)
        return last(x)

    def measure(self, key: jax.Array, x: jax.Array) -> Measurement:
        for k, operator in zip(
            jax.random.split(key, len(self.operators)), self.operators, strict=True
        ):
            x = operator.measure(k, x)
        return x

    def picture(self, y: Measurement) -> jax.Array:
        return self.operators[-1].picture(y)

    def from_picture(self, y: jax.Array) -> Measurement:
        return self.operators[-1].from_picture(y)

    def restrict(self, y: Measurement) -> Measurement:
        return self.operators[-1].restrict(y)

    def error(
        self, predicted: Measurement, measured: Measurement, where: Measurement | None = None
    ) -> jax.Array:
        return self.operators[-1].error(predicted, measured, where)

    def hold_out(self, key: jax.Array, fraction: float) -> Measurement:
        return self.operators[-1].hold_out(key, fraction)

    @property
    def observed(self) -> Measurement | None:
        return self.operators[-1].observed

    @property
    def measures_k_space(self) -> bool:
        return self.operators[-1].measures_k_space

    @property
    def is_noisy(self) -> bool:
        return any(operator.is_noisy for operator in self.operators)

    @property
    def noise_is_known(self) -> bool:
        return not self.is_noisy

    @property
    def noise_is_additive(self) -> bool:
        noisy = [operator for operator in self.operators if operator.is_noisy]
        return bool(noisy) and all(operator.noise_is_additive for operator in noisy)


class ComposedLinear(Composed, LinearOperator):
    """`Composed` of linear operators, hence with an adjoint."""


class Hidden(Noise):
    """`A(x)` with its noise, behind a mask: `mask * noise(A(x))`. Likelihood and level are those of
    the noise where it shows; where little of it does, rounding is all there is.

    Attributes:
      operator: the `Noise` behind the mask.
      mask: the `Inpaint` in front.
    """

    mask: Inpaint

    @property
    def signal(self) -> Operator:
        return composition(super().signal, self.mask)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.mask(self.operator(x))

    def measure(self, key: jax.Array, x: jax.Array) -> jax.Array:
        return self.mask(self.operator.measure(key, x))

    def losses(self, predicted: jax.Array, measured: jax.Array) -> jax.Array:
        return self._behind.losses(self._seen_through(predicted), self._seen_through(measured))

    def levels(self, predicted: jax.Array) -> jax.Array:
        return self._behind.levels_behind(self._seen_through(predicted), self.observed)

    def rounded(self, step: jax.typing.ArrayLike, clip: bool = True) -> "Hidden":
        return self.replace(operator=self._behind.rounded(step, clip))

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        return self.mask.replace(mask=self.observed).hold_out(key, fraction)

    def picture(self, y: jax.Array) -> jax.Array:
        return self.mask.picture(y)

    def from_picture(self, y: jax.Array) -> jax.Array:
        return self.mask.from_picture(y)

    def restrict(self, y: jax.Array) -> jax.Array:
        return self.mask.restrict(y)

    @property
    def observed(self) -> jax.Array:
        seen = self.mask.mask >= _LEAST_SEEN
        behind = self.operator.observed
        return seen.astype(jnp.float32) if behind is None else seen * behind

    @property
    def noise_is_known(self) -> bool:
        return self._behind.noise_is_known

    @property
    def noise_variance(self) -> jax.Array:
        return self._behind.noise_variance

    def _seen_through(self, y: jax.Array) -> jax.Array:
        return y / align(jnp.maximum(self.mask.mask, _LEAST_SEEN), y)

    @property
    def _behind(self) -> Noise:
        assert isinstance(self.operator, Noise)
        return self.operator


def composition(*operators: Operator) -> Operator:
    """Composes operators, the first applied first; linear if all of them are. Noise at the end is
    noise on all that comes before it, `noise(A_k(... A_1(x)))`, whose likelihood is known, also
    behind a mask.

    Raises:
      InputError: none, one that is not for images of the shape that the last one measures, or noise
        that nobody knows before the end, where it cannot be estimated.
    """
    if not operators:
        raise InputError("composition of no operators: expected one or more")
    for i in range(1, len(operators)):
        measured, expected = operators[i - 1].measurement_shape, operators[i].image_shape
        if measured != expected:
            raise InputError(f"operator {i} measures {measured}; expected {expected}, for the next")
        if isinstance(before := operators[i - 1], Noise) and before.is_unknown:
            raise InputError(
                f"operator {i - 1}: noise that is to be estimated; expected it to be the last"
            )
    *before, last = operators
    image_shape = operators[0].image_shape
    if isinstance(last, Noise):
        inner = composition(*before, last.operator)
        return last.replace(image_shape=image_shape, operator=inner)
    if before and isinstance(last, Inpaint):
        inner = composition(*before)
        if isinstance(inner, Noise):
            return Hidden(image_shape, inner, last)
    links = tuple(o for o in operators if not isinstance(o, Identity)) or (last,)
    if len(links) == 1:
        return links[0]
    linear = all(isinstance(operator, LinearOperator) for operator in links)
    return (ComposedLinear if linear else Composed)(image_shape, links)
