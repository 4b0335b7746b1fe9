"""What is held out of a measurement: judged by it, never seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilo_jax import lpips
from ilo_jax.errors import InputError
from ilo_jax.ops import TASKS, Inpaint, Operator
from ilo_jax.ops.classify import Classifier
from ilo_jax.solve.losses import Data, DeadZone, Mse, Perceptual, View
from ilo_jax.solve.options import build_operator

SHAPE = (16, 16, 3)
KEY = jax.random.key(0)


CASES = [
    pytest.param(task, options, id=f"{task.name} {options}")
    for task in TASKS.values()
    for options in task.examples
]


@pytest.mark.parametrize(("task", "options"), CASES)
def test_some_and_not_all_is_held_out_of_every_operator(task, options):
    operator = build_operator(KEY, task, options, SHAPE)
    x = jax.random.uniform(KEY, SHAPE)
    y = operator(x)
    entries = sum(leaf.size for leaf in jax.tree.leaves(y))
    if entries <= SHAPE[-1]:
        with pytest.raises(InputError, match="expected two or more, to hold some out"):
            operator.hold_out(KEY, 0.2)
        return
    held = operator.hold_out(KEY, 0.2)
    full = jax.tree.map(lambda h, m: jnp.broadcast_to(h, m.shape), held, y)
    values = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(full)])
    assert set(np.unique(values)) == {0, 1}
    assert 0 < values.mean() < 0.5
    # A change of what is held out is seen by the error over it, and by no other.
    changed = jax.tree.map(lambda h, m: m + 3 * h, held, y)
    kept = jax.tree.map(lambda h: 1 - h, held)
    assert operator.error(changed, y, held) == pytest.approx(9, rel=1e-4)
    assert operator.error(changed, y, kept) == 0


def test_held_out_pixels_are_observed_ones():
    operator = build_operator(KEY, TASKS["inpaint"], {"observed": 0.1}, SHAPE)
    assert isinstance(operator, Inpaint)
    held = operator.hold_out(KEY, 0.2)
    assert held.sum() == round(0.2 * float(operator.mask.sum()))
    assert bool(jnp.all(operator.mask[held > 0] == 1))


@pytest.mark.parametrize(
    ("name", "options", "axes"),
    [("mri", {"spokes": 7}, (0, 1)), ("phase", {"patterns": 0, "oversampling": 2}, (1, 2))],
)
def test_opposite_frequencies_go_together(name, options, axes):
    # A real image has the same at -k as at k: one of them alone would tell the other.
    operator = build_operator(KEY, TASKS[name], options, SHAPE)
    held = operator.hold_out(KEY, 0.2)
    measured = operator.restrict(jnp.ones_like(operator(jnp.ones(SHAPE)))) * held
    if name == "mri":
        measured = jnp.fft.ifftshift(measured, axes)
    turned = jnp.roll(jnp.flip(measured, axes), 1, axes)
    available = operator.restrict(jnp.ones_like(operator(jnp.ones(SHAPE))))
    if name == "mri":
        available = jnp.fft.ifftshift(available, axes)
    known_too = jnp.roll(jnp.flip(available, axes), 1, axes)
    assert measured.sum() > 0
    np.testing.assert_array_equal(measured * known_too, turned * available)


def test_a_single_entry_cannot_be_divided():
    operator = Inpaint(SHAPE, jnp.zeros((16, 16, 1)).at[3, 3].set(1))
    with pytest.raises(InputError, match="1 entries measured: expected two or more"):
        operator.hold_out(KEY, 0.2)
    with pytest.raises(InputError, match="a class has no parts"):
        Classifier(SHAPE, lambda x: x[..., 0, 0, :]).hold_out(KEY, 0.2)


def view(data):
    operator = TASKS["invert"].build(KEY, SHAPE)
    image = jnp.zeros(SHAPE)
    return View(operator, data, image, operator(image), jnp.zeros(1), jnp.zeros(1), ())


def test_losses_do_not_see_what_is_held_out():
    held = jnp.zeros((16, 16, 1)).at[:4].set(1)
    data = Data(jnp.where(held > 0, 5.0, 0.5) * jnp.ones(SHAPE), held_out=held)
    assert Mse()(None, view(data)) == pytest.approx(0.25)
    with pytest.raises(InputError, match="dead_zone: expected no entries"):
        DeadZone()(None, view(data))
    with pytest.raises(InputError, match="lpips: looks at all entries"):
        Perceptual(lpips.load("alex")).prepare(Operator(SHAPE), data)
