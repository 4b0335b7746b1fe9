"""`python -m ilo_jax.app`: the page."""

from ilo_jax.app.page.command import run

if __name__ == "__main__":
    run()
