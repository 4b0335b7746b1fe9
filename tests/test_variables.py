"""Variables on disk: what they give back, what goes on from them, and what is refused."""

import io
import pickle
import zipfile

import jax
import numpy as np
import pytest
from outputs import interrupt_second_batch, pictures, rows, summary
from small import CUTS, MLP

import ilo_jax
from ilo_jax import stylegan2
from ilo_jax.errors import InputError
from ilo_jax.files.images import encode_png, to_pillow
from ilo_jax.files.variables import load_variables, save_variables
from ilo_jax.solve import Variables
from ilo_jax.solve.variables import zeros

looks_at_files = True

INVERT = "invert --images photos --out {out} --generator gen --steps 2,2"


def errors(out) -> np.ndarray:
    return np.array([float(row["measurement_mse"]) for row in rows(out)])


def point(cuts=CUTS) -> Variables:
    """Of the MLP, with deviations."""
    v = {c: z + np.float32(c) for c, z in zeros(MLP, cuts).items()}
    return Variables(MLP.starts()["random"](jax.random.key(0)), v)


@pytest.mark.parametrize("cuts", [(), (2,), CUTS])
def test_variables_come_back_as_they_were(cuts, tmp_path):
    path = tmp_path / "x.npz"
    save_variables(path, point(cuts), np.zeros((4, 4, 1), np.float32), np.float32(0.5))
    found = load_variables(path, MLP)
    assert jax.tree.structure(found) == jax.tree.structure(point(cuts))
    jax.tree.map(np.testing.assert_array_equal, found, point(cuts))
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(found))
    with np.load(path, allow_pickle=False) as file:
        assert {*file.files} == {"inputs", "image", "error", *(f"v/{cut}" for cut in cuts)}
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def changed(path, **arrays) -> None:
    with np.load(path) as file:
        content = {name: file[name] for name in file.files} | arrays
    np.savez(path, allow_pickle=True, **content)


def npy() -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


BAD = {
    "missing": (lambda path: path.unlink(), "does not exist; expected variables that a run"),
    "empty": (lambda path: path.write_bytes(b""), "damaged; expected variables"),
    "text": (lambda path: path.write_text("hello"), "damaged; expected variables"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps([1])), "damaged; expected variables"),
    "one array": (lambda path: path.write_bytes(npy()), "damaged; expected variables"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:300]), "damaged; expected"),
    "objects": (lambda path: changed(path, inputs=np.array([{}])), "damaged; expected"),
    "shape": (
        lambda path: changed(path, inputs=np.zeros(5, np.float32)),
        r"inputs is float32\[5\], not float32\[6\]; expected .* for this generator, of 4x4 px",
    ),
    "type": (lambda path: changed(path, inputs=np.zeros(6)), r"inputs is float64\[6\], not"),
    "more": (
        lambda path: changed(path, **{"inputs/w": 0}),
        "inputs/w is .* not missing",
    ),
    "cut": (lambda path: changed(path, **{"v/9": np.zeros(6)}), "deviations at cuts 1, 2, 3, 9;"),
    "code": (
        lambda path: changed(path, **{"v/1": np.zeros(6, np.float32)}),
        r"v/1 is float32\[6\], not float32\[10\]",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_in_one_line(kind, tmp_path):
    damage, expected = BAD[kind]
    path = tmp_path / "x.npz"
    save_variables(path, point(), np.zeros((4, 4, 1), np.float32), np.float32(0.5))
    damage(path)
    with pytest.raises(InputError, match=expected) as caught:
        load_variables(path, MLP)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_member_that_is_damaged_is_found(tmp_path):
    path = tmp_path / "x.npz"
    save_variables(path, point(), np.zeros((4, 4, 1), np.float32), np.float32(0.5))
    content = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[:-8] if name == "inputs.npy" else old.read(name))
    path.write_bytes(content.getvalue())
    with pytest.raises(InputError, match="damaged"):
        load_variables(path, MLP)


def test_what_is_saved_gives_the_image_back(solve, tmp_path, inputs):
    """Saved on two devices, read on one."""
    assert solve(INVERT + " --save-variables").code == 0
    prior, out = ilo_jax.load(inputs / "gen"), tmp_path / "out"
    for name, content in pictures(out).items():
        path = out / "variables" / name.replace(".png", ".npz")
        image = ilo_jax.image_of(prior, ilo_jax.load_variables(path, prior))
        with np.load(path) as file:
            np.testing.assert_array_equal(file["image"], image)
        assert encode_png(to_pillow(image)) == content
    assert sorted(p.name for p in (out / "variables").iterdir()) == ["a.npz", "b.npz"]


def of_class(inputs):
    prior = ilo_jax.load(inputs / "classes")
    key = jax.random.fold_in(jax.random.key(0), 2)
    return prior.replace(generator=stylegan2.with_label(prior.generator, 1, key))


RUNS = {
    "--method robust --steps 3,3,3": None,
    "--method robust --steps 3,3,3 --samples 2 --keep-samples": None,
    "--method sgilo --steps 2,2": None,
    "--method langevin --steps 5": None,
    "--precision bfloat16": lambda inputs: ilo_jax.load(inputs / "gen").with_precision("bfloat16"),
    "--generator classes --label 1": of_class,
}


@pytest.mark.slow
@pytest.mark.parametrize("options", RUNS)
def test_variables_of_every_method_give_the_written_image(options, solve, tmp_path, inputs):
    """W+, restarts, an image's class; on two images."""
    line = f"{INVERT} --save-variables --weights mse=1 {options}"
    assert solve(line).code == 0
    prior = (RUNS[options] or (lambda inputs: ilo_jax.load(inputs / "gen")))(inputs)
    variables = tmp_path / "out" / "variables"
    files = sorted(variables.rglob("*.npz"))
    assert len(files) == (4 if "samples" in options else 2)
    for file in files:
        found = ilo_jax.image_of(prior, load_variables(file, prior))
        name = file.relative_to(variables).with_suffix(".png")
        written = tmp_path / "out" / ("samples" if "samples" in options else "images") / name
        assert encode_png(to_pillow(found)) == written.read_bytes()


def test_every_restart_is_kept_and_gone_on_from(solve, tmp_path, inputs):
    line = INVERT.replace("photos", "photos/a.png") + " --samples 2 --save-variables"
    assert solve(line.replace("{out}", "{tmp}/1") + " --keep-samples --save-arrays").code == 0
    prior, out = ilo_jax.load(inputs / "gen"), tmp_path / "1"
    images = []
    for k in "12":
        image = ilo_jax.image_of(prior, load_variables(out / "variables" / "a" / f"{k}.npz", prior))
        kept = (out / "samples" / "a" / f"{k}.png").read_bytes()
        assert encode_png(to_pillow(image)) == kept
        images.append(np.clip(image, -1, 1))
    assert not np.array_equal(*images)
    mean = np.load(out / "arrays" / "a.npy")
    np.testing.assert_allclose(mean, np.mean(images, 0), atol=1e-6)
    nearest = line.replace("{out}", "{tmp}/nearest") + " --combine nearest --save-arrays"
    assert solve(nearest).code == 0
    kept = np.load(tmp_path / "nearest" / "arrays" / "a.npy")
    assert any(np.array_equal(kept, image) for image in images)
    # Each restart from its own.
    path = str(out / "variables" / "a" / "1.npz")  # as a user has it, who edits it, say
    save_variables(path, load_variables(path, prior), images[0], np.load(path)["error"])
    again = line.replace("2,2", "1,1").replace("{out}", "{tmp}/2") + f" --start {out}"
    assert solve(again).code == 0
    for k in "12":
        first, second = (
            np.load(tmp_path / run / "variables" / "a" / f"{k}.npz")["error"] for run in "12"
        )
        assert second <= first * (1 + 1e-5)
    (out / "variables" / "a" / "2.npz").unlink()
    refused = solve(again.replace("{tmp}/2", "{tmp}/3"))
    assert refused.code == 2
    assert "variables/a/2.npz: does not exist; expected" in refused.err


@pytest.mark.parametrize("images", ["photos", "photos/a.png"])
def test_a_run_goes_on_from_the_variables_of_another(images, solve, tmp_path):
    line = INVERT.replace("photos", images)
    assert (
        solve(line.replace("{out}", "{tmp}/1").replace("2,2", "2,9") + " --save-variables").code
        == 0
    )
    again = line.replace("2,2", "1,1") + f" --start {tmp_path}/1"
    assert solve(again.replace("{out}", "{tmp}/2")).code == 0
    assert solve(line.replace("{out}", "{tmp}/3").replace("2,2", "1,1")).code == 0
    first, second, at_random = (errors(tmp_path / name) for name in "123")
    # CSGM's round comes first again, and loses nothing of the deviations that were found before.
    assert (second <= first * (1 + 1e-5)).all()
    assert (second < at_random).all()


@pytest.mark.slow
def test_ilo_goes_on_from_what_the_projector_found(solve, tmp_path):
    projector = INVERT.replace("2,2", "5").replace("{out}", "{tmp}/1") + " --method projector"
    assert solve(projector + " --weights mse=1 --save-variables").code == 0
    assert solve(INVERT + f" --start {tmp_path}/1").code == 0
    assert (errors(tmp_path / "out") <= errors(tmp_path / "1") * (1 + 1e-5)).all()


def test_damaged_variables_are_refused(solve, tmp_path):
    (tmp_path / "1" / "variables").mkdir(parents=True)
    (tmp_path / "1" / "variables" / "a.npz").write_bytes(b"")
    refused = solve(INVERT.replace("photos", "photos/a.png") + f" --start {tmp_path}/1")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "variables/a.npz: damaged; expected variables that a run with --save" in refused.err


@pytest.mark.slow
def test_the_last_frame_is_the_reference_of_the_next(solve, tmp_path):
    line = INVERT + " --video --frame-steps 9 --weights mse=1 geocross=0.001"
    assert solve(line.replace("{out}", "{tmp}/1")).code == 0
    assert solve(line.replace("{out}", "{tmp}/2") + " reference=10").code == 0
    without, drawn = (pictures(tmp_path / name) for name in "12")
    assert without["a.png"] == drawn["a.png"]
    assert without["b.png"] != drawn["b.png"]


@pytest.mark.slow
def test_frames_of_a_video_start_from_the_last(solve, tmp_path, monkeypatch, inputs):
    line = INVERT + " --video --frame-steps 3 --frame-radii 5,5,1"
    done = solve(line.replace("{out}", "{tmp}/whole"))
    assert (done.code, done.err) == (0, "image 1 of 2\n")
    assert summary(tmp_path / "whole")["video"] == {"steps": 3, "radii": [5, 5, 1]}
    # The second frame stays near the first one, in balls of the radii that were given.
    prior, folder = ilo_jax.load(inputs / "gen"), tmp_path / "whole" / "variables"
    last, new = (load_variables(folder / f"{name}.npz", prior) for name in "ab")
    moved = jax.tree.map(lambda a, b: float(np.abs(b - a).sum()), last, new)
    assert 0 < moved.v[1] <= 5.001
    assert 0 < moved.inputs.latents <= 5.001
    assert 0 < max(moved.inputs.noises) <= 1.001
    # Stopped between frames, it goes on from the last one's variables.
    with monkeypatch.context() as patch:
        interrupt_second_batch(patch)
        assert solve(line).code == 130
    assert list(pictures(tmp_path / "out")) == ["a.png"]
    assert solve(line).code == 0
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")
