import dataclasses
import functools
import json
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import normal

from ilo_jax.files.checkpoint import CheckpointError
from ilo_jax.files.generators import load, save
from ilo_jax.stylegan2 import (
    GeneratorConfig,
    apply_layers,
    config_f,
    derive,
    fit_mapping_proxy,
    generator_shapes,
    initial_state,
    map_latents,
    random_generator,
    sample_noises,
    synthesize,
    with_label,
    zero_styles,
)

many_programs = True

CONFIG = GeneratorConfig(channels=(8, 6), w_dim=5, z_dim=5, mapping_layers=2, image_channels=2)


def make(config, seed):
    """As `random_generator`, without the time to compile it."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        fan_in = max(1, int(np.prod(leaf.shape[:-1]))) if len(leaf.shape) > 1 else 25
        return jnp.asarray(rng.normal(size=leaf.shape, scale=fan_in**-0.5), leaf.dtype)

    generator = jax.tree.map(draw, generator_shapes(config))
    return generator.replace(synthesis=derive(generator.synthesis["params"]))


GENERATOR = make(CONFIG, 0)
draw = jax.jit(synthesize)
apply = jax.jit(apply_layers, static_argnums=(4, 5))


def _inputs(batch: tuple[int, ...] = (2,), config: GeneratorConfig = CONFIG) -> Any:
    """Latents and noise maps."""
    shapes = jax.eval_shape(lambda: sample_noises(jax.random.key(0), config, batch))
    noises = tuple(normal(i, *noise.shape) for i, noise in enumerate(shapes))
    return normal(9, *batch, config.num_latents, config.w_dim), noises


@pytest.mark.parametrize(
    "changed",
    [{}, {"architecture": "resnet"}, {"label_dim": 3, "label_width": 4, "mapping_width": 7}],
)
def test_arrays_are_those_of_the_networks(changed):
    config = dataclasses.replace(CONFIG, **changed)
    traced = jax.eval_shape(lambda: random_generator(config, jax.random.key(0)))
    traced = traced.replace(synthesis={"params": traced.synthesis["params"]})
    assert generator_shapes(config) == traced


def test_sizes_of_config_f():
    config = config_f(1024)
    assert (config.num_layers, config.num_latents, config.resolution) == (17, 18, 1024)
    assert [config.layer_resolution(i) for i in (0, 1, 2, 15, 16)] == [4, 8, 8, 1024, 1024]
    assert [config.block_start(b) for b in (0, 1, 8)] == [0, 1, 15]
    with pytest.raises(ValueError, match="power of two from 8 to 1024"):
        config_f(100)


@pytest.mark.parametrize("architecture", ["skip", "orig", "resnet"])
def test_a_generator_in_pieces_equals_the_whole(architecture):
    config = dataclasses.replace(
        CONFIG, channels=(8, 6, 4), architecture=architecture, conv_clamp=3.0
    )
    generator, last = make(config, 4), config.num_layers

    @jax.jit
    def images(latents, noises):
        def draw(cuts):
            state = initial_state(generator, (2,))
            for start, stop in zip([0, *cuts], [*cuts, last], strict=True):
                state = apply_layers(generator, state, latents, noises, start, stop)
            return state.rgb

        return [draw(cuts) for cuts in ([], range(last), [1], [last - 1], [last])]

    whole, *pieces = images(*_inputs(config=config))
    assert whole.shape == (2, *config.image_shape)
    for image in pieces:
        np.testing.assert_allclose(image, whole, atol=1e-5)


LABELS: Any = np.eye(3, dtype=np.float32)
CONDITIONAL = make(dataclasses.replace(CONFIG, label_dim=3, label_width=4, mapping_width=6), 5)


def test_label_must_be_given_where_there_are_labels():
    z, labels = jnp.ones((3, CONFIG.z_dim)), LABELS
    w = map_latents(CONDITIONAL, z, label=labels)
    assert w.shape == (3, CONFIG.num_latents, CONFIG.w_dim)
    assert not np.allclose(w[0], w[1])
    with pytest.raises(ValueError, match="label: none; expected width 3"):
        map_latents(CONDITIONAL, z)
    with pytest.raises(ValueError, match=r"label: shape \(3, 2\); expected width 3"):
        map_latents(CONDITIONAL, z, label=labels[:, :2])
    with pytest.raises(ValueError, match="expected width 0"):
        map_latents(GENERATOR, z, label=labels)


def test_one_label_serves_a_batch_and_one_latent_all_labels():
    z, labels = normal(0, 3, CONFIG.z_dim), LABELS
    w = map_latents(CONDITIONAL, z, label=labels[1])
    expected = map_latents(CONDITIONAL, z, label=jnp.asarray(np.stack([labels[1]] * 3)))
    np.testing.assert_array_equal(w, expected)
    w = map_latents(CONDITIONAL, z[0], label=labels)
    np.testing.assert_allclose(w[1], expected[0], atol=1e-6)


def test_a_generator_of_one_class_has_its_mean_and_proxy():
    one = with_label(CONDITIONAL, 1, jax.random.key(7), 2**12)
    z, labels = normal(8, 2**12, CONFIG.z_dim), LABELS
    of_class = jax.jit(lambda z, label: map_latents(CONDITIONAL, z, label=label)[:, 0])
    other, w = (np.asarray(of_class(z, labels[i])) for i in (2, 1))
    v = np.where(w < 0, 5 * w, w)
    error = 5 * np.max(v.std(0)) / 2**6
    np.testing.assert_allclose(one.w_avg, w.mean(0), atol=error)
    np.testing.assert_allclose(one.proxy.mean, v.mean(0), atol=error)
    np.testing.assert_allclose(one.proxy.std, v.std(0), rtol=0.1)
    assert np.abs(one.w_avg - other.mean(0)).max() > 2 * error
    assert one.synthesis is CONDITIONAL.synthesis


@pytest.mark.parametrize(
    ("generator", "label", "message"),
    [
        (CONDITIONAL, 3, "label 3: expected a class of the generator, 0 to 2"),
        (CONDITIONAL, -1, "label -1: expected a class of the generator, 0 to 2"),
        (GENERATOR, 0, "label 0: expected a class of the generator, none: it has no labels"),
    ],
)
def test_a_class_that_there_is_not_is_refused(generator, label, message):
    with pytest.raises(ValueError, match=message):
        with_label(generator, label, jax.random.key(0))


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_deviations_in_style_space_are_added_to_the_styles(architecture):
    """Each as if it were added to the bias of its affine layer; none changes nothing."""
    config = dataclasses.replace(CONFIG, architecture=architecture)
    generator, none = make(config, 6), zero_styles(config, (1,))
    rng = np.random.default_rng(0)
    deviations = jax.tree.map(lambda a: rng.normal(size=a.shape[1:]).astype(a.dtype), none)
    assert len(deviations.rgb) == (config.num_blocks if architecture == "skip" else 1)

    params = dict(generator.synthesis["params"])
    names = [f"layers_{i}" for i in range(config.num_layers)]
    names += [f"to_rgb_{i}" for i in range(len(deviations.rgb))]
    for name, deviation in zip(names, jax.tree.leaves(deviations), strict=True):
        affine = params[name]["affine"]
        affine = affine | {"bias": affine["bias"] + deviation}
        params[name] = params[name] | {"affine": affine}
    moved = generator.replace(synthesis=generator.synthesis | {"params": params})

    @jax.jit
    def image(generator, styles, latents, noises):
        state = initial_state(generator, (1,))
        return apply_layers(generator, state, latents, noises, 0, config.num_layers, styles).rgb

    inputs = _inputs((1,))
    plain = np.asarray(image(generator, None, *inputs))
    np.testing.assert_array_equal(image(generator, none, *inputs), plain)
    expected = image(moved, None, *inputs)
    assert np.abs(expected - plain).max() > 0.1
    np.testing.assert_allclose(image(generator, deviations, *inputs), expected, atol=1e-5)


def _everything():
    """Of every function, on a generator that is drawn too and wide enough for each kind of
    convolution."""
    config = dataclasses.replace(CONDITIONAL.config, channels=(128, 128, 64), conv_clamp=9.0)
    generator = random_generator(config, jax.random.key(0))
    z = jax.random.normal(jax.random.key(1), (3, config.z_dim), jnp.float32)
    label = jnp.eye(3, dtype=jnp.float32)
    latents = map_latents(generator, z, psi=0.5, cutoff=2, label=label)
    noises = sample_noises(jax.random.key(2), config)

    def loss(latents, noises, styles):
        state = initial_state(generator, (3,))
        state = apply_layers(generator, state, latents, noises, 0, config.num_layers, styles)
        assert state.rgb is not None
        return jnp.mean((state.rgb - synthesize(generator, latents)) ** 2), state

    variables = latents, noises, zero_styles(config)
    proxy = generator.proxy
    return (
        generator,
        variables,
        jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(*variables),
        jax.jvp(lambda *v: loss(*v)[0], variables, variables),
        (proxy(z), proxy.inverse(z), proxy.spread()),
        with_label(generator, 1, jax.random.key(3)),
    )


def test_everything_runs_in_the_strict_modes_of_jax():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        jax.eval_shape(_everything)


def test_float32_stays_float32_in_64_bits():
    with jax.enable_x64(True):
        arrays = jax.eval_shape(_everything)
    assert {a.dtype for a in jax.tree.leaves(arrays)} == {np.dtype("float32")}


def test_conv_clamp_bounds_what_layers_put_out():
    latents, noises = _inputs()
    config = dataclasses.replace(CONFIG, conv_clamp=0.5)
    state = apply(
        GENERATOR.replace(config=config), initial_state(GENERATOR, (2,)), latents, noises, 0, 1
    )
    free = apply(GENERATOR, initial_state(GENERATOR, (2,)), latents, noises, 0, 1)
    features = np.asarray(free.features)
    np.testing.assert_array_equal(state.features, features.clip(-0.5, 0.5))
    assert np.abs(features).max() > 0.5


def test_layers_out_of_range_are_refused():
    latents, noises = _inputs()
    with pytest.raises(ValueError, match=r"layers 3\.\.2: expected 0 <= start <= stop <= 3"):
        apply_layers(GENERATOR, initial_state(GENERATOR, (2,)), latents, noises, 3, 2)


def test_batch_axes_are_free():
    latents, noises = _inputs((2, 3))
    pick = functools.partial(jax.tree.map, lambda a: a[1, 2])

    @jax.jit
    def both(latents, noises):
        one = synthesize(GENERATOR, *pick((latents, noises)))
        return synthesize(GENERATOR, latents, noises), one

    images, one = both(latents, noises)
    assert images.shape == (2, 3, *CONFIG.image_shape)
    np.testing.assert_allclose(images[1, 2], one, atol=1e-5)


def test_every_layer_latent_and_noise_map_matters():
    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def gradient(latents, noises):
        return jnp.sum(jnp.sin(synthesize(GENERATOR, latents, noises)))

    by_latent, by_noise = gradient(*_inputs(()))
    assert (np.abs(by_latent) > 0).all()
    assert all((np.abs(d) > 0).all() for d in by_noise)


@settings(max_examples=6, deadline=None)
@given(st.floats(-1, 2), st.integers(0, CONFIG.num_latents))
def test_truncation_moves_the_first_latents_to_the_mean(psi, cutoff):
    z = normal(2, 3, CONFIG.z_dim)
    w, truncated = (np.asarray(map_latents(GENERATOR, z, *by)) for by in ((), (psi, cutoff)))
    mean = np.asarray(GENERATOR.w_avg)
    np.testing.assert_allclose(
        truncated[:, :cutoff] - mean, psi * (w[:, :cutoff] - mean), atol=1e-6
    )
    np.testing.assert_allclose(truncated[:, cutoff:], w[:, cutoff:], atol=1e-6)


def test_mapping_proxy_has_the_moments_of_the_mapping_network():
    key = jax.random.key(3)
    proxy, w_avg = fit_mapping_proxy(GENERATOR.mapping, CONFIG, key, samples=2**14)
    w = np.asarray(map_latents(GENERATOR, normal(3, 2**14, CONFIG.z_dim)))[:, 0]
    v = np.where(w < 0, 5 * w, w)
    np.testing.assert_allclose(w_avg, w.mean(0), atol=0.05)
    np.testing.assert_allclose(proxy.mean, v.mean(0), atol=0.2)
    np.testing.assert_allclose(proxy.std, v.std(0), rtol=0.05)
    z, back = normal(4, 7, CONFIG.w_dim), jax.jit(proxy.inverse)
    there = jax.jit(lambda z: proxy(z))
    w = np.asarray(there(z))
    expected = np.asarray(proxy.std) * z + np.asarray(proxy.mean)
    np.testing.assert_allclose(np.where(w < 0, 5 * w, w), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back(there(z)), z, atol=1e-5)
    np.testing.assert_allclose(there(back(z)), z, atol=1e-5)


def test_saved_and_loaded_are_equal(tmp_path):
    save(tmp_path / "g", GENERATOR, {"source": "a test"})
    loaded = load(tmp_path / "g").generator
    assert loaded.config == CONFIG
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), loaded, GENERATOR)
    assert json.loads((tmp_path / "g" / "generator.json").read_text())["about"] == {
        "source": "a test"
    }
    assert [p.name for p in tmp_path.iterdir()] == ["g"]
    with pytest.raises(CheckpointError, match="exists already"):
        save(tmp_path / "g", GENERATOR, {})


def test_an_interrupted_save_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        save(tmp_path / "g", GENERATOR, {"not JSON": object()})
    assert list(tmp_path.iterdir()) == []


def test_embedded_generator_draws_grey_images():
    generator = load("chest64").generator
    assert generator.config == GeneratorConfig((128, 128, 128, 64, 32), w_dim=64, z_dim=64)
    latents = map_latents(generator, jnp.zeros(64), psi=0.0)
    # Compiled for a single run.
    program = draw.lower(generator, latents).compile({"xla_backend_optimization_level": "0"})
    image = np.asarray(program(generator, latents))
    assert image.shape == (64, 64, 3)
    assert 0.3 < image.std() < 0.7
    assert np.ptp(image, axis=-1).max() < 0.1


def _edit(folder, **changes):
    path = folder / "generator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "not a generator; expected a folder or .safetensors file written by"),
        (lambda f: (f / "generator.json").write_text("{"), "not a generator"),
        (lambda f: (f / "generator.json").write_text("[1]"), "checkpoint format None"),
        (lambda f: _edit(f, format=0), "format 0; expected 1; convert the weights again: python"),
        (
            lambda f: _edit(f, config={"channels": [8]}),
            "array mapping.params.dense_2.bias is missing; convert the weights again",
        ),
        (lambda f: _edit(f, config={"depth": 3}), "config is damaged; convert the weights again"),
        (
            lambda f: _edit(f, config=dataclasses.asdict(CONFIG) | {"channels": "wide"}),
            r"config is damaged \(channels is a str; expected an integer .*\); convert the weights",
        ),
        (lambda f: shutil.rmtree(f / "arrays"), "arrays are missing or damaged; convert the"),
        (
            lambda f: (f / "arrays" / "manifest.ocdbt").write_text("{"),
            "arrays are missing or damaged; convert the",
        ),
    ],
)
def test_a_bad_checkpoint_is_refused_in_one_line(tmp_path, damage, message):
    folder = tmp_path / "g"
    save(folder, GENERATOR, {})
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
