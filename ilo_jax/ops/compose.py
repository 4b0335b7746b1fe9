"""Several measurements, one after the other."""

import jax

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Measurement, Operator


class Composed(Operator):
    """`A(x) = A_k(... A_2(A_1(x)))`; noise of each enters where it arises.

    Attributes:
      operators: in the order in which they are applied, each for the images that the last one
        measures.
    """

    operators: tuple[Operator, ...]

    def __call__(self, x: jax.Array) -> Measurement:
        for operator in self.operators:
            x = operator(x)
        return x

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
    def measures_k_space(self) -> bool:
        return self.operators[-1].measures_k_space

    @property
    def is_noisy(self) -> bool:
        return any(operator.is_noisy for operator in self.operators)

    @property
    def noise_is_clipped(self) -> bool:
        return self.operators[-1].noise_is_clipped

    def noise_level(self, predicted: Measurement) -> jax.typing.ArrayLike:
        return self.operators[-1].noise_level(predicted)

    @property
    def noise_variance(self) -> jax.typing.ArrayLike:
        """Of the last operator; noise of earlier ones is not known behind the later ones."""
        return self.operators[-1].noise_variance


class ComposedLinear(Composed, LinearOperator):
    """`Composed` of linear operators, hence with an adjoint."""


def composition(*operators: Operator) -> Composed:
    """Composes operators, the first applied first; linear if all of them are.

    Raises:
      InputError: none, or one that is not for images of the shape that the last one measures.
    """
    if not operators:
        raise InputError("composition of no operators: expected one or more")
    for i in range(1, len(operators)):
        measured, expected = operators[i - 1].measurement_shape, operators[i].image_shape
        if measured != expected:
            raise InputError(f"operator {i} measures {measured}; expected {expected}, for the next")
    linear = all(isinstance(operator, LinearOperator) for operator in operators)
    return (ComposedLinear if linear else Composed)(operators[0].image_shape, operators)
