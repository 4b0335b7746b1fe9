"""What the automatic choice tries: a method, and others that are better where much more or much
less is measured, or under noise.

A new candidate is one function and one row of the table.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.ops import Determined
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import FOR_ERROR, Mse, NearMean
from ilo_jax.solve.method import ADAM, Method
from ilo_jax.solve.methods import ilo, ilo_from_mean, map_estimate
from ilo_jax.solve.optimizers import QUICK_ADAM
from ilo_jax.solve.rounds import ilo_ramp, quick_ramp

NEAR = NearMean(FOR_ERROR)
"""The term that draws to the mean what is tried under noise."""

Candidate = Callable[[Prior, Method], Method | None]
"""Of a method; None where the generator or the method has nothing of the kind."""


def _radii_times(factor: float) -> Candidate:
    def scaled(prior: Prior, method: Method) -> Method:
        del prior
        v = jax.tree.map(lambda r: r * np.float32(factor), method.radii.v)
        return method.replace(radii=method.radii.replace(v=v))

    return scaled


def _slower(prior: Prior, method: Method) -> Method:
    del prior
    return method.replace(rate=method.rate * np.float32(0.5))


def _deeper(prior: Prior, method: Method) -> Method | None:
    """ILO with one more cut, in as many steps, its ball as wide as the first."""
    cuts = prior.usual_cuts[: len(method.cuts) + 1]
    if len(cuts) == len(method.cuts):
        return None
    radii = [prior.facts.radius(cut) for cut in (*cuts[:-1], cuts[0])]
    steps = divided_steps(method, len(cuts) + 1)
    found = ilo(prior, steps, (0, *cuts), **_like(method), radii=radii)
    return found.replace(growth=np.full(len(steps), prior.facts.growth, np.float32))


def _from_mean(prior: Prior, method: Method) -> Method | None:
    """`ilo_from_mean`, in as many steps; under noise nearer to the mean in W and in W+."""
    if not {"w", "w_plus"} <= {*prior.spaces}:
        return None
    rounds = min(method.rounds, len(prior.usual_cuts) + 2)
    found = ilo_from_mean(prior, divided_steps(method, max(rounds, 2)), **_like(method))
    objective, in_w = found.objective, (np.arange(found.rounds) < 2).astype(np.float32)
    weights: Any = tuple(
        in_w if term == NEAR else weight
        for term, weight in zip(objective.terms, objective.weights, strict=True)
    )
    return found.replace(objective=objective.replace(weights=weights))


NEAR_MEAN = "near the mean"


def near_mean(prior: Prior, method: Method) -> Method:
    """`map_estimate` with the prior that suits squared error, in as many steps, for a method that
    has the term. It is not tried: where noise hides nearly all, what is held out tells nothing."""
    like = _like(method)
    objective = like["objective"]
    zero_or_one = tuple(
        np.float32(isinstance(term, Mse) or term == NEAR) for term in objective.terms
    )
    like["objective"] = objective.replace(weights=zero_or_one)
    return map_estimate(prior, int(np.sum(method.steps)), **like)


CANDIDATES: Mapping[str, Candidate] = {
    "as it is": lambda _, method: method,
    "narrow balls": _radii_times(0.4),
    "wide balls": _radii_times(3.0),
    "slower": _slower,
    "from the mean": _from_mean,
    "deeper": _deeper,
}
"""By name."""


def candidates(
    prior: Prior, method: Method, names: Sequence[str], *, noise: bool = False
) -> dict[str, Method]:
    """Those of the named ones that there are.

    Args:
      noise: whether there is any, so that some are drawn to the mean.
    """
    if noise and "w_plus" in prior.spaces:
        near = (0 * NEAR).over(method.rounds)
        method = method.replace(objective=method.objective + near)
    found = {name: CANDIDATES[name](prior, method) for name in names}
    return {name: method for name, method in found.items() if method is not None}


def suited(prior: Prior, names: Sequence[str], determined: Determined, sparing: bool) -> np.ndarray:
    """`[candidates, B]`, which to try for which image: all; sparing, wide balls only where more
    than `Facts.scarce` of it is measured, noise aside, and the mean of W only elsewhere."""
    found = np.ones((len(names), len(determined.share)), bool)
    if sparing:
        few = np.asarray(determined.noiseless) <= prior.facts.scarce
        for row, name in zip(found, names, strict=True):
            row &= {"from the mean": few, "wide balls": ~few}.get(name, True)
    return found


def shortened(method: Method, length: float) -> Method:
    """With a part of the steps of every round, at least one."""
    if length == 1:
        return method
    steps: Any = np.ceil(np.asarray(method.steps) * length).astype(np.int32)
    total = int(steps.sum())
    return method.replace(steps=steps, stop=np.asarray(total, np.int32), max_steps=total)


def quickened(method: Method) -> Method:
    """With Adam and ramp for rounds of few steps; another optimizer or ramp stays."""
    if method.optimizer is ADAM:
        method = method.replace(optimizer=QUICK_ADAM)
    return method.replace(ramp=quick_ramp) if method.ramp is ilo_ramp else method


def divided_steps(method: Method, rounds: int) -> list[int]:
    """The method's steps over so many rounds."""
    total = int(np.sum(method.steps))
    return [total // rounds + (r < total % rounds) for r in range(rounds)]


def _like(method: Method) -> dict[str, Any]:
    """What of a method does not depend on its rounds; weights those of its last one."""
    objective = method.objective
    weights = tuple(jnp.asarray(w)[-1] for w in objective.weights)
    static = {name: getattr(method, name) for name in ("ramp", "optimizer", "sna", "keep")}
    return {"objective": objective.replace(weights=weights), **static}


PARTS = (2.3, 0.4, 0.04)
"""Radii one after the other, as parts of the mean l1 distance of two images' codes: in the middle
of what those of two trainings of `chest64` are, which differ up to sevenfold."""


def with_usual_radii(prior: Prior, methods: Sequence[Method], times: float = 1) -> list[Method]:
    """The methods with l1 radii by the size of the generator's codes, times a number, where they
    have none."""
    without = [m for m in methods if not any(np.isfinite(r).any() for r in m.radii.v.values())]
    cuts = tuple(sorted({cut for method in without for cut in method.cuts}))
    if not cuts:
        return list(methods)
    distances = dict(zip(cuts, jax.jit(lambda prior: prior.spread(cuts))(prior), strict=True))

    def usual(method: Method) -> Method:
        parts = PARTS + PARTS[-1:] * len(method.cuts)
        radii = {
            cut: jnp.where(method.free.v[cut], times * part * distances[cut], method.radii.v[cut])
            for cut, part in zip(method.cuts, parts, strict=False)
        }
        return method.replace(radii=method.radii.replace(v=radii))

    return [usual(m) if any(m is w for w in without) else m for m in methods]


def knowing_noise(method: Method) -> Method:
    """With the variance of the operator's noise as the floor of the squared error."""
    terms = method.objective.terms
    known = tuple(t.replace(discrepancy=True) if isinstance(t, Mse) else t for t in terms)
    return method.replace(objective=method.objective.replace(terms=known))
