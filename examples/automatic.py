"""Settings by themselves: candidates are judged by a part of the measurement that is held out.

python examples/automatic.py
"""

import jax

import ilo_jax
from ilo_jax import solve


def main() -> None:
    prior = ilo_jax.load("chest64")
    k_image, k_operator, k_noise, k_solve = jax.random.split(jax.random.key(0), 4)
    operator = ilo_jax.ops.random_inpainting(k_operator, prior.image_shape, observed=0.1)
    truth = solve.sample(prior, k_image)
    measurement = operator.measure(k_noise, truth)[None]

    method = solve.ilo(prior, steps=[10, 10, 10])
    choice = solve.reconstruct_auto(
        prior, operator, measurement, k_solve, method, solve.EFFORTS["quick"]
    )
    print(f"chosen: {choice.method[0]}, {int(choice.steps[0])} steps")
    print(f"spread of the restarts {float(choice.spread.mean()):.3f}")


if __name__ == "__main__":
    main()
