"""Small priors, and a problem for each: what the tests of solvers share, so that they share
compiled programs, too."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.ops import Inpaint, PartialCirculant, partial_circulant
from ilo_jax.priors import Sequential
from ilo_jax.solve import Method, Result, Round, Variables, image, reconstruct
from ilo_jax.solve.batch import run_steps
from ilo_jax.stylegan2 import Generator, GeneratorConfig, StyleGAN2, random_generator

LATENT, WIDTHS, SHAPE = 6, (10, 14, 16), (4, 4, 1)
CUTS = (1, 2, 3)
ROUNDS = 5
IMAGES = 3
KEYS = jax.random.split(jax.random.key(2), IMAGES)


def dense(p, x):
    return jnp.tanh(p["kernel"] @ x + p["bias"])


def to_image(p, x):
    return dense(p, x).reshape(SHAPE)


def normal(seed: int, *shape: int) -> Any:
    """Normal numbers of NumPy, for which nothing is compiled; functions of JAX take them."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def once(function: Callable, *args: Any) -> Any:
    """The result of a program that runs once, and is compiled without optimizations."""
    quickly: dict[str, Any] = {"xla_backend_optimization_level": 0}
    return jax.jit(function).lower(*args).compile(quickly)(*args)


def drawn():
    """The weights of the MLP and its operator, in one program."""
    sizes = (LATENT, *WIDTHS)
    keys = jax.random.split(jax.random.key(0), len(WIDTHS))
    params = []
    for key, before, after in zip(keys, sizes, sizes[1:], strict=False):
        k_kernel, k_bias = jax.random.split(key)
        kernel = 1.5 * jax.random.normal(k_kernel, (after, before), jnp.float32)
        bias = 0.1 * jax.random.normal(k_bias, (after,), jnp.float32)
        params.append({"kernel": kernel / np.float32(np.sqrt(before)), "bias": bias})
    return tuple(params), partial_circulant(jax.random.key(1), SHAPE, 10)


PARAMS, OPERATOR = once(drawn)

MLP = Sequential.create((dense, dense, to_image), PARAMS, LATENT)
"""Three layers."""

MASKS = jnp.asarray(normal(4, IMAGES, *SHAPE) < 0.5, jnp.float32)
MASKED = Inpaint(SHAPE, MASKS)
"""A mask for each image."""

CONFIG = GeneratorConfig(channels=(16, 8), w_dim=16, z_dim=16, mapping_layers=2)
"""8 px: three layers and noise maps, four latents."""


@functools.cache
def random_weights(config: GeneratorConfig = CONFIG) -> Generator:
    return once(functools.partial(random_generator, config), jax.random.key(0))


@functools.cache
def stylegan2() -> StyleGAN2:
    return StyleGAN2(random_weights())


@functools.cache
def stylegan2_operator() -> PartialCirculant:
    return once(lambda: partial_circulant(jax.random.key(1), CONFIG.image_shape, 60))


def in_numpy(function: Callable, **options: Any) -> Callable:
    """Compiled, with results of NumPy, with which a test computes without compiling anything."""
    compiled = jax.jit(function, **options)
    return functools.wraps(function)(lambda *args: jax.device_get(compiled(*args)))


render = in_numpy(jax.vmap(image, (None, 0)))
"""The images of variables `[B, ...]`."""

measure = in_numpy(lambda operator, x: operator(x))


@functools.partial(in_numpy, static_argnums=2)
def starts(prior, key, count: int = IMAGES) -> Variables:
    """Random points of a prior's range."""
    return Variables(jax.vmap(prior.starts()["random"])(jax.random.split(key, count)), {})


@functools.cache
def truth() -> Any:
    """Images of the MLP."""
    return render(MLP, starts(MLP, jax.random.key(3)))


@functools.cache
def measured() -> Any:
    """The measurements of the MLP's problem."""
    return measure(OPERATOR, truth())


def without(y: np.ndarray, at: int) -> Any:
    """Measurements of which one is not finite."""
    return np.where(np.arange(len(y))[:, None] == at, np.float32(np.nan), y)


@functools.cache
def stylegan2_truth() -> Any:
    return render(stylegan2(), starts(stylegan2(), jax.random.key(3)))


def shared(method: Method) -> Method:
    """A method for the MLP with as many rounds and cuts as all others, for one program."""
    return method.with_cuts(CUTS).padded(ROUNDS)


def two(*rounds: Round, **options: Any) -> Method:
    """A method for the MLP with two rounds and one deviation: half of the others' to compile."""
    return Method.create(MLP, rounds, **options).with_cuts((1,)).padded(2)


def rounds_of(*rounds: Round, **options: Any) -> Method:
    return shared(Method.create(MLP, rounds, **options))


def run(method: Method, **changed: Any) -> Result:
    """Of the MLP's problem, in NumPy."""
    problem = {"prior": MLP, "operator": OPERATOR, "key": KEYS} | changed
    if "measurement" not in problem:
        problem["measurement"] = measure(problem["operator"], truth())
    return jax.device_get(reconstruct(method=method, **problem))


@in_numpy
def begun(prior) -> Variables:
    """Where a run with `KEYS` starts, without deviations."""
    keys = jax.vmap(jax.random.split)(KEYS)[:, 0]
    return Variables(jax.vmap(prior.starts()["random"])(keys), {})


def programs() -> int:
    """Compiled so far for the steps of runs."""
    return run_steps._cache_size()  # pyright: ignore[reportAttributeAccessIssue]


def at(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def assert_same(a, b):
    def same(x, y):
        if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)

    jax.tree.map(same, a, b)


def assert_close(a, b, tolerance=1e-4):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


def norms(x, axes):
    return np.sum(np.abs(np.asarray(x)), axes)
