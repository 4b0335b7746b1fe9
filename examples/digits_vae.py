"""Your own generator: a VAE of handwritten digits as a prior, the setting of Bora et al. (2017).

    python examples/digits_vae.py

Trains a small VAE on the digits that scikit-learn ships, then reconstructs digits that it never
saw from Gaussian measurements and from some of their pixels: CSGM, and ILO with one and two cuts.
Prints mean squared errors an image, of pixels in [-1, 1], as docs/priors.md has them.
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Table

from ilo_jax import ops, reconstruct, solve
from ilo_jax.classifiers.digits import load_digits
from ilo_jax.priors import Sequential

SIDE, LATENT = 16, 10
WIDTHS = (128, 256, SIDE * SIDE)
Params = tuple[jax.Array, jax.Array]


def dense(key: jax.Array, inputs: int, outputs: int) -> Params:
    """Weight and bias of a layer."""
    weight = jax.random.normal(key, (inputs, outputs)) * (2 / inputs) ** 0.5
    return weight, jnp.zeros(outputs)


def hidden(params: Params, x: jax.Array) -> jax.Array:
    return jax.nn.silu(x @ params[0] + params[1])


def to_image(params: Params, x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ params[0] + params[1]).reshape(SIDE, SIDE, 1)


DECODER = (hidden, hidden, to_image)


def decode(params: tuple[Params, ...], z: jax.Array) -> jax.Array:
    for layer, p in zip(DECODER, params, strict=True):
        z = layer(p, z)
    return z


def loss(params: Any, image: jax.Array, key: jax.Array) -> jax.Array:
    """The negative evidence lower bound of one image, noise of the pixels 0.3."""
    first, second = params["encoder"]
    mean, log_std = jnp.split(hidden(first, image.ravel()) @ second[0] + second[1], 2)
    z = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    error = jnp.sum((decode(params["decoder"], z) - image) ** 2) / (2 * 0.3**2)
    return error + 0.5 * jnp.sum(jnp.exp(2 * log_std) + mean**2 - 1 - 2 * log_std)


def train(key: jax.Array, images: jax.Array, steps: int) -> Sequential:
    """The decoder of a VAE that was trained on images `[N, 16, 16, 1]` in [-1, 1]."""
    keys = jax.random.split(key, 6)
    sizes = zip((LATENT, *WIDTHS[:-1]), WIDTHS, strict=True)
    params = {
        "decoder": tuple(dense(k, *size) for k, size in zip(keys, sizes, strict=False)),
        "encoder": (dense(keys[3], SIDE * SIDE, 256), dense(keys[4], 256, 2 * LATENT)),
    }
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, steps))

    @functools.partial(jax.jit, donate_argnums=0)
    def run(carry):
        def step(carry, key):
            params, state = carry
            k_batch, k_noise = jax.random.split(key)
            batch = images[jax.random.randint(k_batch, (128,), 0, len(images))]
            noise = jax.random.split(k_noise, len(batch))

            def mean(params):
                return jnp.mean(jax.vmap(loss, (None, 0, 0))(params, batch, noise))

            updates, state = optimizer.update(jax.grad(mean)(params), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, carry, jax.random.split(keys[5], steps))[0]

    params, _ = run((params, optimizer.init(params)))
    return Sequential.create(DECODER, params["decoder"], LATENT)


def compare(prior: Sequential, truth: jax.Array, steps: int) -> Table:
    """Mean squared errors of CSGM and ILO, a row a measurement."""
    objective = solve.Mse() + 1e-4 * solve.Regularizer("squared_norm")
    methods = {
        "CSGM": solve.csgm(prior, 3 * steps, objective=objective),
        "ILO, 1 cut": solve.ilo(
            prior, [2 * steps, steps], cuts=[0, 1], radii=RADII[:1], objective=objective
        ),
        "ILO, 2 cuts": solve.ilo(
            prior, [steps] * 3, cuts=[0, 1, 2], radii=RADII, objective=objective
        ),
    }
    table = Table(title=f"squared error of a pixel, mean and standard error of {len(truth)} digits")
    for column in ("measured", *methods):
        table.add_column(column, justify="right")
    shape, key = prior.image_shape, jax.random.key(1)
    rows = {f"{p} % of the pixels": ops.random_inpainting(key, shape, p / 100) for p in (25, 50)}
    rows |= {f"{m} Gaussian": ops.gaussian_matrix(key, shape, m) for m in (20, 50, 100)}
    for name, operator in rows.items():
        found = []
        for method in solve.align(list(methods.values())):  # one program
            result = reconstruct(prior, operator, operator(truth), jax.random.key(2), method)
            error = np.mean((np.clip(result.image, -1, 1) - truth) ** 2, (1, 2, 3))
            found.append(f"{error.mean():.4f} ± {error.std() / len(truth) ** 0.5:.4f}")
        table.add_row(name, *found)
    return table


RADII = [10.0, 3.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--train-steps", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=200, help="of each of three rounds")
    parser.add_argument("--images", type=int, default=64)
    args = parser.parse_args()
    digits, held_out = load_digits()
    prior = train(jax.random.key(0), digits.images(), args.train_steps)
    table = compare(prior, held_out.images()[: args.images], args.steps)
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
