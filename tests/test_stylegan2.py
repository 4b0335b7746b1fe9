import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ilo_jax.stylegan2 import (
    CheckpointError,
    GeneratorConfig,
    apply_layers,
    config_f,
    derive,
    fit_mapping_proxy,
    initial_state,
    load,
    map_latents,
    random_generator,
    sample_noises,
    save,
    synthesize,
)

CONFIG = GeneratorConfig(channels=(8, 6, 4), w_dim=5, z_dim=5, mapping_layers=2, image_channels=2)


def make(config, seed):
    """As `random_generator`, without the time to compile it."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        fan_in = max(1, int(np.prod(leaf.shape[:-1]))) if len(leaf.shape) > 1 else 25
        return jnp.asarray(rng.normal(size=leaf.shape, scale=fan_in**-0.5), leaf.dtype)

    shapes = jax.eval_shape(lambda: random_generator(config, jax.random.key(0)))
    generator = jax.tree.map(draw, shapes)
    return generator.replace(synthesis=derive(generator.synthesis["params"]))


GENERATOR = make(CONFIG, 0)
draw = jax.jit(synthesize)
apply = jax.jit(apply_layers, static_argnums=(4, 5))


def _inputs(batch: tuple[int, ...] = (2,)):
    k_z, k_noise = jax.random.split(jax.random.key(1))
    z = jax.random.normal(k_z, (*batch, CONFIG.z_dim))
    return map_latents(GENERATOR, z), sample_noises(k_noise, CONFIG, batch)


def test_sizes_of_config_f():
    config = config_f(1024)
    assert (config.num_layers, config.num_latents, config.resolution) == (17, 18, 1024)
    assert [config.layer_resolution(i) for i in (0, 1, 2, 15, 16)] == [4, 8, 8, 1024, 1024]
    assert [config.block_start(b) for b in (0, 1, 8)] == [0, 1, 15]
    with pytest.raises(ValueError, match="power of two from 8 to 1024"):
        config_f(100)


@pytest.mark.parametrize("architecture", ["skip", "orig", "resnet"])
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_a_generator_in_pieces_equals_the_whole(architecture, data):
    generator, whole = _wholes(architecture)
    cuts = data.draw(st.lists(st.integers(0, CONFIG.num_layers), max_size=4).map(sorted))
    latents, noises = _inputs()
    state = initial_state(generator, (2,))
    for start, stop in zip([0, *cuts], [*cuts, CONFIG.num_layers], strict=True):
        state = apply(generator, state, latents, noises, start, stop)
    assert state.rgb is not None
    np.testing.assert_allclose(state.rgb, whole, atol=1e-5)


@functools.cache
def _wholes(architecture):
    config = dataclasses.replace(CONFIG, architecture=architecture, conv_clamp=3.0)
    generator = make(config, 4)
    return generator, draw(generator, *_inputs())


def test_label_must_be_given_where_there_are_labels():
    config = dataclasses.replace(CONFIG, label_dim=3, label_width=4, mapping_width=6)
    generator = make(config, 5)
    z, labels = jnp.ones((3, CONFIG.z_dim)), jnp.eye(3)
    w = map_latents(generator, z, label=labels)
    assert w.shape == (3, CONFIG.num_latents, CONFIG.w_dim)
    assert not np.allclose(w[0], w[1])
    with pytest.raises(ValueError, match="label: none; expected width 3"):
        map_latents(generator, z)
    with pytest.raises(ValueError, match=r"label: shape \(3, 2\); expected width 3"):
        map_latents(generator, z, label=labels[:, :2])
    with pytest.raises(ValueError, match="expected width 0"):
        map_latents(GENERATOR, z, label=labels)


def test_conv_clamp_bounds_what_layers_put_out():
    latents, noises = _inputs()
    config = dataclasses.replace(CONFIG, conv_clamp=0.5)
    state = apply(
        GENERATOR.replace(config=config), initial_state(GENERATOR, (2,)), latents, noises, 0, 1
    )
    free = apply(GENERATOR, initial_state(GENERATOR, (2,)), latents, noises, 0, 1)
    np.testing.assert_array_equal(state.features, free.features.clip(-0.5, 0.5))
    assert jnp.abs(free.features).max() > 0.5


def test_layers_out_of_range_are_refused():
    latents, noises = _inputs()
    with pytest.raises(ValueError, match=r"layers 3\.\.2: expected 0 <= start <= stop <= 5"):
        apply_layers(GENERATOR, initial_state(GENERATOR, (2,)), latents, noises, 3, 2)


def test_batch_axes_are_free():
    latents, noises = _inputs((2, 3))
    images = draw(GENERATOR, latents, noises)
    assert images.shape == (2, 3, *CONFIG.image_shape)
    one = draw(GENERATOR, latents[1, 2], tuple(n[1, 2] for n in noises))
    np.testing.assert_allclose(images[1, 2], one, atol=1e-5)


def test_every_layer_latent_and_noise_map_matters():
    latents, noises = _inputs(())
    jacobians = jax.jit(jax.jacrev(synthesize, argnums=(1, 2)))(GENERATOR, latents, noises)
    by_latent = jnp.abs(jacobians[0]).sum((0, 1, 2, 4))
    assert (by_latent > 0).all()
    assert all(jnp.abs(j).sum() > 0 for j in jacobians[1])


@settings(max_examples=6, deadline=None)
@given(st.floats(-1, 2), st.integers(0, CONFIG.num_latents))
def test_truncation_moves_the_first_latents_to_the_mean(psi, cutoff):
    z = jax.random.normal(jax.random.key(2), (3, CONFIG.z_dim))
    w = map_latents(GENERATOR, z)
    truncated = map_latents(GENERATOR, z, psi, cutoff)
    mean = GENERATOR.w_avg
    np.testing.assert_allclose(
        truncated[:, :cutoff] - mean, psi * (w[:, :cutoff] - mean), atol=1e-6
    )
    np.testing.assert_allclose(truncated[:, cutoff:], w[:, cutoff:], atol=1e-6)


def test_mapping_proxy_has_the_moments_of_the_mapping_network():
    key, other = jax.random.split(jax.random.key(3))
    proxy, w_avg = fit_mapping_proxy(GENERATOR.mapping, CONFIG, key, samples=2**14)
    w = map_latents(GENERATOR, jax.random.normal(other, (2**14, CONFIG.z_dim)))[:, 0]
    v = jax.nn.leaky_relu(w, 5.0)
    np.testing.assert_allclose(w_avg, w.mean(0), atol=0.05)
    np.testing.assert_allclose(proxy.mean, v.mean(0), atol=0.2)
    np.testing.assert_allclose(proxy.std, v.std(0), rtol=0.05)
    z = jax.random.normal(key, (7, CONFIG.w_dim))
    np.testing.assert_allclose(
        jax.nn.leaky_relu(proxy(z), 5.0), proxy.std * z + proxy.mean, rtol=1e-5, atol=1e-6
    )


def test_saved_and_loaded_are_equal(tmp_path):
    save(tmp_path / "g", GENERATOR, {"source": "a test"})
    loaded = load(tmp_path / "g")
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
    generator = load("chest64")
    assert generator.config == GeneratorConfig((128, 128, 128, 64, 32), w_dim=64, z_dim=64)
    image = draw(generator, map_latents(generator, jnp.zeros(64), psi=0.0))
    assert image.shape == (64, 64, 3)
    assert 0.3 < image.std() < 0.7
    assert jnp.ptp(image, axis=-1).max() < 0.1


def _edit(folder, **changes):
    path = folder / "generator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "not a generator; expected a folder written by convert_weights, or an "),
        (lambda f: (f / "generator.json").write_text("{"), "not a generator"),
        (lambda f: (f / "generator.json").write_text("[1]"), "checkpoint format None"),
        (lambda f: _edit(f, format=0), "format 0; expected 1; convert the weights again: python"),
        (
            lambda f: _edit(f, config={"channels": [8]}),
            "arrays are missing.*convert the weights again",
        ),
        (lambda f: _edit(f, config={"depth": 3}), "config is damaged; convert the weights again"),
        (
            lambda f: _edit(f, config=dataclasses.asdict(CONFIG) | {"channels": "wide"}),
            "config is damaged; convert the weights again",
        ),
        (lambda f: shutil.rmtree(f / "arrays"), "arrays are missing, damaged or of other sizes"),
        (
            lambda f: (f / "arrays" / "_METADATA").write_text("{"),
            "arrays are missing, damaged or of other sizes",
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
