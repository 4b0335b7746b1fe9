from ilo_jax.app.cli import run

run()
