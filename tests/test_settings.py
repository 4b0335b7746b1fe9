"""From what a user chooses to what computes: nothing is solved here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ilo_jax
from ilo_jax.app.methods import of_frames
from ilo_jax.app.prior import load_prior, usual_width
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Settings, Video
from ilo_jax.errors import InputError
from ilo_jax.solve import PRESETS, DeadZone, Geocross, Mse, Reference

looks_at_files = True


@pytest.fixture(scope="module")
def prior(inputs):
    return ilo_jax.load(inputs / "gen")


def created(prior, method="ilo", **chosen) -> Run:
    return Run.create(Settings("invert", {}, method, 0, generator="gen", **chosen), prior)


def same(a, b) -> bool:
    equal = jax.tree.structure(a) == jax.tree.structure(b)
    return equal and all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


@pytest.mark.parametrize("method", ["ilo", "ilo-range", "csgm", "pulse", "dhar"])
def test_without_choices_the_method_is_the_preset(method, prior):
    assert same(created(prior, method).method, PRESETS[method].make(prior))


def test_what_is_chosen_is_what_the_preset_is_given(prior):
    chosen = {"steps": (2, 3), "cuts": (0, 2), "radii": (7.0,)}
    found = created(prior, lr=(0.1, 0.2), weights={"mse": (2.0,)}, sna=True, **chosen).method
    expected = ilo_jax.solve.ilo(prior, rate=(0.1, 0.2), objective=2 * Mse(), sna=True, **chosen)
    assert same(found, expected)
    assert not same(found, expected.replace(sna=None))
    projector = created(prior, "projector", steps=(9,), weights={"mse": (1.0,)}).method
    assert same(projector, ilo_jax.solve.projector(prior, 9, objective=Mse()))


def test_terms_by_name(prior):
    weights = {"mse": (1.0,), "dead_zone": (0.0, 1.0), "geocross": (0.1,)}
    objective = created(prior, steps=(2, 2), weights=weights, tolerance=0.2).method.objective
    assert objective.terms == (Mse(), DeadZone(0.2), Geocross())
    np.testing.assert_allclose(objective.weights, [[1, 1], [0, 1], [0.1, 0.1]])


def test_what_was_chosen_and_what_was_not_is_recorded(prior):
    weights = {"mse": (1.0,), "dead_zone": (0.0, 1.0), "reference": (0.1,)}
    chosen = {"steps": (2, 2), "cuts": (1, 0), "weights": weights, "tolerance": 0.2, "sna": True}
    stored = created(prior, reference="photos", **chosen).description
    assert stored.items() >= {**chosen, "steps": [2, 2], "lr": (0.1,), "radii": ["inf"]}.items()
    assert (stored["task"], stored["method"], stored["reference"]) == ("invert", "ilo", "photos")
    usual = created(prior, "csgm").description
    assert usual["weights"] == {"mse": (1.0,), "geocross": (0.001,)}
    assert (usual["steps"], "radii" in usual) == ([400], False)
    assert created(prior, "ilo-range").description["radii"] == [1000.0]
    assert created(prior, "pulse").description["weights"] == {"mse": (25.0,), "geocross_w": (0.05,)}
    by_round = created(prior, steps=(2, 2), lr=(0.1, 0.05), radii=(3.0,)).description
    assert (by_round["lr"], by_round["radii"]) == ((0.1, 0.05), [3.0])


def test_a_small_generator_has_fewer_rounds_by_default(prior):
    assert created(prior).description["steps"] == [100, 100]


def test_radii_and_notice_are_the_generators_own():
    prior = ilo_jax.load("chest64")

    def radii(**chosen):
        return created(prior, **chosen).description["radii"]

    assert radii() == [300, 100, 30]
    assert radii(steps=(9, 9)) == [300]
    assert radii(steps=(9,) * 5) == [300, 100, 30, 30]
    assert radii(radii=(5.0,)) == [5]
    assert radii(method="ilo-range") == [1000]
    assert radii(steps=(9, 9), cuts=(0, 4)) == [100]
    assert "not for diagnosis" in prior.facts.notice


def test_a_generator_of_classes_needs_one_and_others_have_none(inputs):
    a, b = (load_prior(str(inputs / "classes"), label, 0) for label in (0, 2))
    again = load_prior(str(inputs / "classes"), 2, 0)
    assert not np.array_equal(a.generator.w_avg, b.generator.w_avg)
    assert np.array_equal(again.generator.w_avg, b.generator.w_avg)
    assert same(a.generator.synthesis, b.generator.synthesis)
    narrow = load_prior(str(inputs / "classes"), 2, 0, "bfloat16")
    assert (narrow.generator.precision, a.generator.precision) == ("bfloat16", "float32")
    for name, label, message in (
        ("classes", None, "classes is class-conditional; expected 0 to 2"),
        ("classes", 3, "--label 3: expected 0 to 2, a class of"),
        ("gen", 0, "--label 0: .*gen has no classes"),
    ):
        with pytest.raises(InputError, match=message):
            load_prior(str(inputs / name), label, 0)


def test_later_frames_are_one_round_at_the_last_cut(prior):
    method = created(prior, steps=(2, 2), lr=(0.1, 0.2), radii=(7.0,)).method
    later = of_frames(method, Video(5, (3.0, 2.0, 1.0)))
    assert (later.rounds, later.max_steps, int(later.stop), later.cuts) == (1, 5, 5, (1,))
    assert (later.steps.tolist(), later.rate.tolist()) == ([5], [np.float32(0.2)])
    assert same(later.free, jax.tree.map(lambda leaf: leaf[1:], method.free))
    assert later.radii.v[1].tolist() == [3]
    assert later.radii.inputs.latents.tolist() == [2]
    assert later.radii.inputs.noises.tolist() == [1]
    assert later.radii.inputs.w is None
    assert not any(jnp.any(leaf) for leaf in later.reset.values())
    # Of Algorithm 1 the last round that looks at the measurement, not the last of all.
    printed = created(prior, "ilo-range", steps=(2, 2, 2), cuts=(1,)).method
    assert of_frames(printed, Video()).free.v[1].tolist() == [True]


def test_the_first_frame_has_no_reference_and_later_ones_may(prior):
    weights = {"mse": (1.0,), "reference": (0.1,)}
    run = created(prior, weights=weights, video=Video())
    assert run.method.objective.terms == (Mse(),)
    assert run.from_variables.objective.terms == (Mse(), Reference())
    with pytest.raises(InputError, match="no reference image"):
        created(prior, weights=weights)


@pytest.mark.parametrize(
    ("backend", "restarts", "expected"),
    [("cpu", 1, 16), ("cpu", 4, 4), ("cpu", 100, 1), ("gpu", 1, 256), ("gpu", 4, 64)],
)
def test_an_accelerator_has_larger_batches(backend, restarts, expected, prior, monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert usual_width(prior, restarts) == expected
    wanted = prior.with_facts(batch=8 if backend == "cpu" else 1000)
    assert usual_width(wanted, 1) == (4 if backend == "cpu" else 1000)
