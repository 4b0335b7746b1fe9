"""The table of tasks that the command line and the tests share."""

from ilo_jax.ops import circulant, downsample, identity, inpaint, noise

TASKS = {
    task.name: task
    for task in (identity.TASK, inpaint.TASK, downsample.TASK, noise.TASK, circulant.TASK)
}
"""By the name on the command line, in the order in which help and demo show them."""
