"""Algorithm 1, for one image; `reconstruct.py` maps it over a batch.

A round begins (`begin`); a `step` goes down the gradient (`descend`), back into the l1 balls
(`constrain`), and keeps the best image. Which of the paper's lines a round is (line 1,
CSGM; line 4, the best code in a ball; line 5, back to the range of G1) only its numbers say.
"""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import lax

from ilo_jax.ops import Determined, Operator, project_l1_ball
from ilo_jax.priors import Prior, growth_factor
from ilo_jax.solve.losses import Data, Target, View
from ilo_jax.solve.method import Method
from ilo_jax.solve.variables import Variables, code, image, with_cuts, zeros

_JUDGE = 2**31
"""Folded into an image's key; the others are numbers of rounds."""

_DISTURB = 2**31
"""Folded into a step's key, which is split for what else it draws."""


class Solution(flax.struct.PyTreeNode):
    """The best image of a search so far.

    Attributes:
      image: `[H, W, C]`, of the generator, not clipped.
      error: `Operator.error` of its measurement, over the entries held out if there are any;
        infinite before the first finite one.
      found_at: its step, counted over all rounds.
    """

    image: jax.Array
    error: jax.Array
    found_at: jax.Array


class Search(flax.struct.PyTreeNode):
    """The state of one image's search.

    Attributes:
      x: where the next step starts.
      center: where the round began; the middle of its balls.
      goals: by cut, the code whose nearest point in the range of G1 line 5 looks for.
      optimizer: the optimizer's state.
      loss: what the last step went down from: the objective, in rounds of line 5 the distance to
        the range of G1; infinite before the first step.
      best: the best image so far, and `best_x`, the variables that it comes from.
      rounds: leaves `[rounds]`, the best image at the end of each.
      key: of what is drawn in the steps.
    """

    x: Variables
    center: Variables
    goals: dict[int, jax.Array]
    optimizer: Any
    loss: jax.Array
    best: Solution
    best_x: Variables
    rounds: Solution
    key: jax.Array


class Problem(flax.struct.PyTreeNode):
    """One image's problem.

    Attributes:
      prior: `G`.
      operator: `A`.
      method: the rounds.
      data: the measurement, and what else is known.
      targets: what the terms of the objective prepared.
      center: in the middle of all balls instead of where a round began, such as another image's
        variables; None without.
      determined: shares of the image (`ops.determined_share`), by which radii grow and which terms
        ask for; None where nothing does.
    """

    prior: Prior
    operator: Operator
    method: Method
    data: Data
    targets: tuple[Target, ...]
    center: Variables | None
    determined: Determined | None = None

    @property
    def sna(self) -> bool:
        """Whether the operator's noise is added to what the objective sees (Section 4.2). Where it
        is clipped, or depends on the image, its likelihood is better: noise that is added would
        draw images to where it is least, such as the ends."""
        if self.method.sna is not None:
            return self.method.sna
        return self.operator.noise_is_additive


def start(
    prior: Prior, method: Method, key: jax.Array, initial: Variables | None, at: int | None = None
) -> Search:
    """Before the first step, from `initial` or where the method says.

    Args:
      at: `method.start` where it is known; else all starts are in the program.
    """
    k_start, k_steps = jax.random.split(key)
    v = zeros(prior, method.cuts)
    if initial is None:
        starts = list(prior.starts().values())
        drawn = lax.switch(method.start, starts, k_start) if at is None else starts[at](k_start)
        x = Variables(drawn, v)
    else:
        x = with_cuts(initial, v)
    best = Solution(jnp.zeros(prior.image_shape, jnp.float32), jnp.float32(jnp.inf), jnp.int32(0))
    return Search(
        x=x,
        center=x,
        goals=zeros(prior, tuple(method.back)),
        optimizer=method.optimizer.init(x),  # pyright: ignore[reportArgumentType]
        loss=jnp.float32(jnp.inf),
        best=best,
        best_x=x,
        rounds=jax.tree.map(lambda leaf: jnp.stack([leaf] * method.rounds), best),
        key=k_steps,
    )


def begin(problem: Problem, search: Search, t: jax.Array) -> Search:
    """The round of step `t` begins: `z^p` is noted if it goes back to the range (line 5),
    deviations that end here become 0, the optimizer starts anew."""
    r, _ = problem.method.position(t)
    now, x = problem.method.at(r), search.x
    goals = {
        cut: lax.cond(
            now.back[cut],
            lambda x, _, cut=cut: code(problem.prior, x, cut),
            lambda _, goal: goal,
            x,
            goal,
        )
        for cut, goal in search.goals.items()
    }
    x = x.replace(v={c: jnp.where(now.reset[c], jnp.zeros_like(v), v) for c, v in x.v.items()})
    center = problem.center
    center = x if center is None else with_cuts(center, jax.tree.map(jnp.zeros_like, x.v))
    optimizer = now.optimizer.init(x)  # pyright: ignore[reportArgumentType]
    optimizer = _with_key(optimizer, jax.random.fold_in(search.key, r))
    return search.replace(x=x, center=center, goals=goals, optimizer=optimizer)


def begin_if_first(problem: Problem, search: Search, t: jax.Array) -> Search:
    """`begin` if step `t` is the first of its round."""
    _, i = problem.method.position(t)
    return lax.cond(i == 0, begin, lambda problem, search, t: search, problem, search, t)


def step(problem: Problem, search: Search, t: jax.Array) -> Search:
    """Step `t`, counted over all rounds, of a round that has begun."""
    r, i = problem.method.position(t)
    now = problem.method.at(r)
    key = jax.random.fold_in(jax.random.fold_in(search.key, r), i)
    done = i.astype(jnp.float32) / now.steps.astype(jnp.float32)
    x, found, search = descend(problem, now, key, done, search)
    better = jnp.isfinite(found.error)
    better &= now.keep == "last" or found.error < search.best.error
    found = found.replace(found_at=t)
    best = choose(better, found, search.best)
    rounds = jax.tree.map(lambda kept, new: kept.at[r].set(new), search.rounds, best)
    return search.replace(best=best, best_x=choose(better, x, search.best_x), rounds=rounds)


def choose(condition: jax.Array, a: Any, b: Any) -> Any:
    """`jnp.where` of two equal pytrees."""
    return jax.tree.map(functools.partial(jnp.where, condition), a, b)


def descend(
    problem: Problem, now: Method, key: jax.Array, done: jax.Array, search: Search
) -> tuple[Variables, Solution, Search]:
    """One step of projected gradient descent.

    Args:
      now: the round's numbers.
      key: of this step's noise.
      done: fraction of the round that is done.

    Returns:
      The variables before the step with their image and its error, and the search after it.
    """
    k_explore, k_noise = jax.random.split(key)
    x = search.x
    if now.exploration is not None:
        strength = now.exploration * jnp.maximum(0, 1 - done / 0.75) ** 2
        x = x.replace(inputs=problem.prior.explore(x.inputs, k_explore, strength))
    k_judge = jax.random.fold_in(search.key, _JUDGE)
    loss = functools.partial(objective, problem, now, k_noise, k_judge)
    if search.goals:
        loss = functools.partial(
            lax.cond,
            functools.reduce(jnp.logical_or, now.back.values()),
            functools.partial(range_distance, problem.prior, now.back, search.goals),
            loss,
        )
    (value, found), gradient = jax.value_and_grad(loss, has_aux=True)(x)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes types
        updates, optimizer = now.optimizer.update(
            _masked(now.free, gradient),  # pyright: ignore[reportArgumentType]
            search.optimizer,
            search.x,  # pyright: ignore[reportArgumentType]
        )
    rate = now.rate * now.ramp(done)
    moved = jax.tree.map(lambda a, u: a + rate * u, search.x, updates)
    if now.noise is not None:
        moved = disturbed(moved, now.noise, jax.random.fold_in(key, _DISTURB))
    moved = constrain(problem, now, moved, search)
    return x, found, search.replace(x=moved, optimizer=optimizer, loss=value)


def disturbed(x: Variables, noise: Variables, key: jax.Array) -> Variables:
    """With Gaussian noise of these standard deviations."""
    leaves, treedef = jax.tree.flatten(x)
    keys = treedef.unflatten(list(jax.random.split(key, len(leaves))))

    def add(a: jax.Array, std: jax.Array, key: jax.Array) -> jax.Array:
        return a + std * jax.random.normal(key, (a.size,), jnp.float32).reshape(a.shape)

    return jax.tree.map(add, x, noise, keys)


def objective(
    problem: Problem, now: Method, key: jax.Array, judge: jax.Array, x: Variables
) -> tuple[jax.Array, Solution]:
    """What a round minimizes that looks at the measurement (lines 1 and 4, Section 4.2), and with
    it the image and its error.

    Args:
      key: of the noise that SNA adds, another one in each step.
      judge: of the noise that it adds where images are compared, the same in all steps of an
        image, so that the best is not the one with the luckiest draw.
    """
    prior, operator, data = problem.prior, problem.operator, problem.data
    generated = image(prior, x)
    predicted = judged = operator(generated)
    if problem.sna:
        predicted, judged = (operator.measure(k, generated) for k in (key, judge))
    of_image = (prior, operator, data, generated, predicted, x, now.free.inputs)
    view = View(*of_image, problem.determined, problem.sna)
    value = now.objective(problem.targets, view)
    return value, Solution(generated, view.judged(judged), jnp.int32(0))


def range_distance(
    prior: Prior, back: dict[int, jax.Array], goals: dict[int, jax.Array], x: Variables
) -> tuple[jax.Array, Solution]:
    """What a projection back to the range minimizes (line 5): the mean of `(G1(z^k) - z^p)^2`.
    There is no image yet."""
    value = jnp.float32(0)
    for cut, goal in goals.items():
        distance = jnp.mean((code(prior, x, cut) - goal) ** 2)
        value += jnp.where(back[cut], distance, 0)
    none = jnp.zeros(prior.image_shape, jnp.float32)
    return value, Solution(none, jnp.float32(jnp.inf), jnp.int32(0))


def constrain(problem: Problem, now: Method, moved: Variables, search: Search) -> Variables:
    """What is free moves: the inputs back to where they belong (Section 4.1), then everything into
    its l1 ball around the centre (Algorithm 1, line 4). The rest stays as it was, to the bit."""
    kept = problem.prior.keep(moved.inputs, search.center.inputs, now.constraint)
    moved = moved.replace(inputs=kept)
    radii = now.radii
    if problem.determined is not None and now.growth is not None:
        factor = growth_factor(now.growth, problem.determined)
        radii = radii.replace(v={cut: radius * factor for cut, radius in radii.v.items()})

    def balls(least: jax.Array | None, radius: jax.Array | None, *parts: Any) -> Any:
        return jax.tree.map(functools.partial(_ball, least, radius), *parts)

    return jax.tree.map(
        balls,
        *(now.radii, radii, moved, search.x, search.center, now.free),
        is_leaf=lambda leaf: leaf is None,
    )


def _ball(
    least: jax.Array | None,
    radius: jax.Array | None,
    moved: jax.Array,
    before: jax.Array,
    center: jax.Array,
    free: Any,
) -> jax.Array:
    """The nearest point of the l1 ball around the centre, where there is one and it is free.
    Whether there is, the `least` radius says: it does not differ by image, as a grown one may."""
    if least is None or radius is None:
        return jnp.where(free, moved, before)
    return lax.cond(
        jnp.any(free) & (least < jnp.inf),
        lambda x: jnp.where(free, center + project_l1_ball(x - center, radius), before),
        lambda x: jnp.where(free, x, before),
        moved,
    )


def _masked(free: Variables, gradient: Variables) -> Variables:
    return jax.tree.map(lambda m, g: jnp.where(m, g, jnp.zeros_like(g)), free, gradient)


def _with_key(optimizer: Any, key: jax.Array) -> Any:
    """An optimizer that draws noise does so with the image's own key, not one for all."""
    found = optax.tree_utils.tree_get_all_with_path(optimizer, "rng_key")
    if not found:
        return optimizer
    typed = jnp.issubdtype(found[0][1].dtype, jax.dtypes.prng_key)
    return optax.tree_utils.tree_set(optimizer, rng_key=key if typed else jax.random.key_data(key))
