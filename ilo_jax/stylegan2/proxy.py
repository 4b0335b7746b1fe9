"""The mapping network, and what stands for it where latents are searched."""

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.stylegan2.config import GeneratorConfig
from ilo_jax.stylegan2.networks import Mapping


@flax.struct.dataclass
class MappingProxy:
    """A Gaussian stand-in for the mapping network (PULSE): `w = LeakyReLU(0.2)(std z + mean)`.

    Fitted to `LeakyReLU(5)(mapping(z))`, of which it is the inverse activation; see
    `fit_mapping_proxy`. Near a sphere in `z` lie the likely `w`.

    Attributes:
      mean, std: `[w_dim]`.
    """

    mean: jax.Array
    std: jax.Array

    def __call__(self, z: jax.Array) -> jax.Array:
        """`[..., w_dim]`, standard normal -> `[..., w_dim]` in W."""
        return jax.nn.leaky_relu(_like(self.std, z) * z + _like(self.mean, z), 0.2)

    def inverse(self, w: jax.Array) -> jax.Array:
        """`[..., w_dim]` in W -> the `z` `[..., w_dim]` of which the proxy makes it."""
        return (jax.nn.leaky_relu(w, 5.0) - _like(self.mean, w)) / _like(self.std, w)

    @jax.jit  # each operation by itself would be a program
    def variances(self) -> jax.Array:
        """`[w_dim]`, of each coordinate of the proxy's `w`."""
        z = jax.scipy.special.ndtri((jnp.arange(512, dtype=self.mean.dtype) + 0.5) / 512)
        return jnp.var(self(jnp.broadcast_to(z[:, None], (512, *self.mean.shape))), 0)

    @jax.jit
    def spread(self) -> jax.Array:
        """Root mean square distance of the proxy's `w` from their mean, a scalar."""
        return jnp.sqrt(jnp.sum(self.variances()))


def _like(vector: jax.Array, x: jax.Array) -> jax.Array:
    """`[C]` -> `[..., C]`, of the shape of `x`."""
    return jnp.broadcast_to(vector, x.shape)


def map_z(
    config: GeneratorConfig, variables: dict, z: jax.Array, label: jax.Array | None
) -> jax.Array:
    w = Mapping(config).apply(variables, z, label)
    assert isinstance(w, jax.Array)
    return w


def fit_mapping_proxy(
    mapping_variables: dict,
    config: GeneratorConfig,
    key: jax.Array,
    samples: int = 2**20,
    label: int | None = None,
) -> tuple[MappingProxy, jax.Array]:
    """Fits the mapping proxy to `samples` draws of the mapping network.

    Args:
      label: the class of all draws, from 0 to `label_dim - 1`; by default classes, if the
        generator has them, are drawn uniformly.

    Returns:
      The proxy, and the mean of W `[w_dim]` over the same draws.

    Raises:
      ValueError: there is no such class.
    """
    if label is not None and not 0 <= label < config.label_dim:
        known = f"0 to {config.label_dim - 1}" if config.label_dim else "none: it has no labels"
        raise ValueError(f"label {label}: expected a class of the generator, {known}")
    chunk = min(samples, 2**14)

    def one_hot(key):
        if not config.label_dim:
            return None
        k_class, bounds = jax.random.fold_in(key, 0), (0, config.label_dim)
        drawn = jax.random.randint(k_class, (chunk,), *bounds, jnp.int32)
        classes = drawn if label is None else jnp.full_like(drawn, label)
        return jax.nn.one_hot(classes, config.label_dim, dtype=jnp.float32)

    def moments(carry, key):
        z = jax.random.normal(key, (chunk, config.z_dim), jnp.float32)
        w = map_z(config, mapping_variables, z, one_hot(key))
        v = jax.nn.leaky_relu(w, 5.0)
        return carry, (w.mean(0), v.mean(0), (v**2).mean(0))

    @jax.jit
    def fit(key):
        _, means = jax.lax.scan(moments, None, jax.random.split(key, samples // chunk))
        w_avg, mean, square = jax.tree.map(lambda m: m.mean(0), means)
        return MappingProxy(mean, jnp.sqrt(square - mean**2)), w_avg

    return fit(key)
