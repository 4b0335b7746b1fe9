"""A Gaussian fitted to the posterior by reparameterization (Marinescu et al., 2020, of W+), as a
prior whose inputs are its mean and its standard deviations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.priors import Facts, Inputs, Masks, Prior, State
from ilo_jax.solve.losses import Likelihood, Objective, Regularizer, Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.numbers import Numbers, each, single
from ilo_jax.solve.rounds import Round
from ilo_jax.solve.variables import Variables


class Gaussian(NamedTuple):
    """`mean + exp(log_std) noise`, inputs of a generator; where nothing is searched, the mean.

    Attributes:
      mean, log_std: what is fitted.
      noise: standard normal, drawn anew in each step.
    """

    mean: Inputs
    log_std: Inputs
    noise: Inputs


class Variational(Prior):
    """A generator whose inputs are Gaussian, independent of each other (mean field).

    Attributes:
      prior: the generator.
      space: which of its spaces is fitted; its first by default.
      begin_std: standard deviations at the start, as multiples of `Prior.unit`.
    """

    prior: Prior
    space: str | None = flax.struct.field(pytree_node=False, default=None)
    begin_std: float = flax.struct.field(pytree_node=False, default=0.1)

    @property
    def regularizers(self) -> Mapping[str, Callable]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The generator's, of the inputs that were drawn; and `entropy`, minus that of the Gaussian
        but for a constant."""

        def of_drawn(term: Callable) -> Callable:
            return lambda own, inputs, free: term(own.prior, own.drawn(inputs), free.mean)

        return {name: of_drawn(term) for name, term in self.prior.regularizers.items()} | {
            "entropy": lambda own, inputs, free: -_sum_where(free.log_std, inputs.log_std)
        }

    @property
    def facts(self) -> Facts:
        return self.prior.facts

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.prior.image_shape

    @property
    def depth(self) -> int:
        return self.prior.depth

    @property
    def usual_cuts(self) -> tuple[int, ...]:
        return self.prior.usual_cuts

    def starts(self) -> Mapping[str, Callable[[jax.Array], Gaussian]]:
        def around(start: Callable[[jax.Array], Inputs]) -> Callable[[jax.Array], Gaussian]:
            def begin(key: jax.Array) -> Gaussian:
                mean, unit = start(key), self.prior.unit(self.space)
                log_std = jnp.log(self.begin_std * jnp.asarray(unit, jnp.float32))
                spreads = jax.tree.map(lambda leaf: jnp.full_like(leaf, log_std), mean)
                return Gaussian(mean, spreads, jax.tree.map(jnp.zeros_like, mean))

            return begin

        return {name: around(start) for name, start in self.prior.starts().items()}

    def constraints(self) -> Mapping[str, Any]:
        """`none`: on a sphere nothing is Gaussian."""
        return {"none": self.prior.constraints()["none"]}

    def keep(self, inputs: Gaussian, center: Gaussian, constraint: Any) -> Gaussian:
        return inputs._replace(mean=self.prior.keep(inputs.mean, center.mean, constraint))

    def drawn(self, inputs: Gaussian) -> Inputs:
        """The generator's inputs."""
        return jax.tree.map(lambda m, s, n: m + jnp.exp(s) * n, *inputs)

    def first(self, inputs: Gaussian) -> State:
        return self.prior.first(self.drawn(inputs))

    def layers(self, inputs: Gaussian, state: State, start: int, stop: int) -> State:
        return self.prior.layers(self.drawn(inputs), state, start, stop)

    def code(self, cut: int, state: State) -> jax.Array:
        return self.prior.code(cut, state)

    def with_code(self, cut: int, state: State, code: jax.Array) -> State:
        return self.prior.with_code(cut, state, code)

    def free(self, start: int, stop: int, index: int | None = 0, space: str | None = None) -> Masks:
        """Of the mean and the standard deviations."""
        self.check_space(space)
        fitted = self.prior.free(start, stop, None, self.space)
        none = jax.tree.map(lambda mask: mask & False, fitted)
        return Gaussian(self.prior.free(start, stop, index, self.space), fitted, none)

    def explore(self, inputs: Gaussian, key: jax.Array, strength: jax.Array) -> Gaussian:
        """Another draw, of the whole Gaussian however strong."""
        del strength
        leaves, treedef = jax.tree.flatten(inputs.mean)
        keys = treedef.unflatten(list(jax.random.split(key, len(leaves))))
        free = self.prior.free(0, self.depth, None, self.space)

        def draw(mean: jax.Array, key: jax.Array, free: Any) -> jax.Array:
            noise = jax.random.normal(key, (mean.size,), jnp.float32).reshape(mean.shape)
            return jnp.where(free, noise, 0)

        return inputs._replace(noise=jax.tree.map(draw, inputs.mean, keys, free))

    def mean(self, x: Variables) -> Variables:
        """The generator's variables at the mean."""
        return Variables(x.inputs.mean, x.v)

    def samples(self, x: Variables, key: jax.Array, count: int) -> Variables:
        """The generator's variables, `count` draws: leaves `[...]` -> `[count, ...]`."""

        def one(key: jax.Array) -> Variables:
            return Variables(self.drawn(self.explore(x.inputs, key, jnp.float32(1))), x.v)

        return jax.vmap(one)(jax.random.split(key, count))


def variational(
    prior: Variational,
    steps: int | Sequence[int] = 500,
    rate: Numbers = 0.05,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """The Gaussian of the least Kullback-Leibler divergence to the posterior, by one draw a step.

    Args:
      objective: minus the logarithms of likelihood and prior, and `entropy`; by default for
        standard normal inputs (`squared_norm`) and an operator that knows its noise.
      options: of `Method.create`.

    Raises:
      InputError: no `Variational`, or more numbers of steps than one.
    """
    if not isinstance(prior, Variational):
        raise InputError(f"prior {type(prior).__name__}: expected Variational(prior)")
    (count,), (rate,) = single("variational", steps), each("rate", rate, 1)
    if objective is None:
        own = 0.5 * Regularizer("squared_norm") + Regularizer("entropy")
        objective = Likelihood() + own
    only = Round(count, inputs=(0, prior.depth), rate=rate, noise_maps=None)
    named: dict[str, Any] = {"exploration": 1.0, "keep": "last", "sna": False}
    return Method.create(prior, [only], objective, **named | options)


def _sum_where(masks: Masks, values: Any) -> jax.Array:
    sums = jax.tree.map(lambda m, x: jnp.sum(jnp.where(m, x, 0)), masks, values)
    return jnp.asarray(sum(jax.tree.leaves(sums)))
