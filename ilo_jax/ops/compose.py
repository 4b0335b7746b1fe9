"""Several measurements, one after the other."""

import jax

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Measurement, Operator
from ilo_jax.ops.inversion import Identity
from ilo_jax.ops.noise import Noise, mean_of


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


def composition(*operators: Operator) -> Operator:
    """Composes operators, the first applied first; linear if all of them are. Noise at the end is
    noise on all that comes before it, `noise(A_k(... A_1(x)))`, whose likelihood is known.

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
    links = tuple(o for o in operators if not isinstance(o, Identity)) or (last,)
    if len(links) == 1:
        return links[0]
    linear = all(isinstance(operator, LinearOperator) for operator in links)
    return (ComposedLinear if linear else Composed)(image_shape, links)
