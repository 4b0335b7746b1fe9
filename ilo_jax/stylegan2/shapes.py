"""The arrays of a generator by its config, known without tracing the networks, which takes as long
as everything else that happens before a checkpoint is read."""

from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.stylegan2.config import GeneratorConfig
from ilo_jax.stylegan2.generator import Generator
from ilo_jax.stylegan2.proxy import MappingProxy


def generator_shapes(config: GeneratorConfig) -> Generator:
    """Shapes and types of a generator's arrays, but for what is derived from the others."""
    c = config
    layers = range(c.num_layers)
    params: dict[str, Any] = {"const": _array(4, 4, c.channels[0])}
    for i, width in enumerate(c.style_widths):
        kernel = _array(3, 3, width, c.layer_channels(i))
        params[f"layers_{i}"] = _modulated(c, width, kernel) | {"noise_strength": _array()}
    for i, width in enumerate(c.rgb_widths):
        params[f"to_rgb_{i}"] = _modulated(c, width, _array(width, c.image_channels))
    for i in range(c.num_blocks - 1 if c.architecture == "resnet" else 0):
        params[f"residuals_{i}"] = {"kernel": _array(*c.channels[i : i + 2])}
    return Generator(
        config=c,
        mapping={"params": _mapping(c)},
        synthesis={"params": params},
        w_avg=_array(c.w_dim),
        noises=tuple(_array(n, n, 1) for n in map(c.layer_resolution, layers)),
        proxy=MappingProxy(_array(c.w_dim), _array(c.w_dim)),
    )


def _mapping(c: GeneratorConfig) -> dict[str, Any]:
    found, width = {}, c.z_dim
    if c.label_dim:
        found["embed"] = _dense(c.label_dim, c.label_width)
        width += c.label_width
    for i, after in enumerate(c.mapping_widths):
        found[f"dense_{i}"], width = _dense(width, after), after
    return found


def _modulated(c: GeneratorConfig, width: int, kernel: Any) -> dict[str, Any]:
    return {"affine": _dense(c.w_dim, width), "kernel": kernel, "bias": _array(kernel.shape[-1])}


def _dense(before: int, after: int) -> dict[str, Any]:
    return {"kernel": _array(before, after), "bias": _array(after)}


def _array(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
