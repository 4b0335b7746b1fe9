"""What a solver knows of a generator: the prior `G`, a chain of layers that may be cut anywhere."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.pytree import Node

Inputs = Any
"""What a generator is given: a pytree of arrays, those of one image."""

Masks = Any
"""A pytree like `Inputs` of booleans that broadcast to its arrays."""

State = Any
"""What flows from one layer to the next: a pytree."""

Regularizer = Callable[[Any, Inputs, Masks], jax.Array]
"""`(prior, inputs, free) -> scalar`; `free` masks the inputs that the round searches."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a generator says of itself; static.

    Attributes:
      radii: `(cut, radius)` in order: l1 radii that suit deviations at these cuts.
      notice: what must be said wherever its images are shown; empty for nothing.
      licence: of its weights and images.
      batch: images at a time on one device, about as fast an image as any more; 0 if unknown.
    """

    radii: tuple[tuple[int, float], ...] = ()
    notice: str = ""
    licence: str = ""
    batch: int = 0

    def radius(self, cut: int) -> float:
        """l1 radius at a cut: its own, or that of the nearest cut before it that has one, or of
        the first; infinity where the generator knows none."""
        known = dict(self.radii)
        if not known:
            return float("inf")
        before = [at for at in known if at <= cut]
        return known[max(before) if before else min(known)]


NO_FACTS = Facts()


class Prior(Node):
    """A generator `G` of `depth` layers (Section 2.1), as functions of one image; a pytree.

    A cut `c` in 1..depth splits it into `G1`, layers 0..c-1, and `G2`, the others; the code `z^p`
    is what `G2` reads there. At `c = depth` the code is the image itself. `ilo_jax.priors` has a
    chain of plain functions (`Sequential`), `ilo_jax.stylegan2` an adapter of StyleGAN2.

    Attributes:
      regularizers: terms of an objective that are the generator's own, by name.
      spaces: names of what may be searched; the first is the usual one.
    """

    regularizers: ClassVar[Mapping[str, Regularizer]] = {}
    spaces: ClassVar[tuple[str, ...]] = ("inputs",)

    @property
    def facts(self) -> Facts:
        """Default radii, notice, licence, usual batch."""
        return NO_FACTS

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        raise NotImplementedError

    @property
    def depth(self) -> int:
        """The number of layers."""
        raise NotImplementedError

    @property
    def usual_cuts(self) -> tuple[int, ...]:
        """Where ILO's rounds cut one after the other, CSGM's first round left out."""
        return tuple(range(1, self.depth))

    def starts(self) -> Mapping[str, Callable[[jax.Array], Inputs]]:
        """Where a search may begin: functions of a key, by name; `random` is among them."""
        raise NotImplementedError

    def constraints(self) -> Mapping[str, Any]:
        """How inputs are kept where they belong, by name: data for `keep`. `none` is among them,
        and the first is the usual one."""
        raise NotImplementedError

    def first(self, inputs: Inputs) -> State:
        """What layer 0 reads."""
        raise NotImplementedError

    def layers(self, inputs: Inputs, state: State, start: int, stop: int) -> State:
        """Layers `start <= l < stop`; cut anywhere, the parts compose to the whole."""
        raise NotImplementedError

    def code(self, cut: int, state: State) -> jax.Array:
        """`z^p` of the state at a cut; of the state behind the last layer the image."""
        raise NotImplementedError

    def with_code(self, cut: int, state: State, code: jax.Array) -> State:
        """The state at a cut with another code."""
        raise NotImplementedError

    def free(self, start: int, stop: int, index: int = 0, space: str | None = None) -> Masks:
        """The inputs that layers `start <= l < stop` read and that ILO's round `index` searches.

        Args:
          space: one of `spaces`; the first by default.
        """
        raise NotImplementedError

    def keep(self, inputs: Inputs, center: Inputs, constraint: Any) -> Inputs:
        """The inputs moved back to where they belong, such as their spheres.

        Args:
          center: those at the start of the round.
          constraint: one of `constraints`; data, so that a round or a sweep may switch it.
        """
        raise NotImplementedError

    def explore(self, inputs: Inputs, key: jax.Array, strength: jax.Array) -> Inputs:
        """The inputs with noise of `strength` times their own spread, at which the loss is taken.

        Raises:
          InputError: the generator has none.
        """
        raise InputError(f"exploration: {type(self).__name__} has none; expected None")

    def spread(self, cuts: tuple[int, ...]) -> list[jax.Array]:
        """Mean l1 distance of the codes of two random images at each cut, over sixteen pairs."""

        def codes(key: jax.Array) -> list[jax.Array]:
            inputs = self.starts()["random"](key)
            state, at, found = self.first(inputs), 0, []
            for cut in cuts:
                state, at = self.layers(inputs, state, at, cut), cut
                found.append(self.code(cut, state))
            return found

        def distances(keys: jax.Array) -> list[jax.Array]:
            return [jnp.sum(jnp.abs(a - b)) for a, b in zip(*map(codes, keys), strict=True)]

        pairs = jax.random.split(jax.random.key(0), (16, 2))
        return [jnp.mean(d) for d in jax.lax.map(distances, pairs)]

    def check_space(self, space: str | None) -> str:
        """The space's name; `InputError` where the generator has none of it."""
        if space is not None and space not in self.spaces:
            raise InputError(f"space {space}: expected one of {', '.join(self.spaces)}")
        return space or self.spaces[0]
