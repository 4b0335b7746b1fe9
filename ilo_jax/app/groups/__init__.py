"""Groups of options that commands of `python -m ilo_jax.solve` share."""

from ilo_jax.app.groups.files import add_files, add_measured, add_measurement, add_take_over
from ilo_jax.app.groups.machines import add_machines
from ilo_jax.app.groups.method import add_generator, add_method
from ilo_jax.app.groups.single import add_endings, add_watching

__all__ = [
    "add_endings",
    "add_files",
    "add_generator",
    "add_machines",
    "add_measured",
    "add_measurement",
    "add_method",
    "add_take_over",
    "add_watching",
]
