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
# # Five minutes with the demo prior
#
# Radiographs of 64x64 pixels, drawn from a generator: nobody's pictures, research data, not for
# diagnosis. With a generator of your own (`docs/checkpoints.md`) the same lines are about faces.
#
# In a fresh environment: `pip install .` from a clone.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import ilo_jax
from ilo_jax import solve

prior = ilo_jax.load("chest64")
k_images, k_operator, k_noise, k_solve = jax.random.split(jax.random.key(0), 4)

# %% [markdown]
# Two images of the generator, and a tenth of their pixels.

# %%
truth = jax.vmap(ilo_jax.sample, (None, 0))(prior, jax.random.split(k_images, 2))
operator = ilo_jax.ops.random_inpainting(k_operator, prior.image_shape, observed=0.1)
measurement = operator.measure(k_noise, truth)


# %%
def show(rows, titles):
    figure, axes = plt.subplots(len(rows[0]), len(rows), figsize=(2.2 * len(rows), 4.6))
    for column, (images, title) in enumerate(zip(rows, titles, strict=True)):
        for axis, image in zip(axes[:, column], images, strict=True):
            axis.imshow((jnp.clip(image, -1, 1) + 1) / 2)
            axis.set_axis_off()
        axes[0, column].set_title(title)
    figure.tight_layout()


show([truth, measurement], ["truth", "measurement"])

# %% [markdown]
# ILO: first the latents alone (CSGM's solution), then layer by layer a deviation from what the
# generator can draw, in an l1 ball (Section 4 of the paper).

# %%
method = solve.ilo(prior, steps=[40, 40, 40, 40])
result = ilo_jax.reconstruct(prior, operator, measurement, k_solve, method)
show(
    [truth, measurement, result.rounds[0].image, result.image],
    ["truth", "measurement", "CSGM", "ILO"],
)


# %%
def psnr(image):
    return -10 * jnp.log10(jnp.mean((jnp.clip(image, -1, 1) - truth) ** 2) / 4)


for i, found in enumerate(result.rounds):
    print(f"after round {i}: {float(psnr(found.image)):.2f} dB")

# %% [markdown]
# Any other operator goes in the same place: `superresolution`, `denoising`, `gaussian_blur`,
# `partial_circulant`, `cartesian_mri`, `custom`, or a `composition` of them.

# %%
camera = ilo_jax.ops.composition(
    ilo_jax.ops.gaussian_blur(prior.image_shape, sigma=1.0),
    ilo_jax.ops.photon_counts(prior.image_shape, photons=50.0),
)
seen = camera.measure(k_noise, truth)
result = ilo_jax.reconstruct(prior, camera, seen, k_solve, method)
show([truth, seen, result.image], ["truth", "few photons", "ILO"])
