"""What is searched, and the one place where `G2(G1(inputs) + v)` is composed."""

from collections.abc import Iterable, Mapping

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.priors import Inputs, Prior, State


class Variables(flax.struct.PyTreeNode):
    """A point of the extended range `G1(inputs) + v` (Section 2.2).

    Attributes:
      inputs: the generator's, those of one image.
      v: the deviation of the code at each cut that has one, zero in the range of `G1`.
    """

    inputs: Inputs
    v: dict[int, jax.Array]


def compose(prior: Prior, x: Variables, stop: int) -> State:
    """Layers 0..stop-1, the code at every cut on the way moved by its deviation: what layer `stop`
    reads, the deviation there included."""
    state, at = prior.first(x.inputs), 0
    for cut in sorted(cut for cut in x.v if cut <= stop):
        state = prior.layers(x.inputs, state, at, cut)
        state = prior.with_code(cut, state, prior.code(cut, state) + x.v[cut])
        at = cut
    return prior.layers(x.inputs, state, at, stop)


def code(prior: Prior, x: Variables, cut: int) -> jax.Array:
    """`z^p = G1(inputs) + v` at a cut."""
    return prior.code(cut, compose(prior, x, cut))


def image(prior: Prior, x: Variables) -> jax.Array:
    """`G2(z^p)`, the generated image `[H, W, C]`."""
    return code(prior, x, prior.depth)


def sample(prior: Prior, key: jax.Array, start: str = "random") -> jax.Array:
    """An image `[H, W, C]` of the generator's range, drawn with a key.

    Args:
      start: one of `Prior.starts`: where it is drawn from.

    Raises:
      InputError: there is no such start.
    """
    starts = prior.starts()
    if start not in starts:
        raise InputError(f"start {start}: expected one of {', '.join(starts)}")
    return image(prior, Variables(starts[start](key), {}))


def zeros(prior: Prior, cuts: tuple[int, ...]) -> dict[int, jax.Array]:
    """Deviations of one image at these cuts: none yet.

    Raises:
      InputError: a cut that is not there.
    """
    check_cuts(prior, cuts)
    shapes = jax.eval_shape(lambda: _codes(prior, cuts))
    return {cut: jnp.zeros(shape.shape, jnp.float32) for cut, shape in shapes.items()}


def check_cuts(prior: Prior, cuts: Iterable[int]) -> None:
    """Raises `InputError` for a cut that is not there."""
    for cut in cuts:
        if not 1 <= cut <= prior.depth:
            raise InputError(f"cut {cut}: expected 1 to {prior.depth}, the generator's layers")


def with_cuts(x: Variables, v: Mapping[int, jax.Array]) -> Variables:
    """With these deviations where `x` has none."""
    return x.replace(v={**v, **x.v})


def _codes(prior: Prior, cuts: tuple[int, ...]) -> dict[int, jax.Array]:
    x = Variables(prior.starts()["random"](jax.random.key(0)), {})
    return {cut: code(prior, x, cut) for cut in cuts}
