"""What a run says of itself, in `run.json`."""

import dataclasses
from typing import Any

import jax

import ilo_jax
from ilo_jax.app.folder import without_infinity
from ilo_jax.app.methods import describe
from ilo_jax.app.settings import Settings
from ilo_jax.solve import Method


def description_of(settings: Settings, asked: Settings, method: Method) -> dict[str, Any]:
    """JSON-able: what was chosen, what the method has by default, and what was asked for."""
    given = {k: v for k, v in dataclasses.asdict(settings).items() if v is not None}
    options = given.pop("options")
    return given | describe(settings, method) | options | {"made_by": _made_by(asked)}


def _made_by(settings: Settings) -> dict[str, Any]:
    """What was asked for, as `--config` takes it, and what else the bytes depend on."""
    asked = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if getattr(settings, field.name) not in (None, field.default)
    }
    earlier = asked.pop("earlier", None)
    if earlier is not None:
        asked |= {
            f"prior_{name}": value for name, value in vars(earlier).items() if value is not None
        }
    video = asked.pop("video", None)
    if video is not None:
        asked |= {"video": True, "frame_steps": video.steps, "frame_radii": video.radii}
    given = {k: without_infinity(v) if isinstance(v, tuple) else v for k, v in asked.items()}
    return {
        "given": given,
        "ilo_jax": ilo_jax.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }
