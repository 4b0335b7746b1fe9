"""What the image shows, beside what was measured of it (Section 4.3)."""

from collections.abc import Callable

import flax.struct
import jax

from ilo_jax.ops import Operator
from ilo_jax.ops.classify import Classifier
from ilo_jax.solve.losses.base import Data, Loss, View


class ClassLikelihood(Loss):
    """`-log P(label | x)`, by a classifier.

    Attributes:
      network: images `[..., H, W, C]` in [-1, 1] -> logits `[..., K]`; a pytree.
      label: the class, from 0.
    """

    network: Callable[[jax.Array], jax.Array]
    label: int = flax.struct.field(pytree_node=False)

    def prepare(self, operator: Operator, data: Data) -> jax.Array:
        """What the classifier should measure, `[K]`; not the network, which all images share.

        Raises:
          InputError: the classifier is none for these images, or has no such class.
        """
        del data
        return Classifier.create(operator.image_shape, self.network).one_hot(self.label)

    def __call__(self, target: jax.Array, view: View) -> jax.Array:
        classifier = Classifier(view.operator.image_shape, self.network)
        return classifier.error(classifier(view.image), target)
