"""Many methods at once."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import (
    IMAGES,
    KEYS,
    MASKED,
    MLP,
    OPERATOR,
    SHAPE,
    assert_close,
    measure,
    run,
    shared,
    truth,
)

from ilo_jax.errors import InputError
from ilo_jax.ops import Operator
from ilo_jax.solve import Mse, Term, csgm, dhar, ilo, sweep

numerics_elsewhere = True

METHODS = [
    ilo(MLP, (12, 12), (0, 1), radii=2.0, rate=0.05),
    ilo(MLP, (12, 12), (0, 1), radii=2.0, rate=(0.1, 0.2)),
    csgm(MLP, 24),
    dhar(MLP, (6, 12), radii=0.5),
]


class Darkness(Term):
    """A term of a user's own."""

    def __call__(self, target, view):
        return jnp.mean(view.image)


def swept(methods, operator: Operator = OPERATOR, size: int | None = 6, **options: Any):
    y = measure(operator, truth())
    return sweep(MLP, operator, y, KEYS, methods, batch_size=size, **options)


def restart(k):
    return jax.vmap(jax.random.fold_in, (0, None))(KEYS, k + 1)


@functools.cache
def reference():
    calls = []
    found = swept(METHODS, restarts=2, size=7, progress=lambda *call: calls.append(call))
    return found, calls


def test_every_run_is_that_of_its_method_alone():
    """24 runs by seven: the last program is filled up."""
    runs, calls = reference()
    assert calls == [(7, 24), (14, 24), (21, 24), (24, 24)]
    assert runs.image.shape == (4, 2, IMAGES, *SHAPE)
    assert runs.error.shape == runs.found_at.shape == (4, 2, IMAGES)
    for s, method in enumerate(METHODS):
        for k in range(2):
            alone = run(shared(method), key=restart(k))
            assert_close(runs.image[s, k], alone.image, 2e-3)
            np.testing.assert_allclose(runs.error[s, k], alone.error, rtol=2e-2, atol=1e-6)
    assert (runs.found_at[3] < 18).all()


def test_one_batch_does_as_many():
    runs, _ = reference()
    whole = swept(METHODS[:2], size=None)
    assert_close(whole.image, runs.image[:2, :1], 2e-3)


def test_methods_may_be_of_each_image():
    stacked = METHODS[0].for_images(IMAGES)
    found = swept([stacked, METHODS[1]], size=None)
    assert_close(found.image, reference()[0].image[:2, :1], 2e-3)


def test_each_image_may_have_a_mask():
    found = swept(METHODS[:2], MASKED)
    for s, method in enumerate(METHODS[:2]):
        alone = run(method, operator=MASKED, key=restart(0))
        assert_close(found.image[s, 0], alone.image, 2e-3)


def test_terms_of_a_users_own_are_taken():
    methods = [
        ilo(MLP, (12, 12), (0, 1), objective=Mse() + weight * Darkness(), keep="last")
        for weight in (0.0, 10.0)
    ]
    found = swept(methods)
    brightness = found.image.mean((-3, -2, -1))
    assert (brightness[1] < brightness[0] - 0.05).all()


@pytest.mark.parametrize(
    ("methods", "match"),
    [
        ([], "methods: none; expected one or more"),
        ([METHODS[0], METHODS[0].replace(keep="last")], "methods: differ in ramp"),
    ],
)
def test_sweeps_that_make_no_sense(methods, match):
    with pytest.raises(InputError, match=match):
        swept(methods)
