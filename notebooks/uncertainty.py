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
# # How sure it is, and which settings
#
# Few measurements leave many images that meet them; the prior makes all of them plausible. Restarts
# show how far they differ, and a part of the measurement that is held out says which settings are
# good. Radiographs of a generator: research data, not for diagnosis.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import ilo_jax
from ilo_jax import solve

prior = ilo_jax.load("chest64")
k_image, k_noise, k_solve = jax.random.split(jax.random.key(2), 3)
truth = solve.sample(prior, k_image)
operator = ilo_jax.ops.box_inpainting(prior.image_shape, 24)
measurement = operator.measure(k_noise, truth)[None]

# %% [markdown]
# Six restarts are one batch: the same measurement, a key each.

# %%
RESTARTS = 6
result = ilo_jax.reconstruct(
    prior,
    operator,
    jnp.repeat(measurement, RESTARTS, 0),
    jax.random.split(k_solve, RESTARTS),
    solve.ilo(prior, steps=[40, 40, 40]),
)
images = jnp.clip(result.image, -1, 1)
mean, spread = images.mean(0), images.std(0)

figure, axes = plt.subplots(1, 4, figsize=(9, 2.6))
error = jnp.abs(mean - truth)
for axis, image, title in (
    (axes[0], (truth + 1) / 2, "truth"),
    (axes[1], (measurement[0] + 1) / 2, "measurement"),
    (axes[2], (mean + 1) / 2, "mean of restarts"),
    (axes[3], 4 * spread, "spread, 4x"),
):
    axis.imshow(jnp.clip(image, 0, 1))
    axis.set_title(title)
    axis.set_axis_off()

# %%
hidden = jnp.broadcast_to(operator.mask == 0, truth.shape)
print(f"spread where nothing is seen {float(spread[hidden].mean()):.3f}")
print(f"and where everything is      {float(spread[~hidden].mean()):.3f}")
print(f"error where nothing is seen  {float(error[hidden].mean()):.3f}")

# %% [markdown]
# Settings: candidates are tried while a fifth of the measurement is held out of the loss; the one
# that meets it best is run on all of it. No truth is needed.

# %%
choice = solve.reconstruct_auto(
    prior,
    operator,
    measurement,
    k_solve,
    solve.ilo(prior, steps=[20, 20, 20]),
    solve.EFFORTS["quick"],
)
print(choice.of_image(0))
