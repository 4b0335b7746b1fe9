"""Programs that were traced before: found again, not mistaken for one another, mended."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import CONFIG, KEYS, MLP, OPERATOR, normal

from ilo_jax.app import programs
from ilo_jax.app.programs import begin_steps, kept_steps
from ilo_jax.solve import csgm, init, steps
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.stylegan2 import StyleGAN2, generator_shapes

numerics_elsewhere = True


@pytest.fixture
def folder(tmp_path):
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    programs._program.cache_clear()
    yield tmp_path
    programs._program.cache_clear()
    jax.config.update("jax_compilation_cache_dir", before)


def kept(folder):
    return list(folder.glob("*-traced"))


def problem_of(images=3, mesh=None):
    return init(MLP, OPERATOR, normal(1, images, 10), KEYS[:images], csgm(MLP, 3), mesh=mesh)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_program_is_traced_once_and_found_again(devices, folder, monkeypatch):
    monkeypatch.setattr(programs, "_KNOWN", (*programs._KNOWN, "small"))
    images = 3 if devices == 1 else 2
    mesh = batch_mesh(images)
    begin_steps(jax.eval_shape(lambda: problem_of(images, mesh)), mesh)
    run = problem_of(images, mesh)
    expected, found = steps(run, 3, mesh), kept_steps(kept_steps(run, 1, mesh), 2, mesh)
    assert programs._program.cache_info().misses == 1
    (path,) = kept(folder)
    whole = path.read_bytes()

    def traced(*args):
        raise AssertionError("traced again")

    monkeypatch.setattr(programs, "run_steps", traced)
    programs._program.cache_clear()  # as in another process
    again = kept_steps(run, 3, mesh)
    path.write_bytes(whole[: len(whole) // 2])
    programs._program.cache_clear()
    with pytest.raises(AssertionError, match="traced again"):
        kept_steps(run, 3, mesh)
    with pytest.raises(AssertionError, match="traced again"):
        kept_steps(problem_of(1), 3)  # another shape
    assert int(found.t) == 3
    jax.tree.map(np.testing.assert_array_equal, found.search.best, again.search.best)
    nearly = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(nearly, found.search.best, expected.search.best)
    assert found.search.best.image.sharding == expected.search.best.image.sharding


def test_programs_of_equal_shapes_are_told_apart():
    generator = generator_shapes(CONFIG)
    method = csgm(MLP, 3)
    different = (
        (MLP, method),
        (MLP, method.replace(keep="last")),
        (MLP, method.replace(sna=True)),
        (MLP, method.replace(optimizer=optax.adam(0.5))),
        (StyleGAN2(generator), method),
        (StyleGAN2(dataclasses.replace(generator, precision="bfloat16")), method),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(programs, "_KNOWN", (*programs._KNOWN, "small"))
        texts = ["\n".join(programs._of_tree(jax.tree.structure(one))) for one in different]
    assert len(set(texts)) == len(different)


def test_what_has_a_users_function_is_traced(folder, monkeypatch):
    run = problem_of()
    monkeypatch.setattr(programs, "steps", lambda run, count, mesh: (count, mesh))
    assert kept_steps(run, 2) == (2, None)
    assert kept(folder) == []


def scaled(by):
    return lambda x: by * x


def test_texts_of_static_parts_are_equal_where_they_are(monkeypatch):
    same = [optax.adam(0.1), optax.adam(0.1)]
    others = [optax.adam(0.2), optax.sgd(0.1), optax.adam(0.1, b1=0.5)]
    texts = list(map(programs._of, same + others))
    assert texts[0] == texts[1]
    assert len(set(texts)) == 4
    assert programs._of(1) != programs._of(1.0) != programs._of(True)
    assert programs._of(("a", "b")) != programs._of(("a, b",))
    assert programs._of(np.arange(3000)) != programs._of(np.arange(3000) + (np.arange(3000) == 9))
    for unknown in (scaled(2), jnp.ones(2), functools.partial(scaled, 2), object()):
        with pytest.raises(programs._NoKey):
            programs._of(unknown)
    monkeypatch.setattr(programs, "_KNOWN", (*programs._KNOWN, __name__))
    assert programs._of(scaled(2)) != programs._of(scaled(3))
    assert programs._of(scaled(2)) == programs._of(scaled(2))


def test_without_a_cache_it_is_the_plain_program(folder, monkeypatch):
    monkeypatch.setattr(programs, "steps", lambda run, count, mesh: "plain")
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        assert kept_steps(None, 2) == "plain"  # pyright: ignore[reportArgumentType]
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
