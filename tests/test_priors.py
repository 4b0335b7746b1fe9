"""What holds of every prior, and what is StyleGAN2's own."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import CONFIG, MLP, assert_close, assert_same, at, dense, in_numpy, normal, stylegan2

from ilo_jax.errors import InputError
from ilo_jax.priors import Facts, Sequential
from ilo_jax.solve import Variables, code, compose, image, sample
from ilo_jax.solve.variables import zeros
from ilo_jax.stylegan2 import GeneratorConfig, synthesize

numerics_elsewhere = True

PRIORS = {"mlp": lambda: MLP, "stylegan2": stylegan2}
CASES = [(name, cut) for name in PRIORS for cut in (1, 2, 3)]
KEY = jax.random.key(5)


@functools.cache
def drawn(name):
    prior = PRIORS[name]()
    return prior, jax.device_get(jax.jit(prior.starts()["random"])(KEY))


@functools.partial(in_numpy, static_argnums=(3, 4))
def apply(prior, inputs, state, start, stop):
    return prior.layers(inputs, state, start, stop)


@functools.cache
def states(name):
    """What each layer reads, and the whole."""
    prior, inputs = drawn(name)
    found = [prior.first(inputs)]
    for layer in range(prior.depth):
        found.append(apply(prior, inputs, found[-1], layer, layer + 1))
    return found


@pytest.mark.parametrize(("name", "cut"), CASES)
def test_the_parts_compose_to_the_whole(name, cut):
    prior, inputs = drawn(name)
    whole = states(name)[-1]
    assert_close(apply(prior, inputs, states(name)[0], 0, prior.depth), whole, 1e-5)
    assert_close(apply(prior, inputs, states(name)[cut], cut, prior.depth), whole, 1e-5)
    assert_same(apply(prior, inputs, whole, cut, cut), whole)
    assert prior.code(prior.depth, whole).shape == prior.image_shape


@pytest.mark.parametrize(("name", "cut"), CASES)
def test_a_code_is_what_was_put_in(name, cut):
    prior, _ = drawn(name)
    state = states(name)[cut]
    other = prior.code(cut, state) + 1
    moved = prior.with_code(cut, state, other)
    assert_same(prior.code(cut, moved), other)
    assert_same(prior.with_code(cut, moved, prior.code(cut, state)), state)


@pytest.mark.parametrize(("name", "cut"), CASES)
def test_deviations_move_the_codes_and_what_reads_them(name, cut):
    """`G2(G1(inputs) + v)`, and without `v` the range."""
    prior, inputs = drawn(name)
    none = Variables(inputs, zeros(prior, (1, 2, 3)))
    generated = prior.code(prior.depth, states(name)[-1])
    assert_close(jax.jit(image)(prior, none), generated, 1e-5)
    v = normal(cut, *none.v[cut].shape)
    moved = none.replace(v={**none.v, cut: v})
    state = states(name)[cut]
    state = prior.with_code(cut, state, prior.code(cut, state) + v)
    expected = prior.code(prior.depth, apply(prior, inputs, state, cut, prior.depth))
    assert_close(jax.jit(image)(prior, moved), expected, 1e-4)
    assert_close(code(prior, moved, cut), prior.code(cut, state), 1e-5)
    assert_close(compose(prior, moved, cut), state, 1e-5)
    if cut > 1:
        assert_close(code(prior, moved, cut - 1), prior.code(cut - 1, states(name)[cut - 1]), 1e-5)


@pytest.mark.parametrize("cut", [0, 4, -1])
def test_cuts_that_are_not_there_are_refused(cut):
    with pytest.raises(InputError, match=f"cut {cut}: expected 1 to 3, the generator's layers"):
        zeros(MLP, (cut,))


@pytest.mark.parametrize(
    ("name", "space"),
    [("mlp", "inputs"), *(("stylegan2", s) for s in ("latents", "w", "w_plus", "styles"))],
)
@pytest.mark.parametrize(("start", "stop"), [(0, 3), (0, 1), (1, 3), (1, 2), (2, 3), (1, 1)])
def test_what_is_free_is_what_the_layers_read(name, space, start, stop):
    prior, inputs = drawn(name)
    free = prior.free(start, stop, prior.depth, space)
    leaves, tree = jax.tree.flatten(inputs)
    masks = [
        np.broadcast_to(m, x.shape) for m, x in zip(jax.tree.leaves(free), leaves, strict=True)
    ]

    def reached(leaves):
        inputs = tree.unflatten(leaves)
        state = states(name)[start] if start else prior.first(inputs)
        state = apply(prior, inputs, state, start, stop)
        return prior.code(stop, state), state

    def differ(a, b):
        return any(map(np.any, jax.tree.leaves(jax.tree.map(lambda x, y: x != y, a, b))))

    code, state = reached(leaves)
    for i, (mask, leaf) in enumerate(zip(masks, leaves, strict=True)):
        for row in np.ndindex(leaf.shape[:-1] if leaf.ndim == 2 else ()):
            moved = [*leaves]
            moved[i] = leaf.copy()
            moved[i][row] += 1
            moved_code, moved_state = reached(moved)
            assert differ(state, moved_state) or not mask[row].any()
            # Of what the space searches, the code reads nothing else.
            assert not differ(code, moved_code) or mask[row].any() or not mask.any()


def test_another_space_is_refused():
    with pytest.raises(InputError, match="space w: expected one of inputs"):
        MLP.free(0, 3, space="w")
    with pytest.raises(InputError, match="space z: expected one of latents, w, w_plus, styles"):
        stylegan2().free(0, 3, space="z")


def test_the_noise_maps_of_a_round():
    """Section 4.1 at 64 px: five maps, and two more in each round, of the layers behind the cut."""
    config = GeneratorConfig(channels=(128, 128, 128, 64, 32), w_dim=64)
    prior = stylegan2()
    prior = prior.replace(generator=dataclasses.replace(prior.generator, config=config))
    assert prior.usual_cuts == (1, 3, 5, 7)
    found = [
        [at for at, mask in enumerate(prior.free(cut, 9, index).noises) if mask]
        for index, cut in enumerate((0, 1, 3, 5))
    ]
    assert found == [[*range(5)], [*range(1, 7)], [*range(3, 9)], [*range(5, 9)]]
    rows = [prior.free(cut, 9).latents[:, 0].nonzero()[0].tolist() for cut in (0, 5)]
    assert rows == [[*range(10)], [*range(5, 10)]]  # the last to-RGB reads a latent of its own


@pytest.mark.parametrize("name", PRIORS)
def test_constraints_are_kept(name):
    """Each is a projection: what it has kept once stays."""
    prior, inputs = drawn(name)
    rng = np.random.default_rng(0)
    moved = jax.tree.map(lambda x: x + rng.normal(size=x.shape).astype(np.float32), inputs)
    keep = jax.jit(type(prior).keep)
    kept = {n: keep(prior, moved, inputs, c) for n, c in prior.constraints().items()}
    for constraint, once in kept.items():
        again = keep(prior, once, inputs, prior.constraints()[constraint])
        assert_close(again, once, 1e-5)
    assert_same(kept["none"], moved)
    latents = [x if name == "mlp" else x.latents for x in (kept["sphere"], inputs)]
    np.testing.assert_allclose(*(np.linalg.norm(x, axis=-1) for x in latents), rtol=1e-5)
    if name == "stylegan2":
        for on_sphere, white, start in zip(
            kept["sphere"].noises, kept["white"].noises, inputs.noises, strict=True
        ):
            np.testing.assert_allclose(np.linalg.norm(on_sphere), np.linalg.norm(start), rtol=1e-5)
            np.testing.assert_allclose((white.mean(), white.var()), (0, 1), atol=1e-4)
        assert_same(kept["white"].latents, moved.latents)


def test_starts_of_stylegan2():
    prior = stylegan2()

    @in_numpy
    def drawn(key):
        return {name: start(key) for name, start in prior.starts().items()}

    starts = drawn(KEY)
    assert_same(starts["silent"]._replace(noises=()), starts["random"]._replace(noises=()))
    shown = {n: [bool(np.any(x != 0)) for x in starts[n].noises] for n in ("random", "silent")}
    assert shown == {"random": [True, True, True], "silent": [True, True, False]}
    w = np.tile(prior.generator.w_avg, (CONFIG.num_latents, 1))
    np.testing.assert_allclose(prior.w(starts["mean"]), w, atol=1e-5)
    again, other = drawn(KEY)["random"], drawn(jax.random.key(6))["random"]
    assert_same(again, starts["random"])
    assert (other.latents != again.latents).all()


def test_starts_of_a_chain():
    starts = MLP.starts()
    np.testing.assert_array_equal(starts["mean"](KEY), 0)
    z = in_numpy(jax.vmap(starts["random"]))(jax.random.split(KEY, 4000))
    np.testing.assert_allclose((z.mean(), z.std()), (0, 1), atol=0.03)


def test_an_image_of_stylegan2_is_the_networks():
    prior, inputs = drawn("stylegan2")
    expected = jax.jit(synthesize)(prior.generator, prior.w(inputs), inputs.noises)
    assert_close(prior.code(3, states("stylegan2")[-1]), expected, 1e-5)


def test_w_and_w_plus_are_deviations_of_one_and_of_each():
    prior, inputs = drawn("stylegan2")
    w = normal(0, *inputs.w.shape)
    moved = prior.w(inputs) + w
    assert_close(prior.w(inputs._replace(w=w)), moved, 1e-6)
    assert_close(prior.w(inputs._replace(w_plus=np.tile(w, (4, 1)))), moved, 1e-6)


def test_exploration_is_the_same_in_all_layers_and_of_the_spread_of_w():
    prior, inputs = drawn("stylegan2")
    keys = jax.random.split(KEY, 2000)
    explore = in_numpy(jax.vmap(lambda key: prior.explore(inputs, key, jnp.float32(0.5))))
    found = explore(keys)
    assert_same(at(found, 0)._replace(w=None), inputs._replace(w=None))
    spread = 0.5 * float(prior.generator.proxy.spread())
    assert np.sqrt(np.mean(np.square(found.w))) == pytest.approx(spread, rel=0.05)
    assert_same(prior.explore(inputs, KEY, jnp.float32(0)), inputs)
    with pytest.raises(InputError, match="exploration: Sequential has none"):
        MLP.explore(jnp.zeros(6), KEY, jnp.float32(1))


def test_the_spread_of_the_proxy_is_that_of_its_samples():
    proxy = stylegan2().generator.proxy
    w = np.asarray(proxy(normal(0, 20000, CONFIG.w_dim)))
    assert float(proxy.spread()) == pytest.approx(np.sqrt(np.sum(np.var(w, 0))), rel=0.02)
    inverse = jax.jit(proxy.inverse)
    np.testing.assert_allclose(inverse(w)[:9], inverse(w[:9]), atol=1e-5)


def test_the_spread_of_codes_is_the_mean_distance_of_two_images():
    found = MLP.spread((1, 3))

    @in_numpy
    def codes_of(keys):
        inputs = jax.vmap(MLP.starts()["random"])(keys)
        return [jax.vmap(lambda z, cut=cut: MLP.layers(z, z, 0, cut))(inputs) for cut in (1, 3)]

    codes_at = codes_of(jax.random.split(jax.random.key(0), (16, 2)).reshape(32))
    for codes, distance in zip(codes_at, found, strict=True):
        codes = codes.reshape(16, 2, -1)
        expected = np.abs(codes[:, 0] - codes[:, 1]).sum(-1).mean()
        np.testing.assert_allclose(distance, expected, rtol=1e-5)


def test_an_image_that_is_drawn_is_in_the_range():
    prior, inputs = drawn("mlp")
    expected = jax.jit(image)(prior, Variables(inputs, {}))
    np.testing.assert_allclose(jax.jit(sample)(prior, KEY), expected, atol=1e-5)


def test_an_image_is_drawn_from_a_start_that_is_there():
    with pytest.raises(InputError, match="start nowhere: expected one of"):
        sample(MLP, KEY, "nowhere")


def test_radii_of_cuts_between_those_that_are_known():
    facts = Facts(radii=((3, 30.0), (5, 50.0)))
    assert [facts.radius(cut) for cut in (1, 3, 4, 5, 9)] == [30, 30, 30, 50, 50]
    assert Facts().radius(1) == np.inf
    assert stylegan2().with_facts(notice="not for diagnosis").facts.notice == "not for diagnosis"


@pytest.mark.parametrize(
    ("functions", "params", "message"),
    [
        ((dense,), (), "1 functions, 0 params; expected one of each a layer"),
        ((), (), "0 functions, 0 params; expected one of each a layer"),
        ((dense,), MLP.params[:1], r"returns float32\[10\]; expected an image, float32\[H, W, C\]"),
        ((lambda _, x: x.astype(jnp.int32),), (0,), r"returns int32\[6\]; expected an image"),
    ],
)
def test_a_chain_that_makes_no_image_is_refused(functions, params, message):
    with pytest.raises(InputError, match=f"Sequential: .*{message}"):
        Sequential.create(functions, params, 6)


def test_a_prior_is_a_pytree_of_its_weights():
    doubled = jax.tree.map(lambda leaf: 2 * np.asarray(leaf), MLP)
    assert doubled.functions is MLP.functions
    assert_same(doubled.params[0]["kernel"], 2 * np.asarray(MLP.params[0]["kernel"]))
