"""The table of tasks that the command line and the tests share."""

from ilo_jax.ops import (
    blur,
    circulant,
    compose,
    custom,
    downsample,
    gaussian,
    grey,
    identity,
    inpaint,
    mri,
    noise,
    phase,
)

TASKS = {
    task.name: task
    for task in (
        identity.TASK,
        inpaint.TASK,
        downsample.TASK,
        noise.TASK,
        circulant.TASK,
        gaussian.TASK,
        blur.TASK,
        grey.TASK,
        mri.TASK,
        phase.TASK,
        compose.TASK,
        custom.TASK,
    )
}
"""By the name on the command line, in the order in which help and demo show them."""
