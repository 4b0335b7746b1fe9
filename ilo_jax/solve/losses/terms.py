"""The terms of the objective, and by which names the command line knows them."""

from collections.abc import Callable, Mapping

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax import lpips
from ilo_jax.errors import InputError
from ilo_jax.ops import Inpaint, Operator, noiseless
from ilo_jax.ops.classify import Classifier
from ilo_jax.priors import Prior
from ilo_jax.solve.losses.near_mean import NearMean
from ilo_jax.solve.losses.objective import Data, Objective, Target, Term, View, as_objective
from ilo_jax.solve.losses.scales import PerceptualEnlarged, PerceptualScales
from ilo_jax.solve.variables import Variables


class Mse(Term):
    """`max(mean (A(x) - y)^2, floor)`: the squared error of the measurement (equation 1), or what
    the operator has in its place (`Operator.error`), such as the likelihood of clipped noise.

    Attributes:
      floor: below it the measurement counts as met and its gradient is 0, as PULSE has it.
      discrepancy: whether the floor is what the truth itself would have (`Operator.noise_level`,
        Morozov) instead.
    """

    floor: jax.typing.ArrayLike = 0.0
    discrepancy: bool = flax.struct.field(pytree_node=False, default=False)

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        error = view.error(view.predicted, view.data.kept)
        floor = self.floor
        if self.discrepancy:  # no reason to change the image, even where it depends on that
            floor = jax.lax.stop_gradient(view.level(view.predicted))
        return jnp.maximum(error, jnp.asarray(floor, error.dtype))


class DeadZone(Term):
    """`mean max(|A(x) - y| - alpha, 0)`: linear beyond a tolerance.

    Attributes:
      alpha: the tolerance, in the units of the measurement.
    """

    alpha: jax.typing.ArrayLike = 0.1

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> None:
        _check_all_is_seen(data, "dead_zone")

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        alpha = jnp.float32(self.alpha)
        beyond = jax.tree.map(
            lambda p, m: jnp.ravel(jnp.maximum(jnp.abs(p - m) - alpha, 0)),
            view.predicted,
            view.data.measurement,
        )
        return jnp.mean(jnp.concatenate(jax.tree.leaves(beyond)))


class Reference(Term):
    """`mean (x - reference)^2`: the squared distance to an image, such as the last frame."""

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> jax.Array:
        if data.reference is None:
            raise InputError("loss reference: no reference image; expected one")
        return data.reference

    def __call__(self, target: jax.Array, view: View) -> jax.Array:
        return jnp.mean((view.image - target) ** 2)


class Regularizer(Term):
    """A term that is the generator's own, on its inputs alone.

    Attributes:
      name: one of `Prior.regularizers`.
    """

    name: str = flax.struct.field(pytree_node=False)

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> None:
        if self.name not in prior.regularizers:
            raise InputError(
                f"loss {self.name}: {type(prior).__name__} has "
                f"{', '.join(prior.regularizers) or 'none of its own'}"
            )

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        return view.prior.regularizers[self.name](view.prior, view.x.inputs, view.free)


def Geocross() -> Regularizer:
    """Geodesic distance of the latents that are searched (Section 4.1)."""
    return Regularizer("geocross")


class Perceptual(Term):
    """LPIPS of `A(x)` against `y`, at 256 px where they are larger (Section 4.2). Pixels that
    inpainting misses are grey in both, and down-sampling blends them with those observed.

    Attributes:
      network: as `lpips.load` gives it.
    """

    network: lpips.Lpips

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> tuple[jax.Array, ...]:
        _check_all_is_seen(data, "lpips")
        if not operator.measures_image:
            raise InputError(
                f"loss lpips: a measurement is {operator.measurement_shape}; "
                "expected an image (height, width, 1 or 3)"
            )
        return lpips.features(self.network, lpips.resized(data.measurement))

    def __call__(self, target: tuple[jax.Array, ...], view: View) -> jax.Array:
        found = lpips.features(self.network, lpips.resized(view.predicted))
        return lpips.distance(found, target)


class PerceptualFilled(Term):
    """LPIPS of the image against itself with the observed pixels put in, for inpainting: where
    pixels are missing nothing is compared, nor blended with those observed (Section 4.2).

    Attributes:
      network: as `lpips.load` gives it.
    """

    network: lpips.Lpips

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> jax.Array:
        """The observed pixels, 0 where one is missing."""
        _check_all_is_seen(data, "lpips")
        if not isinstance(noiseless(operator), Inpaint):
            raise InputError(
                f"loss lpips_filled: operator {type(operator).__name__} misses no pixels; "
                "expected inpainting, or the loss lpips"
            )
        return operator.restrict(data.measurement)

    def __call__(self, target: jax.Array, view: View) -> jax.Array:
        missing = view.image - view.operator(view.image)
        both = jnp.stack([view.image, target + missing])
        x, filled = zip(*lpips.features(self.network, lpips.resized(both)), strict=True)
        return lpips.distance(x, filled)


class ClassLikelihood(Term):
    """`-log P(label | x)`, by a classifier (Section 4.3).

    Attributes:
      network: images `[..., H, W, C]` in [-1, 1] -> logits `[..., K]`; a pytree.
      label: the class, from 0.
    """

    network: Callable[[jax.Array], jax.Array]
    label: int = flax.struct.field(pytree_node=False)

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> jax.Array:
        """What the classifier should measure, `[K]`; not the network, which all images share.

        Raises:
          InputError: the classifier is none for these images, or has no such class.
        """
        return Classifier.create(operator.image_shape, self.network).one_hot(self.label)

    def __call__(self, target: jax.Array, view: View) -> jax.Array:
        classifier = Classifier(view.operator.image_shape, self.network)
        return classifier.error(classifier(view.image), target)


class Likelihood(Term):
    """`-log p(y | x)`, the sum over all entries, but for what no image changes: `error` without its
    mean and its scale. For operators that know their noise."""

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> jax.Array:
        """How many entries the term sees."""
        if not operator.is_noisy or not operator.noise_is_known:
            raise InputError(
                f"loss likelihood: operator {type(operator).__name__} adds no noise that it "
                "knows; expected one that does"
            )
        seen = jax.tree.map(jnp.ones_like, data.measurement)
        for where in (operator.observed, data.kept):
            if where is not None:
                seen = jax.tree.map(jnp.multiply, seen, where)
        return jnp.asarray(sum(jax.tree.leaves(jax.tree.map(jnp.sum, seen))))

    def __call__(self, target: jax.Array, view: View) -> jax.Array:
        error = view.operator.error(view.predicted, view.data.measurement, view.data.kept)
        return target * error / (2 * view.operator.noise_variance)


class Score(Term):
    """A prior that only its score is known of, the gradient of the logarithm of its density: the
    term's own value says nothing, its gradient is minus the score.

    Attributes:
      network: variables of one image -> their score, `Variables` of the same shapes, 0 where there
        is none; a pytree, such as `jax.tree_util.Partial(function, weights)`.
    """

    network: Callable[[Variables], Variables]

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        score = jax.lax.stop_gradient(self.network(view.x))
        return -sum(
            (jnp.sum(s * x) for s, x in zip(*map(jax.tree.leaves, (score, view.x)), strict=True)),
            start=jnp.float32(0),
        )


def usual_objective(prior: Prior) -> Objective:
    """The squared error, and a tenth of the authors' geocross where the generator has it, which
    `benchmarks/quality.py` finds better than theirs on every task; without their LPIPS."""
    mse = as_objective(Mse())
    return mse + 0.001 * Geocross() if "geocross" in prior.regularizers else mse


def _check_all_is_seen(data: Data, name: str) -> None:
    if data.held_out is not None:
        raise InputError(
            f"loss {name}: looks at all entries of a measurement at once; expected the loss mse "
            "where some are held out"
        )


TERMS: Mapping[str, Callable[[], Term]] = {
    "mse": Mse,
    "likelihood": Likelihood,
    "lpips": lambda: Perceptual(lpips.load("vgg")),
    "lpips_alex": lambda: Perceptual(lpips.load("alex")),
    "lpips_filled": lambda: PerceptualFilled(lpips.load("vgg")),
    "lpips_enlarged": lambda: PerceptualEnlarged(lpips.load("vgg")),
    "lpips_scales": lambda: PerceptualScales(lpips.load("vgg")),
    "dead_zone": DeadZone,
    "reference": Reference,
    "geocross": Geocross,
    "geocross_w": lambda: Regularizer("geocross_w"),
    "noise_correlation": lambda: Regularizer("noise_correlation"),
    "w_gaussian": lambda: Regularizer("w_gaussian"),
    "w_cosine": lambda: Regularizer("w_cosine"),
    "squared_norm": lambda: Regularizer("squared_norm"),
    "near_mean": NearMean,
}
"""How each term is made with its usual settings."""
