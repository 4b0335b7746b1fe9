"""A pre-trained StyleGAN2 generator as a pytree, and the pure functions that run it.

Everything takes the generator first and any number of batch axes (`...`), none included.
Images are float32, nominally in [-1, 1], channels last.
"""

import dataclasses
import functools
import itertools
import zlib

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.stylegan2.config import GeneratorConfig
from ilo_jax.stylegan2.networks import Mapping, State, Styles, Synthesis, derive_layer
from ilo_jax.stylegan2.proxy import MappingProxy, fit_mapping_proxy, map_z

Noises = tuple[jax.Array, ...]
PRECISIONS = ("float32", "bfloat16")


@flax.struct.dataclass
class Generator:
    """A StyleGAN2 generator: static sizes and arrays.

    Attributes:
      config: the sizes.
      mapping: Flax variables of the mapping network.
      synthesis: Flax variables of the synthesis network: `params` and, computed from them
        once, `derived`.
      w_avg: `[w_dim]`, the mean of W; the centre of truncation.
      noises: one fixed noise map `[H, W, 1]` a layer, as the checkpoint has them.
      proxy: the mapping proxy.
      precision: of features and convolutions of the synthesis network; `with_precision`.
    """

    config: GeneratorConfig = flax.struct.field(pytree_node=False)
    mapping: dict
    synthesis: dict
    w_avg: jax.Array
    noises: Noises
    proxy: MappingProxy
    precision: str = flax.struct.field(pytree_node=False, default="float32")


def derive(synthesis_params: dict, halves: tuple[bool, ...] | None = None) -> dict:
    """Flax variables of the synthesis network from its params alone.

    Args:
      halves: whether each layer is in half precision; none by default.
    """
    count = sum(name.startswith("layers_") for name in synthesis_params)
    kernels = [synthesis_params[f"layers_{i}"]["kernel"] for i in range(count)]
    layers = _derive_layers(kernels, halves or (False,) * count)
    derived = {f"layers_{i}": {"layer": layer} for i, layer in enumerate(layers)}
    return {"params": synthesis_params, "derived": derived}


@functools.partial(jax.jit, static_argnums=1)
def _derive_layers(kernels: list[jax.Array], halves: tuple[bool, ...]) -> list[dict]:
    each = enumerate(zip(kernels, halves, strict=True))
    return [derive_layer(kernel, i, half) for i, (kernel, half) in each]


def with_precision(generator: Generator, precision: str) -> Generator:
    """A generator whose features and convolutions are of `precision`, one of `PRECISIONS`.

    In bfloat16 latents, styles, demodulation, noise maps, biases, every sum over pixels or
    channels, RGB and image are float32 as before, and so is what `apply_layers` takes and gives. Of
    a generator with `conv_clamp` only the four highest resolutions are bfloat16
    (`GeneratorConfig.half_layer`). For GPUs and TPUs; a CPU gains nothing by it.

    Raises:
      InputError: there is no such precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r}: expected {' or '.join(PRECISIONS)}")
    config, params = generator.config, generator.synthesis["params"]
    half = precision == "bfloat16"
    halves = tuple(half and config.half_layer(i) for i in range(config.num_layers))
    return dataclasses.replace(generator, precision=precision, synthesis=derive(params, halves))


def map_latents(
    generator: Generator,
    z: jax.Array,
    psi: float = 1.0,
    cutoff: int | None = None,
    label: jax.Array | None = None,
) -> jax.Array:
    """Z -> W+ by the mapping network, truncated (Karras et al., 2019, appendix B).

    Args:
      z: `[..., z_dim]`, standard normal.
      psi: truncation; 1 leaves `w` alone, 0 gives the mean image.
      cutoff: number of latents that are truncated, from the first; all by default.
      label: `[..., label_dim]`, one-hot, for a class-conditional generator; one `[label_dim]`
        serves a batch.

    Returns:
      `[..., num_latents, w_dim]`.

    Raises:
      ValueError: a label is missing, or there where the generator has none.
    """
    config = generator.config
    if (label is None) != (config.label_dim == 0) or (
        label is not None and label.shape[-1] != config.label_dim
    ):
        found = "none" if label is None else f"shape {label.shape}"
        raise ValueError(f"label: {found}; expected width {config.label_dim} (0: none)")
    if label is not None:
        batch_shape = jnp.broadcast_shapes(z.shape[:-1], label.shape[:-1])
        z, label = (jnp.broadcast_to(v, (*batch_shape, v.shape[-1])) for v in (z, label))
    w = map_z(config, generator.mapping, z, label)
    w = jnp.broadcast_to(w[..., None, :], (*w.shape[:-1], config.num_latents, config.w_dim))
    mean = jnp.broadcast_to(generator.w_avg, w.shape)
    truncated = mean + psi * (w - mean)
    stop = config.num_latents if cutoff is None else cutoff
    chosen = jnp.arange(config.num_latents) < stop
    return jnp.where(jnp.broadcast_to(chosen[:, None], w.shape), truncated, w)


def sample_noises(
    key: jax.Array, config: GeneratorConfig, batch_shape: tuple[int, ...] = ()
) -> Noises:
    """Fresh standard-normal noise maps, one `[..., H, W, 1]` a layer."""
    sizes = [config.layer_resolution(i) for i in range(config.num_layers)]
    # One draw for all: the program of a draw takes a while to compile.
    *ends, count = itertools.accumulate(n**2 for n in sizes)
    maps = jnp.split(jax.random.normal(key, (*batch_shape, count), jnp.float32), ends, -1)
    return tuple(x.reshape(*batch_shape, n, n, 1) for x, n in zip(maps, sizes, strict=True))


def initial_state(generator: Generator, batch_shape: tuple[int, ...] = ()) -> State:
    """The input of layer 0: the learned constant, no RGB yet."""
    const = generator.synthesis["params"]["const"]
    return State(jnp.broadcast_to(const, (*batch_shape, *const.shape)), None)


def zero_styles(config: GeneratorConfig, batch_shape: tuple[int, ...] = ()) -> Styles:
    """No deviation in style space, which is where optimizing one starts."""
    zeros = [
        tuple(jnp.zeros((*batch_shape, width), jnp.float32) for width in widths)
        for widths in (config.style_widths, config.rgb_widths)
    ]
    return Styles(*zeros)


def style_spread(generator: Generator) -> jax.Array:
    """Of random images, the standard deviation of a style: the root mean square over the styles of
    all layers and to-RGB branches. A scalar."""
    params = generator.synthesis["params"]
    layers = [params[name] for name in params if name.startswith(("layers_", "to_rgb_"))]
    kernels = [layer["affine"]["kernel"] for layer in layers]
    # The coordinates of the proxy's w are independent.
    variances = jnp.concatenate([generator.proxy.variances() @ k**2 for k in kernels])
    return jnp.sqrt(jnp.mean(variances))


def apply_layers(
    generator: Generator,
    state: State,
    latents: jax.Array,
    noises: Noises,
    start: int,
    stop: int,
    styles: Styles | None = None,
) -> State:
    """Applies synthesis layers `start <= l < stop`: G2 of the paper's `G = G2 o G1` (Section 2.1).

    Cut anywhere, `apply_layers(.., a, c)` equals `apply_layers(.., b, c)` of
    `apply_layers(.., a, b)`.

    Args:
      state: what layer `start` reads; `initial_state` for layer 0.
      latents: `[..., num_latents, w_dim]` in W+.
      noises: one map `[..., H, W, 1]` (or broadcastable) a layer.
      start, stop: static layer indices; see `GeneratorConfig`.
      styles: deviations in style space, of all layers and to-RGB branches, each `[..., C]` (or
        broadcastable); none by default.

    Returns:
      The state that layer `stop` reads. After the last layer its `rgb` is the image.

    Raises:
      ValueError: there are no such layers.
      TypeError: derivatives with respect to the kernels of 3x3 convolutions are asked for.
    """
    if not 0 <= start <= stop <= generator.config.num_layers:
        raise ValueError(
            f"layers {start}..{stop}: expected 0 <= start <= stop <= {generator.config.num_layers}"
        )
    after = Synthesis(generator.config, generator.precision == "bfloat16").apply(
        generator.synthesis, state, latents, noises, start, stop, styles
    )
    assert isinstance(after, State)
    return after


def synthesize(generator: Generator, latents: jax.Array, noises: Noises | None = None) -> jax.Array:
    """W+ -> image: `[..., num_latents, w_dim]` -> `[..., H, W, image_channels]`.

    Args:
      noises: noise maps; the checkpoint's fixed ones by default.
    """
    state = initial_state(generator, latents.shape[:-2])
    noises = generator.noises if noises is None else noises
    image = apply_layers(generator, state, latents, noises, 0, generator.config.num_layers).rgb
    assert image is not None
    return image


def with_label(generator: Generator, label: int, key: jax.Array, samples: int = 2**16) -> Generator:
    """A class-conditional generator whose proxy and mean of W are those of one class.

    Args:
      label: the class, from 0 to `label_dim - 1`.
      samples: draws of the mapping network.

    Raises:
      ValueError: there is no such class.
    """
    config = generator.config
    proxy, w_avg = fit_mapping_proxy(generator.mapping, config, key, samples, label)
    return dataclasses.replace(generator, proxy=proxy, w_avg=w_avg)


def random_generator(config: GeneratorConfig, key: jax.Array) -> Generator:
    """A generator with random weights, for tests and benchmarks: the images are noise.

    Noise strengths and biases are drawn too, so that every term of a layer matters.
    """
    k_map, k_syn, k_noise, k_fit, k_bias = jax.random.split(key, 5)
    zeros = functools.partial(jnp.zeros, dtype=jnp.float32)
    label = zeros(config.label_dim) if config.label_dim else None
    mapping = dict(Mapping(config).init(k_map, zeros(config.z_dim), label))
    latents = zeros((config.num_latents, config.w_dim))
    noises = sample_noises(k_noise, config)
    const = State(zeros((4, 4, config.channels[0])), None)
    init = jax.jit(Synthesis(config).init, static_argnums=(4, 5))
    params = init(k_syn, const, latents, noises, 0, config.num_layers)["params"]

    def randomize(path, leaf):
        if path[-1].key not in ("bias", "noise_strength"):
            return leaf
        key = jax.random.fold_in(k_bias, zlib.crc32(jax.tree_util.keystr(path).encode()))
        return leaf + 0.1 * jax.random.normal(key, leaf.shape, leaf.dtype)

    params = jax.tree_util.tree_map_with_path(randomize, params)
    proxy, w_avg = fit_mapping_proxy(mapping, config, k_fit, samples=2**12)
    return Generator(config, mapping, derive(params), w_avg, noises, proxy)
