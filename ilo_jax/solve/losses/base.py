"""What a term of the objective is.

A new loss is one file: a subclass of `Loss`; and one line in the table of `losses/__init__.py`.
"""

from typing import Any

import flax.struct
import jax

from ilo_jax.ops import Measurement, Operator
from ilo_jax.stylegan2 import Noises

Target = Any


class Data(flax.struct.PyTreeNode):
    """What is known of one image (batch axes in front between functions).

    Attributes:
      measurement: what the operator measured.
      reference: `[H, W, C]`, an image that the solution is drawn to; None without.
      held_out: entries of the measurement that no loss may see (`Operator.hold_out`); they judge
        the images instead, so that the best is kept (early stopping). None without.
    """

    measurement: Measurement
    reference: jax.Array | None = None
    held_out: Measurement | None = None

    @property
    def kept(self) -> Measurement | None:
        """1 at the entries that losses may see, else 0; None where that is all of them."""
        return None if self.held_out is None else jax.tree.map(lambda h: 1 - h, self.held_out)


class View(flax.struct.PyTreeNode):
    """What a step has generated for one image.

    Attributes:
      operator: the forward operator `A`.
      data: what is known.
      image: `[H, W, C]`.
      predicted: `A(image)`, with the operator's noise in it under SNA.
      latents: `[L, d]`, those that the image still depends on, in the space that is searched.
      w: `[L, w_dim]`, the same in W+.
      noises: all noise maps `[h, w, 1]`.
    """

    operator: Operator
    data: Data
    image: jax.Array
    predicted: Measurement
    latents: jax.Array
    w: jax.Array
    noises: Noises


class Loss(flax.struct.PyTreeNode):
    """A term of the objective for one image: a pytree, differentiable in what a step generates."""

    def prepare(self, operator: Operator, data: Data) -> Target:
        """What stays fixed while an image is solved, computed once.

        Raises:
          InputError: the term is not defined for this operator or these data.
        """
        del operator, data

    def __call__(self, target: Target, view: View) -> jax.Array:
        """The term's value, a scalar; `target` is what `prepare` gave."""
        raise NotImplementedError
