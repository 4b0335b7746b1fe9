"""What a solver knows of a generator: the prior `G`, a chain of layers that may be cut anywhere."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops import Determined
from ilo_jax.pytree import Node

Inputs = Any
"""What a generator is given: a pytree of arrays, those of one image."""

Masks = Any
"""A pytree like `Inputs` of booleans that broadcast to its arrays."""

State = Any
"""What flows from one layer to the next: a pytree."""

Regularizer = Callable[[Any, Inputs, Masks], jax.Array]
"""`(prior, inputs, free) -> scalar`; `free` masks the inputs that the round searches."""


MAX_BATCH = 4096


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a generator says of itself; static.

    Raises:
      InputError: a value of another type, or out of range.

    Attributes:
      radii: `(cut, radius)` in order: l1 radii that suit deviations at these cuts where next to
        nothing is measured.
      growth: how they grow with what a measurement determines (`growth_factor`); 0: not at all.
      scarce: the share of an image up to which, were there no noise, a measurement determines so
        little that ILO is better begun from the mean of W (`solve.usual`).
      residual: mean squared distance of images of its kind from its range, of values in [-1, 1].
      reach: mean squared error that CSGM leaves of images of its kind, of values in [-1, 1]; 0 if
        unknown.
      grey: whether all channels of its images are equal.
      notice: what must be said wherever its images are shown; empty for nothing.
      licence: of its weights and images.
      batch: images at a time on one device, about as fast an image as any more; 0 if unknown.
    """

    radii: tuple[tuple[int, float], ...] = ()
    growth: float = 0.0
    scarce: float = 0.0
    residual: float = 0.01
    reach: float = 0.0
    grey: bool = False
    notice: str = ""
    licence: str = ""
    batch: int = 0

    def __post_init__(self) -> None:
        for what, good in {
            "radii are no numbers from 0 up": all(_is_number(r) for _, r in self.radii),
            "growth is no number from 0 up": _is_number(self.growth),
            "scarce is no number from 0 to 1": _is_number(self.scarce) and self.scarce <= 1,
            "residual is no number above 0": _is_number(self.residual) and self.residual > 0,
            "reach is no number from 0 up": _is_number(self.reach),
            "grey is no truth value": type(self.grey) is bool,
            "notice is no line of text": _is_line(self.notice),
            "licence is no line of text": _is_line(self.licence),
            f"batch is no integer from 0 to {MAX_BATCH}": type(self.batch) is int
            and 0 <= self.batch <= MAX_BATCH,
        }.items():
            if not good:
                raise InputError(what)

    @property
    def told(self) -> dict[str, Any]:
        """What it says that is not the default, by name."""
        return {k: v for k, v in vars(self).items() if v != getattr(NO_FACTS, k)}

    def radius(self, cut: int) -> float:
        """l1 radius at a cut: its own, or that of the nearest cut before it that has one, or of
        the first; infinity where the generator knows none."""
        known = dict(self.radii)
        if not known:
            return float("inf")
        before = [at for at in known if at <= cut]
        return known[max(before) if before else min(known)]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


NO_FACTS = Facts()


def growth_factor(growth: jax.typing.ArrayLike, determined: Determined) -> jax.Array:
    """What l1 radii that grow are multiplied by; 1 for a growth of 0.

    The more of an image is known, the less a ball has to keep, and none is needed where all is:
    `1 + g s / (1 - s)`, where a share `s` is determined. Of what noise hides, wide balls would fit
    the noise: so they are by as much narrower as `s` is less than it would be without noise.
    """
    share, noiseless = map(jnp.asarray, determined)
    known = share / jnp.maximum(noiseless, jnp.finfo(jnp.float32).tiny)
    factor = known * (1 + jnp.asarray(growth) * share / jnp.maximum(1 - share, 1e-6))
    return jnp.where((jnp.asarray(growth) > 0) & (noiseless > 0), factor, 1)


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

    def free(self, start: int, stop: int, index: int | None = 0, space: str | None = None) -> Masks:
        """The inputs that layers `start <= l < stop` read and that ILO's round `index` searches.

        Args:
          index: of the round; None without noise maps, for a generator that has any.
          space: one of `spaces`; the first by default.
        """
        raise NotImplementedError

    def unit(self, space: str | None = None) -> jax.typing.ArrayLike:
        """The spread of one coordinate of a space over random images: what learning rates in it
        are multiples of where a method says so."""
        self.check_space(space)
        return 1.0

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
