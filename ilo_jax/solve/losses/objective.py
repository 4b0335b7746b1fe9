"""What a round minimizes, as algebra: `Mse() + 0.001 * Geocross()`.

A new term is a subclass of `Term`, and one line in the table of `terms.py` if the command line
should know it.
"""

from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import Determined, Measurement, Operator
from ilo_jax.ops.base import sum_of
from ilo_jax.priors import Masks, Prior
from ilo_jax.pytree import Node
from ilo_jax.solve.variables import Variables

Target = Any


class Data(flax.struct.PyTreeNode):
    """What is known of one image (batch axes in front between functions).

    Attributes:
      measurement: what the operator measured.
      reference: `[H, W, C]`, an image that the solution is drawn to; None without.
      held_out: 1 at the entries of the measurement that no term may see (`Operator.hold_out`);
        they judge the images instead, so that the best is kept (early stopping). Where there are
        none, all judge, as without: None.
    """

    measurement: Measurement
    reference: jax.Array | None = None
    held_out: Measurement | None = None

    @property
    def kept(self) -> Measurement | None:
        """1 at the entries that terms may see, else 0; None where that is all of them."""
        return None if self.held_out is None else jax.tree.map(lambda h: 1 - h, self.held_out)


class View(flax.struct.PyTreeNode):
    """What a step has generated for one image.

    Attributes:
      prior: the generator.
      operator: the forward operator `A`.
      data: what is known.
      image: `[H, W, C]`.
      predicted: `A(image)`, with the operator's noise in it under SNA.
      x: the variables that the image comes from.
      free: masks of the inputs that the round searches.
      determined: shares of the image, for terms that ask for them; None otherwise.
      sna: whether `predicted` has noise in it; static.
    """

    prior: Prior
    operator: Operator
    data: Data
    image: jax.Array
    predicted: Measurement
    x: Variables
    free: Masks
    determined: Determined | None = None
    sna: bool = flax.struct.field(pytree_node=False, default=False)

    def error(self, predicted: Measurement, where: Measurement | None) -> jax.Array:
        """How far it is from what was measured: by what the operator knows of its noise, unless the
        prediction has that in it."""
        distance = self.operator.squared_error if self.sna else self.operator.error
        return distance(predicted, self.data.measurement, where)

    def judged(self, predicted: Measurement) -> jax.Array:
        """How far it is from what was held out of what was measured; from all where nothing was."""
        of_all, held_out = self.error(predicted, None), self.data.held_out
        if held_out is None:
            return of_all
        of_part = (
            self.error(predicted, held_out)
            if self.sna
            else self.operator.held_out_error(predicted, self.data.measurement, held_out)
        )
        return jnp.where(sum_of(held_out) > 0, of_part, of_all)

    def level(self, predicted: Measurement) -> jax.typing.ArrayLike:
        """What the truth itself has of such an error (Morozov's discrepancy)."""
        operator = self.operator
        return operator.noise_variance if self.sna else operator.noise_level(predicted)


class Term(Node):
    """A term for one image: a pytree, differentiable in what a step generates."""

    @property
    def asks_what_is_determined(self) -> bool:
        """Whether `View.determined` has to be there."""
        return False

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> Target:
        """What stays fixed while an image is solved, computed once.

        Raises:
          InputError: the term is not defined for this generator, operator, or data.
        """
        del prior, operator, data

    def __call__(self, target: Target, view: View) -> jax.Array:
        """The term's value, a scalar; `target` is what `prepare` gave."""
        raise NotImplementedError

    def __add__(self, other: "Term | Objective") -> "Objective":
        return as_objective(self) + other

    def __mul__(self, weight: jax.typing.ArrayLike | Sequence[float]) -> "Objective":
        return as_objective(self) * weight

    __rmul__ = __mul__


class Objective(flax.struct.PyTreeNode):
    """A weighted sum of terms (Section 4.2).

    Attributes:
      terms: what is summed up.
      weights: of each term: a scalar, or `[rounds]`.
    """

    terms: tuple[Term, ...]
    weights: tuple[jax.Array, ...]

    def __add__(self, other: "Term | Objective") -> "Objective":
        more = as_objective(other)
        return Objective(self.terms + more.terms, self.weights + more.weights)

    def __mul__(self, weight: jax.typing.ArrayLike | Sequence[float]) -> "Objective":
        """All weights times a number, or times one a round."""
        if not isinstance(weight, jax.Array):
            weight = np.asarray(weight, np.float32)  # JAX's operations would be compiled
        factor = weight.astype(np.float32)
        return self.replace(weights=tuple(w * factor for w in self.weights))

    __rmul__ = __mul__

    def over(self, rounds: int) -> "Objective":
        """With weights `[rounds]`.

        Raises:
          InputError: a weight that is neither a scalar nor one a round.
        """
        for term, weight in zip(self.terms, self.weights, strict=True):
            if weight.shape not in ((), (rounds,)):
                raise InputError(
                    f"weight of {type(term).__name__}: shape {list(weight.shape)}; expected one "
                    f"number, or one for each of {rounds} rounds"
                )
        return self.replace(weights=tuple(_each(w, rounds) for w in self.weights))

    @property
    def asks_what_is_determined(self) -> bool:
        return any(term.asks_what_is_determined for term in self.terms)

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> tuple[Target, ...]:
        """What the terms prepare for one image."""
        return tuple(term.prepare(prior, operator, data) for term in self.terms)

    def __call__(self, targets: tuple[Target, ...], view: View) -> jax.Array:
        """The sum, for one image in a round whose weights are scalars."""
        total = jnp.float32(0)
        for weight, term, target in zip(self.weights, self.terms, targets, strict=True):
            total += weight * term(target, view)
        return total


def _each(weight: Any, rounds: int) -> Any:
    broadcast = jnp.broadcast_to if isinstance(weight, jax.Array) else np.broadcast_to
    return broadcast(weight, (rounds,))


_ONE: Any = (np.float32(1),)


def as_objective(term: Term | Objective) -> Objective:
    """A term alone as a sum of weight one; a sum as it is."""
    return term if isinstance(term, Objective) else Objective((term,), _ONE)
