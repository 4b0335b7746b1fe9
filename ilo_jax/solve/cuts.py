"""What a round optimizes: Algorithm 1's two minimizations, and both at once.

`G = G2 o G1` is cut before a layer; the code `z^p` is what G2 reads there: the feature map, or
the image where the cut is behind the last layer.
"""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.solve.spaces import Sphere
from ilo_jax.stylegan2 import Generator, Noises, State, apply_layers


class Variables(flax.struct.PyTreeNode):
    """What a round optimizes.

    Attributes:
      latents: `[L, d]`, in the space that is searched.
      noises: the noise maps `[h, w, 1]` that the cut says.
      code: `[h, w, c]`, the code or a deviation from it; None where only the rest is optimized.
    """

    latents: jax.Array
    noises: Noises
    code: jax.Array | None


class Solution(flax.struct.PyTreeNode):
    """One image's solution between rounds (batch axes in front in what `solve` returns).

    Attributes:
      latents: `[L, d]`, in the space that is searched.
      noises: all noise maps, one `[h, w, 1]` a layer.
      states: what the generator's layers read at the start and at the cuts so far, by layer.
      image: `[H, W, C]`, the generated image with the least measurement error so far.
      error: its error, `Operator.error`: the measurement MSE.
      found_at: its step, counted over all rounds.
    """

    latents: jax.Array
    noises: Noises
    states: dict[int, State]
    image: jax.Array
    error: jax.Array
    found_at: jax.Array

    @property
    def layer(self) -> int:
        """The deepest cut so far."""
        return max(self.states)

    @property
    def state(self) -> State:
        """The state at the deepest cut."""
        return self.states[self.layer]

    def with_state(self, layer: int, state: State) -> "Solution":
        """With another state at a cut, which makes deeper ones obsolete."""
        kept = {at: found for at, found in self.states.items() if at < layer}
        return self.replace(states=kept | {layer: state})


@dataclasses.dataclass(frozen=True)
class Cut:
    """The best code in a ball around G1's, and of latents and noise maps of G2 (Algorithm 1,
    line 4, in the form of Section 4.1); behind layer 0 CSGM's solution (line 1).

    Attributes:
      layer: first synthesis layer of G2; 0 where there is no G1 and no code.
      noise_maps: noise maps of layers below this index (and of G2) are optimized.
    """

    layer: int
    noise_maps: int

    @property
    def has_code(self) -> bool:
        """Whether a code is optimized, in its l1 ball."""
        return self.layer > 0

    def enter(self, generator: Generator, space: Sphere, solution: Solution) -> Solution:
        """Moves to this cut: `z^p = G1(z^k)` (line 2), from the deepest state before it."""
        start = max(at for at in solution.states if at <= self.layer)
        state = run(generator, space, solution, solution.states[start], start, self.layer)
        return solution.with_state(self.layer, state)

    def variables(self, generator: Generator, solution: Solution) -> Variables:
        """What the round starts from, and the centre of its balls."""
        code = get_code(generator, self.layer, solution.state) if self.has_code else None
        return Variables(solution.latents, solution.noises[self.layer : self.noise_maps], code)

    def update(
        self, generator: Generator, space: Sphere, solution: Solution, variables: Variables
    ) -> Solution:
        """The solution with a round's variables in it."""
        del space
        solution = _with_inputs(solution, variables, self.layer)
        if variables.code is None:
            return solution
        state = set_code(generator, self.layer, solution.state, variables.code)
        return solution.with_state(self.layer, state)

    def latents_in_use(self, latents: jax.Array) -> jax.Array:
        """Those of `[L, d]` that the round's loss depends on."""
        return latents[self.layer :]


@dataclasses.dataclass(frozen=True)
class ExtendedRange(Cut):
    """Latents and noise maps of the whole generator together with the code's deviation from G1:
    all of the extended range `G1(B_2) + B_1` at once (Section 2.2). Behind the last layer this is
    Dhar et al. (2018), sparse deviations of the image."""

    def variables(self, generator: Generator, solution: Solution) -> Variables:
        code = get_code(generator, self.layer, solution.state)
        return Variables(solution.latents, solution.noises[: self.noise_maps], jnp.zeros_like(code))

    def update(
        self, generator: Generator, space: Sphere, solution: Solution, variables: Variables
    ) -> Solution:
        assert variables.code is not None
        solution = _with_inputs(solution, variables, 0)
        state = run(generator, space, solution, solution.states[0], 0, self.layer)
        code = get_code(generator, self.layer, state) + variables.code
        return solution.with_state(self.layer, set_code(generator, self.layer, state, code))

    def latents_in_use(self, latents: jax.Array) -> jax.Array:
        return latents


@dataclasses.dataclass(frozen=True)
class RangeProjection(Cut):
    """Back to the range of G1: the latents and noise maps whose `G1(z^k)` is nearest to the code
    (Algorithm 1, lines 5 and 6). It looks at no measurement."""

    @property
    def has_code(self) -> bool:
        return False

    def enter(self, generator: Generator, space: Sphere, solution: Solution) -> Solution:
        """Stays at the code that the round before found there."""
        del generator, space
        assert solution.layer == self.layer, "a projection follows a round at the same cut"
        return solution

    def variables(self, generator: Generator, solution: Solution) -> Variables:
        del generator
        return Variables(solution.latents, solution.noises[: self._noise_maps], None)

    def update(
        self, generator: Generator, space: Sphere, solution: Solution, variables: Variables
    ) -> Solution:
        solution = _with_inputs(solution, variables, 0)
        state = run(generator, space, solution, solution.states[0], 0, self.layer)
        return solution.with_state(self.layer, state)

    def latents_in_use(self, latents: jax.Array) -> jax.Array:
        return latents[: self.layer]

    @property
    def _noise_maps(self) -> int:
        return min(self.layer, self.noise_maps)


def run(
    generator: Generator, space: Sphere, solution: Solution, state: State, start: int, stop: int
) -> State:
    """`apply_layers` with a solution's latents and noise maps."""
    w = space.to_w(generator, solution.latents)
    return apply_layers(generator, state, w, solution.noises, start, stop)


def get_code(generator: Generator, layer: int, state: State) -> jax.Array:
    """`z^p` of a state; the RGB skip summed up below a cut is not part of it, but carried along."""
    if layer < generator.config.num_layers:
        return state.features
    assert state.rgb is not None
    return state.rgb


def set_code(generator: Generator, layer: int, state: State, code: jax.Array) -> State:
    """The state with another `z^p`."""
    if layer < generator.config.num_layers:
        return state._replace(features=code)
    return state._replace(rgb=code)


def _with_inputs(solution: Solution, variables: Variables, first: int) -> Solution:
    """Latents, and the noise maps from that of layer `first` on."""
    after = first + len(variables.noises)
    noises = solution.noises[:first] + variables.noises + solution.noises[after:]
    return solution.replace(latents=variables.latents, noises=noises)
