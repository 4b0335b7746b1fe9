"""The generator that was chosen."""

import jax

from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError
from ilo_jax.files.generators import load
from ilo_jax.priors import Prior
from ilo_jax.stylegan2 import StyleGAN2, with_label


def load_prior(
    generator: str, label: int | None, seed: int, precision: str = "float32"
) -> StyleGAN2:
    """A generator by name or folder, in a precision; a class-conditional one of one class.

    Raises:
      InputError: there is none, it needs a label, or it has none or no such one.
    """
    prior = load(generator)
    if precision != "float32":  # which it has
        prior = prior.with_precision(precision)
    if prior.image_shape[-1] not in (1, 3):
        raise InputError(
            f"{generator}: images of {prior.image_shape[-1]} channels; expected 1 (grey) or 3 (RGB)"
        )
    classes = prior.generator.config.label_dim
    if label is None and classes:
        raise InputError(f"--label: {generator} is class-conditional; expected 0 to {classes - 1}")
    if label is None:
        return prior
    if not classes:
        raise InputError(f"--label {label}: {generator} has no classes; expected no label")
    if label >= classes:
        raise InputError(f"--label {label}: expected 0 to {classes - 1}, a class of {generator}")
    key = jax.random.fold_in(jax.random.key(seed), 2)
    return prior.replace(generator=with_label(prior.generator, label, key))


def prior_of(settings: Settings) -> StyleGAN2:
    """The generator that was chosen; errors as `load_prior`."""
    return load_prior(settings.generator, settings.label, settings.seed, settings.precision)


def usual_width(prior: Prior, restarts: int) -> int:
    """Images at a time on a device: what is about as fast an image as any more are
    (docs/scale.md). The cores of a processor share what is usual."""
    pixels = prior.image_shape[0] * prior.image_shape[1]
    if jax.default_backend() == "cpu":
        usual = prior.facts.batch or min(32, 2**18 // pixels)
        usual //= jax.local_device_count()
    else:
        usual = max(prior.facts.batch, min(256, 2**20 // pixels))
    return max(1, usual // restarts)
