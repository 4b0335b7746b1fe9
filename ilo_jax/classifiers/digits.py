"""`python -m ilo_jax.classifiers.digits OUT`: a robust classifier of handwritten digits.

Adversarial training (Madry et al., 2018) on the 1797 digits that scikit-learn ships: each step
descends on images that were moved, within a ball, to where they are classified worst. What such
a network takes for a digit looks like one to a person, and so do its gradients (Santurkar et al.,
2019). The digits are white, on backgrounds of varying brightness.
"""

import argparse
import functools
import sys
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ilo_jax.classifiers.convnet import ConvNetConfig
from ilo_jax.classifiers.network import Classify, Network, random_network, save
from ilo_jax.errors import InputError

DATA = (
    "Optical Recognition of Handwritten Digits (E. Alpaydin & C. Kaynak, UCI, 1998), "
    "as scikit-learn ships it"
)
CONFIG = ConvNetConfig()
STEPS = 800
BATCH = 128
LEARNING_RATE = 5e-3
RADIUS = 1.5  # l2, of images of 16x16 pixels in [-1, 1]
ATTACK_STEPS = 3


class Digits(NamedTuple):
    """Strength of the ink `[N, 16, 16, 1]` in [0, 1], and labels `[N]`."""

    ink: jax.Array
    label: jax.Array

    def images(self) -> jax.Array:
        """White on black: `[N, 16, 16, 1]` in [-1, 1]."""
        return 2 * self.ink - 1


def load_digits() -> tuple[Digits, Digits]:
    """The digits to train on, and every fifth, held out.

    Raises:
      InputError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise InputError(
            "the digits come with scikit-learn; expected `pip install 'ilo_jax[classifier]'`"
        ) from error
    ink, label = datasets.load_digits(return_X_y=True)
    pixels = np.asarray(ink, np.float32).reshape(-1, 8, 8, 1) / 16
    ink = jnp.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)))
    size = CONFIG.resolution
    ink = jnp.clip(jax.image.resize(ink, (len(ink), size, size, 1), "cubic"), 0, 1)
    held_out = np.arange(len(ink)) % 5 == 0
    train, test = (Digits(ink[i], jnp.asarray(label[i])) for i in (~held_out, held_out))
    return train, test


def draw(key: jax.Array, ink: jax.Array) -> jax.Array:
    """A digit `[16, 16, 1]`, turned, stretched and moved, on an uneven background: an image in
    [-1, 1]."""
    keys = jax.random.split(key, 7)
    angle = jax.random.uniform(keys[0], (), minval=-0.2, maxval=0.2)
    stretch = jax.random.uniform(keys[1], (2, 1), minval=0.8, maxval=1.2)
    shift = jax.random.uniform(keys[2], (2, 1), minval=-1.6, maxval=1.6)
    rotation = jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
    centre = (np.array(ink.shape[:2])[:, None] - 1) / 2
    where = jnp.indices(ink.shape[:2]).reshape(2, -1) - centre
    where = rotation @ where * stretch + centre + shift
    moved = jax.scipy.ndimage.map_coordinates(ink[..., 0], list(where), 1).reshape(ink.shape)

    uneven = jax.image.resize(jax.random.normal(keys[3], (4, 4, 1)), ink.shape, "cubic")
    uneven *= jax.random.uniform(keys[4], (), maxval=0.3)
    brightness = jax.random.uniform(keys[5], (), minval=-1.0, maxval=0.0)
    contrast = jax.random.uniform(keys[6], (), minval=0.8, maxval=2.0)
    return jnp.clip(brightness + uneven + contrast * moved, -1, 1)


def loss(network: Classify, image: jax.Array, label: jax.Array) -> jax.Array:
    """`-log P(label | image)`, summed over images."""
    logits = network(image)
    return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, label))


def attack(
    key: jax.Array,
    network: Classify,
    image: jax.Array,
    label: jax.Array,
    radius: jax.typing.ArrayLike,
    steps: int,
) -> jax.Array:
    """Projected gradient ascent of the loss from a random point of the l2 ball around images
    `[N, H, W, C]` (Madry et al., 2018)."""
    noise = jax.random.normal(key, image.shape)
    x = _project(image + radius * noise / _norm(noise), image, radius)
    for _ in range(steps):  # a loop of JAX's runs convolutions at a third of the speed on a CPU
        x = _ascend(network, x, image, label, radius, 2.5 * radius / steps)
    return x


@jax.jit
def _ascend(network, x, image, label, radius, rate) -> jax.Array:
    gradient = jax.grad(loss, argnums=1)(network, x, label)
    return _project(x + rate * gradient / _norm(gradient), image, radius)


def _project(x: jax.Array, image: jax.Array, radius: jax.typing.ArrayLike) -> jax.Array:
    change = x - image
    return jnp.clip(image + change * jnp.minimum(1, radius / _norm(change)), -1, 1)


def _norm(x: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.sqrt(jnp.sum(x**2, (-3, -2, -1), keepdims=True)), 1e-12)


def train(key: jax.Array, digits: Digits, steps: int) -> Network:
    """Adversarial training; the radius grows from 0 over the first third."""
    from tqdm import trange  # installed with scikit-learn, where the digits are from

    k_init, k_steps = jax.random.split(key)
    network = random_network(CONFIG, k_init)
    schedule = optax.cosine_onecycle_schedule(steps, LEARNING_RATE)
    optimizer = optax.adamw(schedule, weight_decay=1e-4)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(network, state, digits, key, i):
        keys = jax.random.split(key, 3)
        chosen = jax.random.randint(keys[0], (BATCH,), 0, len(digits.ink))
        image = jax.vmap(draw)(jax.random.split(keys[1], BATCH), digits.ink[chosen])
        label = digits.label[chosen]
        radius = RADIUS * jnp.minimum(1, 3 * i / steps)
        image = attack(keys[2], network, image, label, radius, ATTACK_STEPS)
        gradient = jax.tree.map(lambda g: g / BATCH, jax.grad(loss)(network, image, label))
        updates, state = optimizer.update(gradient.params, state, network.params)
        return network.replace(params=optax.apply_updates(network.params, updates)), state

    state = optimizer.init(network.params)
    for i in trange(steps, desc="adversarial training"):
        network, state = step(network, state, digits, jax.random.fold_in(k_steps, i), i)
    return network


def accuracy(network: Classify, image: jax.Array, label: jax.Array) -> float:
    """Share of the images whose most likely class is their label."""
    return float(jnp.mean(jnp.argmax(network(image), -1) == label))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ilo_jax.classifiers.digits",
        description="Train a robust classifier of handwritten digits, for the task classify.",
    )
    parser.add_argument("out", help="folder to write; must not exist")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args(arguments)
    k_train, k_attack = jax.random.split(jax.random.key(options.seed))
    try:
        digits, held_out = load_digits()
        network = train(k_train, digits, STEPS)
        save(options.out, network, {"data": DATA, "seed": options.seed})
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    image, label = held_out.images(), held_out.label
    print(f"{len(label)} held-out digits: accuracy {accuracy(network, image, label):.1%}")
    for radius in (0.5, 1.0, 2.0):
        attacked = attack(k_attack, network, image, label, radius, steps=20)
        found = accuracy(network, attacked, label)
        print(f"attacked within an l2 ball of radius {radius} at 16 px: {found:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
