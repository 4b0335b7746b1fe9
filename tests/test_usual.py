"""What is run where no method is named: ILO, from the mean of W where next to nothing is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import MLP, stylegan2

from ilo_jax import ops
from ilo_jax.app.run import with_method
from ilo_jax.app.settings import Settings, Video
from ilo_jax.solve import ilo, ilo_from_mean, is_scarce, usual

numerics_elsewhere = True

PRIOR = stylegan2().with_facts(scarce=0.2, radii=((1, 30.0),))
SHAPE = PRIOR.image_shape
STEPS = (2, 1, 1)
FEW = ops.inpainting(SHAPE, np.arange(64, dtype=np.float32).reshape(8, 8, 1) < 9)
MANY = ops.inpainting(SHAPE, np.arange(64, dtype=np.float32).reshape(8, 8, 1) < 20)


def same(a, b):
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b))
    )


def test_ilo_begins_from_the_mean_where_next_to_nothing_is_measured():
    assert is_scarce(PRIOR, FEW)
    assert not is_scarce(PRIOR, MANY)
    assert same(usual(PRIOR, FEW, steps=STEPS), ilo_from_mean(PRIOR, STEPS))
    assert same(usual(PRIOR, MANY, steps=STEPS[:2]), ilo(PRIOR, STEPS[:2]))


def test_where_noise_hides_what_is_measured_it_does_not():
    assert not is_scarce(PRIOR, ops.denoising(SHAPE, 250.0))
    assert is_scarce(PRIOR, ops.composition(FEW, ops.denoising(SHAPE, 25.0)))


def test_only_a_generator_that_says_so_does():
    assert not is_scarce(stylegan2(), FEW)
    assert not is_scarce(MLP, ops.inpainting(MLP.image_shape, np.zeros((4, 4, 1), np.float32)))


def test_images_with_operators_of_their_own_are_not_told_apart():
    masks = jnp.stack([FEW.mask, FEW.mask])
    assert not is_scarce(PRIOR, ops.Inpaint(SHAPE, masks), 2)


@pytest.mark.parametrize(("operator", "start"), [(FEW, "mean"), (MANY, "random")])
def test_a_traced_operator_chooses_too(operator, start):
    """Of two rounds each: `ilo` has a cut, `ilo_from_mean` none."""

    @jax.jit
    def numbers(operator):
        chosen = usual(PRIOR, operator, steps=(3, 2))
        return chosen.start, chosen.rate, chosen.free

    make = ilo_from_mean if start == "mean" else ilo
    begins, rate, free = numbers(operator)
    assert list(PRIOR.starts())[int(begins)] == start
    expected = make(PRIOR, (3, 2))
    np.testing.assert_allclose(rate, expected.rate)
    assert free.v[1].tolist() == [False, start == "random"]
    assert same(free.inputs, expected.free.inputs)


@pytest.mark.parametrize(
    ("chosen", "method"),
    [
        ({}, "ilo-mean"),
        ({"steps": (3, 2, 1)}, "ilo-mean"),
        ({"steps": (3,)}, "ilo"),
        ({"lr": (0.1,)}, "ilo"),
        ({"cuts": (0, 1)}, "ilo"),
        ({"radii": (3.0,)}, "ilo"),
        ({"auto": "quick"}, "ilo"),
        ({"start": "before"}, "ilo"),
        ({"video": Video()}, "ilo"),
        ({"method": "csgm"}, "csgm"),
    ],
)
def test_the_command_line_does_the_same(chosen, method):
    settings = Settings(**{"task": "superres", "options": {}, "method": None, "seed": 0} | chosen)
    assert with_method(settings, PRIOR, FEW).method == method
    if method == "ilo-mean":
        assert with_method(settings, PRIOR, MANY).method == "ilo"
