"""From what a user chooses to a method, and back to what `run.json` says of it."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.app.folder import without_infinity
from ilo_jax.app.settings import Settings, Video
from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve import (
    PRESETS,
    TERMS,
    DeadZone,
    Likelihood,
    Method,
    Mse,
    Objective,
    Perceptual,
    PerceptualEnlarged,
    PerceptualScales,
    Reference,
    Regularizer,
    Term,
    Variables,
    around,
)
from ilo_jax.stylegan2 import Inputs


def method_of(settings: Settings, prior: Prior) -> Method:
    """The method that was chosen, with the generator's radii unless others were.

    Raises:
      InputError: a number that the method has none of, or that does not go with the others.
    """
    assert settings.method is not None
    preset = PRESETS[settings.method]
    if settings.cuts is not None and not preset.cuts:
        raise InputError(f"cuts: {settings.method} has none to choose; expected ilo or ilo-range")
    if settings.radii is not None and not preset.has_radii:
        raise InputError(f"radii: {settings.method} has no balls; expected a method that cuts")
    objective = None
    if settings.weights is not None:
        objective = objective_of(settings.weights, settings.tolerance, preset.terms)
    given = {
        "steps": settings.steps,
        "cuts": settings.cuts,
        "rate": settings.lr,
        "radii": settings.radii,
        "objective": objective,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    return preset.make(prior, **chosen, sna=settings.sna)


def objective_of(
    weights: Mapping[str, tuple[float, ...]],
    tolerance: float | None = None,
    own: Mapping[str, Callable[[], Term]] | None = None,
) -> Objective:
    """The sum of terms by name, each with one weight or one a round.

    Args:
      tolerance: of the term `dead_zone`.
      own: terms of the method where they are not as in `TERMS`.
    """
    table = {**TERMS, **(own or {})}
    if tolerance is not None:
        table["dead_zone"] = lambda: DeadZone(tolerance)
    terms = tuple(table[name]() for name in weights)
    return Objective(terms, tuple(map(_scalar_or_rounds, weights.values())))


def weights_of(objective: Objective) -> dict[str, tuple[float, ...]]:
    """The weights by name, one where all rounds have the same."""
    return {
        _name(term): _short(weight)
        for term, weight in zip(objective.terms, objective.weights, strict=True)
    }


def without_reference(method: Method) -> Method:
    """The method for an image that has none."""
    objective = method.objective
    kept = [
        both
        for both in zip(objective.terms, objective.weights, strict=True)
        if not isinstance(both[0], Reference)
    ]
    terms, weights = zip(*kept, strict=True) if kept else ((), ())
    return method.replace(objective=Objective(terms, weights))


def has_reference(method: Method) -> bool:
    """Whether the objective has a term that looks at a reference."""
    return any(isinstance(term, Reference) for term in method.objective.terms)


def near(settings: Settings, prior: Prior, method: Method) -> Method:
    """The method around an earlier image, where there is one.

    Raises:
      InputError: layers that the generator has not.
    """
    earlier = settings.earlier
    if earlier is None:
        return method
    radius, noises = earlier.radii
    first, last = earlier.layers or (0, prior.depth - 1)
    w, styles = radius * prior.unit("w"), radius * prior.unit("styles")
    radii = Inputs(latents=radius, w=w, w_plus=w, styles=styles, noises=noises)
    return around(prior, method, (first, last + 1), radii)


def of_frames(method: Method, video: Video) -> Method:
    """One round, the method's last that looks at the measurement, held near where it starts."""
    back = np.zeros(method.rounds, bool)
    for goes_back in method.back.values():
        back |= np.asarray(goes_back)
    last = int(np.flatnonzero(~back & (np.asarray(method.steps) > 0))[-1])
    one = method.map(lambda leaf: leaf[last : last + 1] if leaf.ndim else leaf)
    code, latents, noises = (jnp.full(1, radius, jnp.float32) for radius in video.radii)
    return one.replace(
        steps=jnp.full(1, video.steps, jnp.int32),
        stop=jnp.int32(video.steps),
        max_steps=video.steps,
        reset=jax.tree.map(jnp.zeros_like, one.reset),  # what the last frame deviates by stays
        radii=Variables(
            Inputs(latents=latents, w=None, w_plus=None, styles=None, noises=noises),
            {cut: jnp.where(free, code, jnp.inf) for cut, free in one.free.v.items()},
        ),
    )


def describe(settings: Settings, method: Method) -> dict[str, Any]:
    """What the method's numbers are, given or not, as JSON has them: one for all rounds where they
    are the same."""
    found: dict[str, Any] = {
        "steps": np.asarray(method.steps).tolist(),
        "lr": _short(method.rate),
        "weights": settings.weights or weights_of(method.objective),
    }
    if method.cuts:
        in_order = sorted(
            (int(r), float(method.radii.v[cut][r]))
            for cut in method.cuts
            for r in np.flatnonzero(method.free.v[cut])
        )
        found["radii"] = without_infinity(_short([radius for _, radius in in_order]))
    return found


def _name(term: Term) -> str:
    if isinstance(term, Regularizer):
        return term.name
    names = {
        Mse: "mse",
        DeadZone: "dead_zone",
        Perceptual: "lpips",
        PerceptualEnlarged: "lpips_enlarged",
        PerceptualScales: "lpips_scales",
        Likelihood: "likelihood",
    }
    return names.get(type(term), type(term).__name__)


def _scalar_or_rounds(values: tuple[float, ...]) -> jax.Array:
    return jnp.asarray(values[0] if len(values) == 1 else values, jnp.float32)


def _short(values: Any) -> tuple[float, ...]:
    rounded = tuple(float(f"{value:.6g}") for value in np.asarray(values).ravel().tolist())
    return rounded[:1] if len(set(rounded)) == 1 else rounded
