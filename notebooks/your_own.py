# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Your own generator, and your own operator
#
# The method is not tied to an architecture (Section 4.1): a generator is any chain of functions, a
# forward operator any function of JAX operations. Here the generator draws blobs, and is no network
# at all.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import ilo_jax
from ilo_jax import priors, solve

SIDE, BLOBS = 24, 4


def places(params, z):
    """Latents -> place and size of each blob."""
    numbers = jnp.tanh(params @ z).reshape(BLOBS, 3)
    return jnp.concatenate([0.8 * numbers[:, :2], 0.15 + 0.1 * numbers[:, 2:]], 1).ravel()


def draw(grid, code):
    """Places and sizes -> an image in [-1, 1]."""
    blobs = code.reshape(BLOBS, 3)
    distance = jnp.sum((grid[:, :, None] - blobs[:, :2]) ** 2, -1)
    light = jnp.sum(jnp.exp(-distance / (2 * blobs[:, 2] ** 2)), -1)
    return jnp.clip(light, 0, 1)[..., None] * 2 - 1


k_weights, k_image, k_solve = jax.random.split(jax.random.key(1), 3)
line = jnp.linspace(-1, 1, SIDE)
grid = jnp.stack(jnp.meshgrid(line, line, indexing="ij"), -1)
weights = jax.random.normal(k_weights, (3 * BLOBS, 8))
prior = priors.Sequential.create((places, draw), (weights, grid), 8)
print(prior.image_shape, "in", prior.depth, "layers")

# %% [markdown]
# The operator: every row is summed up, and so is every column, as a scanner with two views would.


# %%
def two_views(x):
    return jnp.concatenate([x.mean(-3)[..., 0], x.mean(-2)[..., 0]], -1)


operator = ilo_jax.ops.custom(prior.image_shape, two_views)
start = prior.starts()["random"](k_image)
truth = solve.image(prior, solve.Variables(start, {}))
measurement = operator(truth)[None]
print(measurement.shape, "numbers for", truth.size, "pixels")

# %%
keys = jax.random.split(k_solve, 6)
method = solve.csgm(prior, steps=200)
result = ilo_jax.reconstruct(prior, operator, jnp.repeat(measurement, 6, 0), keys, method)
best = int(jnp.argmin(result.error))
figure, axes = plt.subplots(1, 2, figsize=(5, 2.6))
for axis, image, title in zip(axes, (truth, result.image[best]), ("truth", "found"), strict=True):
    axis.imshow(image[..., 0], cmap="gray")
    axis.set_title(title)
    axis.set_axis_off()
print("errors of the restarts:", [f"{float(e):.1e}" for e in result.error])

# %% [markdown]
# An image that the generator cannot draw, and the deviation that ILO allows in front of the last
# layer: blobs that leave the places which the latents have for them.

# %%
moved = places(weights, start).reshape(BLOBS, 3).at[0, :2].set(jnp.array([0.9, -0.9]))
outside = draw(grid, moved.ravel())
measurement = operator(outside)[None]
for name, tried in (
    ("CSGM", solve.csgm(prior, steps=200)),
    ("ILO", solve.ilo(prior, steps=[100, 100], radii=2.0)),
):
    found = ilo_jax.reconstruct(prior, operator, jnp.repeat(measurement, 6, 0), keys, tried)
    print(f"{name}: error {float(found.error.min()):.1e}")
