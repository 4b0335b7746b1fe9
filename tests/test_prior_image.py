"""An earlier image of the same subject: what of it may change, and how far."""

import json
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from small import IMAGES, KEYS, MLP, OPERATOR, begun, measured, stylegan2

from ilo_jax.errors import InputError
from ilo_jax.solve import Method, Mse, Round, Variables, around, ilo, reconstruct, robust

numerics_elsewhere = True


def test_what_other_layers_read_stays():
    prior = stylegan2()
    method = ilo(prior, [1, 1])
    free = around(prior, method, (1, 2)).free
    assert free.inputs.latents[..., 0].tolist() == [[False, True, False, False]] * 2
    assert np.stack(free.inputs.noises, 1).reshape(2, -1).tolist() == [[False, True, False]] * 2
    assert np.asarray(free.v[1]).tolist() == [False, True]
    # All layers read W; none of its round is left.
    free = around(prior, robust(prior, objective=Mse()), (1, 2)).free.inputs
    assert not np.any(free.w)
    assert free.w_plus[..., 0].tolist() == [[False] * 4, [False, True, False, False], [False] * 4]
    whole = around(prior, method)
    jax.tree.map(np.testing.assert_array_equal, whole.free, method.free)
    for layers in ((-1, 2), (2, 2), (0, 4)):
        with pytest.raises(InputError, match=f"layers {layers[0]} to {layers[1]}: expected 0 to 3"):
            around(prior, method, layers)


@pytest.mark.parametrize("radius", [0.0, 0.3])
def test_all_rounds_stay_in_balls_around_the_earlier_image(radius):
    rounds = [Round(5, inputs=(0, 3)), Round(5, inputs=(0, 3), deviation=1, radius=0.2)]
    method = around(MLP, Method.create(MLP, rounds, keep="last"), radii_inputs=radius)
    deviation: Any = np.full((IMAGES, 10), 0.1, np.float32)
    x = Variables(begun(MLP).inputs, {1: deviation})
    found = reconstruct(MLP, OPERATOR, measured(), KEYS, method, initial=x, center=x)
    distance = np.abs(np.asarray(found.x.inputs - x.inputs)).sum(-1)
    np.testing.assert_allclose(distance, radius, atol=1e-5)
    # What it deviated by is still there, as far as the ball lets it.
    apart = np.abs(np.asarray(found.x.v[1] - x.v[1])).sum(-1)
    np.testing.assert_allclose(apart, 0.2, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--prior-image small/a.png", "small/a.png: 4x4 pixels; expected 8x8"),
        ("--prior-image none.png", "none.png: "),
        ("--prior-image empty", "empty: "),
        ("--prior-image photos/b.png --prior-layers 0,3", "layers 0 to 4: expected 0 to 3"),
        ("--prior-image photos/b.png --prior-layers 2,1", "'2,1': expected A,B, the first and"),
        ("--prior-image photos/b.png --prior-radii 1", "'1': expected two numbers >= 0, or inf"),
        ("--prior-layers 0,1", "--prior-layers, --prior-radii: expected with --prior-image"),
        ("--prior-image photos/b.png --samples 2", "--prior-image with --samples: expected one of"),
        ("--prior-image photos/b.png --auto", "--auto with --prior-image: expected one of them"),
    ],
)
def test_earlier_images_that_do_not_go_with_a_run_are_refused(solve, options, message):
    line = f"inpaint --observed 0.5 --generator gen --images photos/a.png --out {{out}} {options}"
    outcome = solve(line)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1 or "usage" in outcome.err


@pytest.mark.slow
def test_an_image_near_an_earlier_one_is_better_with_it(solve, inputs, tmp_path):
    """And its bytes depend on the earlier one, which another folder gives by name."""
    line = "inpaint --observed 0.2 --generator gen --images photos/a.png --steps 20,20 --out {out}"
    (tmp_path / "earlier").mkdir()
    before = np.asarray(Image.open(inputs / "photos" / "a.png")).copy()
    before[2:4, 2:4] = 255 - before[2:4, 2:4]
    Image.fromarray(before).save(tmp_path / "earlier" / "a.png")

    def psnr(name, options):
        assert solve(line.replace("{out}", f"{{out}}/{name}") + options).code == 0
        run = json.loads((tmp_path / "out" / name / "run.json").read_text())
        metrics = (tmp_path / "out" / name / "metrics.csv").read_text().splitlines()
        columns = dict(zip(*(row.split(",") for row in metrics[:2]), strict=True))
        return float(columns["psnr_db"]), run

    alone, _ = psnr("alone", "")
    with_it, run = psnr("file", f" --prior-image {tmp_path}/earlier/a.png")
    assert with_it > alone + 2
    assert run["made_by"]["given"]["prior_image"] == f"{tmp_path}/earlier/a.png"
    by_name, _ = psnr("folder", f" --prior-image {tmp_path}/earlier")
    assert by_name == with_it
    again, _ = psnr("again", f" --config {tmp_path}/out/file/run.json")
    assert again == with_it
    still = f" --prior-image {tmp_path}/earlier/a.png --prior-radii 0,0 --radii 0"
    psnr("still", still)

    def apart(name):
        found = np.asarray(Image.open(tmp_path / "out" / name / "images" / "a.png"))
        return np.abs(found.astype(float) - before).mean()

    assert apart("still") < apart("file")
    white = tmp_path / "white.png"
    Image.new("RGB", (8, 8), "white").save(white)
    outcome = solve(line.replace("{out}", "{out}/white") + f" --prior-image {white}")
    assert outcome.code == 2
    assert "white.png: does not fit the generator, which gives it back with" in outcome.err
