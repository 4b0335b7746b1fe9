"""What a run does, as data: a method is a list of rounds, and a round says only what is free, how
large the balls are, how long and how fast."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import Objective, Term, as_objective, usual_objective
from ilo_jax.solve.rounds import Round, check_rounds, ilo_ramp, resets
from ilo_jax.solve.variables import Variables, check_cuts

ADAM = optax.adam(1.0)
"""One object, since programs are found again by it."""


class Method(flax.struct.PyTreeNode):
    """A whole run, for one program: leaves have the axis `[rounds]` in front, or `[B, rounds]` to
    differ by image. `Method.create` makes one of rounds, `methods/` has those with names.

    Attributes:
      free: masks of what is searched.
      radii: l1 radii, infinite for none: of each `v` as one vector, and of each array of the
        inputs; None leaves the projection of the inputs, or of some of them, out of the program.
      growth: of the radii of each `v`, with what the measurement determines; None for radii as
        they are.
      reset: whether `v` at a cut is 0 from the start of the round on.
      back: the cuts of line 5, and in which rounds it is taken there; empty leaves it out of the
        program.
      constraint: how inputs are kept where they belong, as `Prior.keep` takes it.
      steps: of each round; 0 leaves it out.
      rate: learning rates.
      objective: what is minimized, weights `[rounds]`.
      noise: standard deviations of the Gaussian noise that a step adds to the variables, in arrays
        that broadcast to them; None leaves it out of the program.
      exploration: strength of `Prior.explore`; None leaves it out of the program.
      stop: `[]` or `[B]`, steps over all rounds after which nothing changes any more (early
        stopping).
      start: `[]` or `[B]`, which of `Prior.starts`, in their order.
      max_steps: of any run with this method, over all rounds; static.
      ramp: factor on the learning rate, of the fraction of the round in [0, 1) that is done.
      optimizer: any of optax's, its updates scaled by rate and ramp, made anew each round; a
        random key in its state is each image's own.
      sna: Stochastic Noise Addition (Section 4.2): the operator's noise is added to what the
        objective sees; None where the operator adds any.
      keep: `best`, the image with the least error, or `last`.
    """

    free: Variables
    radii: Variables
    growth: jax.Array | None
    reset: dict[int, jax.Array]
    back: dict[int, jax.Array]
    constraint: Any
    steps: jax.Array
    rate: jax.Array
    objective: Objective
    noise: Variables | None
    exploration: jax.Array | None
    stop: jax.Array
    start: jax.Array
    max_steps: int | None = flax.struct.field(pytree_node=False)
    ramp: Callable[[jax.Array], jax.Array] = flax.struct.field(pytree_node=False, default=ilo_ramp)
    optimizer: optax.GradientTransformation = flax.struct.field(pytree_node=False, default=ADAM)
    sna: bool | None = flax.struct.field(pytree_node=False, default=None)
    keep: str = flax.struct.field(pytree_node=False, default="best")

    @classmethod
    def create(
        cls,
        prior: Prior,
        rounds: Sequence[Round],
        objective: Term | Objective | None = None,
        *,
        cuts: Sequence[int] = (),
        constraint: str | None = None,
        radii_inputs: Any = None,
        exploration: float | None = None,
        start: str = "random",
        ramp: Callable[[jax.Array], jax.Array] = ilo_ramp,
        optimizer: optax.GradientTransformation = ADAM,
        sna: bool | None = None,
        keep: str = "best",
    ) -> "Method":
        """The method of some rounds, in order.

        Args:
          objective: by default `usual_objective`.
          cuts: with a deviation beside those that the rounds name, so that methods with other
            rounds share a program.
          constraint: which of `Prior.constraints`; the first by default.
          start: one of `Prior.starts`.
          radii_inputs: l1 radii of the inputs, a number each or one a round: a tree whose leaves
            stand for everything below them in `Inputs`, None for no ball.

        Raises:
          InputError: no rounds, no steps, a cut, layer or name that is not there, a radius or
            rate out of range, or a weight that does not go with the rounds.
        """
        check_rounds(prior, rounds, constraint, start, keep)
        # NumPy's, since each small operation of JAX would be compiled.
        check_cuts(prior, cuts)
        at = tuple(sorted({r.deviation for r in rounds if r.deviation is not None} | {*cuts}))
        masks = [prior.free(*(r.inputs or (0, 0)), r.noise_maps, r.space) for r in rounds]
        goals = sorted({r.back_to for r in rounds if r.back_to is not None})
        kept = prior.constraints()
        kept = kept[constraint or next(iter(kept))]
        total = sum(r.steps for r in rounds)
        return cls(
            free=Variables(
                jax.tree.map(lambda *m: np.stack(m), *masks),
                {c: _array((r.deviation == c for r in rounds), bool) for c in at},
            ),
            radii=Variables(
                jax.tree.map(lambda x: each_round(x, len(rounds)), radii_inputs),
                {c: _array(r.radius if r.deviation == c else math.inf for r in rounds) for c in at},
            ),
            growth=_array(r.growth for r in rounds) if any(r.growth for r in rounds) else None,
            reset={c: _array(resets(rounds, c), bool) for c in at},
            back={c: _array((r.back_to == c for r in rounds), bool) for c in goals},
            constraint=jax.tree.map(lambda x: each_round(x, len(rounds)), kept),
            steps=_array((r.steps for r in rounds), np.int32),
            rate=_array(r.rate for r in rounds),
            objective=as_objective(objective or usual_objective(prior)).over(len(rounds)),
            noise=_noise(prior, rounds, at) if any(r.noise for r in rounds) else None,
            exploration=None if exploration is None else each_round(exploration, len(rounds)),
            stop=np.asarray(total, np.int32),  # pyright: ignore[reportArgumentType]
            max_steps=total,
            start=np.asarray(list(prior.starts()).index(start), np.int32),  # pyright: ignore
            ramp=ramp,
            optimizer=optimizer,
            sna=sna,
            keep=keep,
        )

    @property
    def rounds(self) -> int:
        """How many."""
        return self.steps.shape[-1]

    @property
    def cuts(self) -> tuple[int, ...]:
        """Those with a deviation."""
        return tuple(sorted(self.free.v))

    @property
    def by_image(self) -> bool:
        """Whether leaves are `[B, rounds]`."""
        return self.steps.ndim == 2

    def position(self, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The round that step `t` over all rounds belongs to, and which of its steps it is."""
        steps = jnp.asarray(self.steps)
        ends = jnp.cumsum(steps, dtype=jnp.int32)
        r = jnp.minimum(jnp.sum(t >= ends, dtype=jnp.int32), self.rounds - 1)
        return r, t - (ends[r] - steps[r])

    def at(self, r: jax.Array) -> "Method":
        """One round's numbers, without the axis of rounds."""

        def pick(tree: Any) -> Any:
            return jax.tree.map(lambda leaf: jnp.asarray(leaf)[r], tree)

        objective = self.objective.replace(weights=pick(self.objective.weights))
        return self.replace(objective=objective, **{n: pick(getattr(self, n)) for n in _BY_ROUND})

    def number_axes(self) -> Any:
        """The method's structure with 0 at its numbers, and None at the terms of the objective:
        what they hold, such as LPIPS's network, is shared."""
        mapped = jax.tree.map(lambda _: 0, self)
        return mapped.replace(objective=mapped.objective.replace(terms=None))

    def axes(self) -> Any:
        """For `jax.vmap` over images: which leaves have a batch axis."""
        return self.number_axes() if self.by_image else None

    def for_images(self, batch: int) -> "Method":
        """With leaves `[B, rounds]`, equal for all images."""
        if self.by_image:
            return self
        return self.map(lambda a: numpy_of(a).broadcast_to(a, (batch, *a.shape)))

    def map(self, function: Callable[..., jax.Array], *others: "Method") -> "Method":
        """A function of each of the method's numbers, and of those of others of its structure; the
        terms of the objective are the method's own."""
        bare = (m.replace(objective=m.objective.replace(terms=())) for m in (self, *others))
        found = jax.tree.map(function, *bare)
        return found.replace(objective=found.objective.replace(terms=self.objective.terms))

    def padded(self, rounds: int) -> "Method":
        """With so many rounds: those that are added have no steps."""
        more = rounds - self.rounds
        if not more:
            return self
        objective = self.objective

        def pad(leaf: Any, value: float = 0) -> Any:
            widths = [(0, more)] + [(0, 0)] * (leaf.ndim - 1)
            return numpy_of(leaf).pad(leaf, widths, constant_values=value)

        added = {name: jax.tree.map(pad, getattr(self, name)) for name in _BY_ROUND}
        added["radii"] = jax.tree.map(lambda leaf: pad(leaf, math.inf), self.radii)
        weights = tuple(map(pad, objective.weights))
        return self.replace(objective=objective.replace(weights=weights), **added)

    def with_growth(self) -> "Method":
        """With a growth of the radii, 0 where there was none."""
        none: Any = np.zeros(self.steps.shape, np.float32)
        return self if self.growth is not None else self.replace(growth=none)

    def with_cuts(self, cuts: Sequence[int]) -> "Method":
        """With deviations at further cuts, which no round searches."""
        off: Any = np.zeros(self.steps.shape, bool)
        none: Any = np.full(off.shape, np.inf, np.float32)
        v, radii = dict(self.free.v), dict(self.radii.v)
        for cut in cuts:
            v.setdefault(cut, off)
            radii.setdefault(cut, none)
        noise = self.noise
        if noise is not None:
            still: Any = np.zeros(off.shape, np.float32)
            noise = noise.replace(v=dict.fromkeys(v, still) | noise.v)
        return self.replace(
            free=self.free.replace(v=v),
            noise=noise,
            radii=self.radii.replace(v=radii),
            reset=dict.fromkeys(v, off) | self.reset,
        )


_BY_ROUND = (
    *("free", "radii", "growth", "reset", "back", "constraint"),
    *("steps", "rate", "noise", "exploration"),
)


def align(methods: Sequence[Method]) -> list[Method]:
    """The same methods with equal cuts and numbers of rounds, so that they share a program or can
    be stacked: shorter ones get rounds of no steps, radii as they are a growth of 0.

    Raises:
      InputError: none, or methods that differ in what is static or in the terms of the objective.
    """
    if not methods:
        raise InputError("methods: none; expected one or more")
    cuts = sorted({cut for method in methods for cut in method.cuts})
    rounds = max(method.rounds for method in methods)
    most = max(method.max_steps or 0 for method in methods)
    if any(method.growth is not None for method in methods):
        methods = [method.with_growth() for method in methods]
    aligned = [method.with_cuts(cuts).padded(rounds).replace(max_steps=most) for method in methods]
    for method in aligned:
        if jax.tree.structure(method) != jax.tree.structure(aligned[0]):
            raise InputError(
                "methods: differ in ramp, optimizer, sna, keep, terms, noise, or in what has "
                "a ball; expected these equal in all of them"
            )
    return aligned


def _noise(prior: Prior, rounds: Sequence[Round], cuts: Sequence[int]) -> Variables:
    """Of what each round searches, the noise maps left out."""
    parts = [prior.free(*(r.inputs or (0, 0)), None, r.space) for r in rounds]
    scaled = [
        jax.tree.map(lambda m, r=r: np.float32(r.noise) * m, p)
        for r, p in zip(rounds, parts, strict=True)
    ]
    return Variables(
        jax.tree.map(lambda *leaves: np.stack(leaves), *scaled),
        {c: _array(r.noise * (r.deviation == c) for r in rounds) for c in cuts},
    )


def _array(values: Any, dtype: Any = np.float32) -> Any:
    return np.asarray(list(values), dtype)


def numpy_of(*leaves: Any) -> Any:
    """NumPy, for which nothing is compiled, unless one of them is JAX's."""
    return jnp if any(isinstance(leaf, jax.Array) for leaf in leaves) else np


def each_round(value: Any, rounds: int) -> Any:
    """`[rounds]` of one number, or of one a round."""
    if isinstance(value, jax.Array):
        return jnp.broadcast_to(value.astype(jnp.float32), (rounds,))
    return np.broadcast_to(np.asarray(value, np.float32), (rounds,))
