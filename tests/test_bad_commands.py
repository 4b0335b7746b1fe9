"""Bad commands: one line that names the option and the value, exit code 2, nothing computed."""

import re

import pytest

looks_at_files = True

ONE = " --images photos/a.png --out {out} --generator gen"
HERE = " --images photos/a.png --out {out}"
TWO_ROUNDS = " --steps 2,2" + ONE
BAD = {
    # Files.
    "invert --images nowhere.png --out {out}": "nowhere.png: does not exist; expected an image",
    "invert --images empty --out {out}": r"empty: no images; expected files in \.png",
    "invert --images 'x*.png' --out {out}": r"x\*\.png: matches no file",
    "invert --images text.png --out {out}": "text.png: not an image; expected a PNG",
    "invert --images truncated.png --out {out}": r"truncated.png: cannot be read \(.*; expected",
    "invert --images photos/a.png --out text.png": "text.png: is a file; expected a folder",
    "invert --images photos/a.png --out text.png/x": "cannot be made .*; expected a writable",
    "invert --images photos/a.png --out holiday": "holds other files; expected a new or empty",
    "superres --factor 2 --measured" + TWO_ROUNDS: "a.png: 8x8 pixels; expected 4x4",
    "inpaint --mask tall_mask.png" + ONE: "tall_mask.png: 8x16 pixels; expected 8x8",
    "inpaint --mask black_mask.png" + ONE: "black_mask.png: nothing is observed; expected",
    "inpaint --mask text.png" + ONE: "text.png: not an image; expected",
    "inpaint --mask no.png" + ONE: r"no.png: cannot be read \(No such file .*; expected",
    # Numbers of a task.
    "superres --factor 3" + ONE: "--factor 3: expected a divisor of the image size 8x8",
    "superres --factor 0" + ONE: "--factor 0: expected a divisor",
    "superres --factor 2.5" + ONE: "argument --factor: invalid int value: '2.5'",
    "inpaint --observed 0" + ONE: "--observed 0: expected a fraction of the pixels in",
    "inpaint --observed 1.5" + ONE: "--observed 1.5: expected",
    "inpaint --observed nan" + ONE: "--observed nan: expected",
    "inpaint --observed much" + ONE: "argument --observed: invalid float value: 'much'",
    "inpaint --box 8" + ONE: "--box 8: expected 1 to 7 pixels",
    "denoise --sigma inf" + ONE: "--sigma inf: expected 0 to 1000",
    "denoise --sigma -1" + ONE: "--sigma -1.0: expected 0 to 1000",
    "denoise --sigma x" + ONE: "sigma x: expected a number",
    "denoise --sigma auto" + ONE: "--sigma auto: expected --measured, or what is to be simulated",
    "superres --factor 2 --filter unknown" + ONE: "--filter unknown: expected --measured, or what",
    "compose --chain 'denoise sigma=auto, quantize bits=3' --measured" + ONE: "noise that is to be",
    "denoise --sigma 9 --dead 1" + ONE: "--dead 1.0: expected a fraction of the pixels",
    "photons --photons 0" + ONE: "--photons 0.0: expected more than 0 and at most 1e6",
    "photons --photons 9 --dead -1" + ONE: "--dead -1.0: expected a fraction of the pixels",
    "quantize --bits 17" + ONE: "--bits 17: expected 1 to 16",
    "compress --measurements 1.01" + ONE: r"--measurements 1.01: expected .* in \(0, 1\]",
    "compress --measurements nan" + ONE: "--measurements nan: expected",
    "gaussian --measurements 0" + ONE: r"--measurements 0.0: expected .* in \(0, 1\]",
    "blur --sigma 0" + ONE: "--sigma 0.0: expected more than 0 and less than 1.875 pixels",
    "blur --motion 16" + ONE: "--motion 16: expected 1 to 15 pixels",
    "blur --motion 3 --angle nan" + ONE: "--angle nan: expected degrees",
    "blur --kernel no.png" + ONE: r"--kernel no.png: cannot be read \(No such file .*; expected",
    "blur --kernel text.png" + ONE: r"--kernel text.png: not an image; expected",
    "blur --kernel black_mask.png" + ONE: "--kernel black_mask.png: all black; expected",
    "blur --kernel tall_mask.png" + ONE: "--kernel of 8x16: expected at most 15x15",
    "mri --acceleration 0.5" + ONE: "--acceleration 0.5: expected a number >= 1",
    "mri --acceleration 4 --centre 0.5" + ONE: "--centre 0.5: expected a fraction from 0 to",
    "mri --spokes 0" + ONE: "--spokes 0: expected 1 to 32",
    "phase --patterns -1" + ONE: "--patterns -1: expected 0 to 64",
    "phase --oversampling 9" + ONE: "--oversampling 9: expected 1 to 8",
    "compose --chain 'blur sigma=9'" + ONE: "sigma 9.0: expected more than 0 and less than",
    "compose --chain 'blur'" + ONE: r"blur: expected sigma \| motion \[angle\] \| kernel",
    "compose --chain 'blur sigma=x'" + ONE: "sigma x: expected a number",
    "compose --chain 'compress measurements=1, invert'" + ONE: "no image; expected it to be the",
    "compose --chain 'inpaint mask=no.png'" + ONE: r"mask no.png: cannot be read \(No such file",
    "compose --chain blurr" + ONE: "--chain 'blurr': not a task of a chain; expected one of invert",
    "custom --function sin" + ONE: "--function sin: expected MODULE:FUNCTION",
    "custom --function nowhere:f" + ONE: r"nowhere:f: cannot be imported \(No module named",
    "custom --function math:nothing" + ONE: r"math:nothing: cannot be imported \(module 'math'",
    "custom --function math:pi" + ONE: "--function math:pi: is of type float; expected a function",
    "custom --function math:sin" + ONE: r"--function: fails on images \(8, 8, 3\) \(TypeError:",
    "custom --function numpy:sin" + ONE: r"--function: fails on .* \(TracerArrayConversionError:",
    "custom --function jax.numpy:isnan" + ONE: "--function: returns bool .*; expected float32",
    "custom --function jax.numpy:sum" + ONE: "expected the batch axis in front",
    # Options that do not go together.
    "inpaint" + ONE: "one of the arguments --observed --box --strokes --mask --alpha is required",
    "superres" + ONE: "the following arguments are required: --factor",
    "inpaint --observed 0.5 --box 3" + ONE: "argument --box: not allowed with argument --observed",
    "inpaint --observed 0.5 --measured" + ONE: "--observed with --measured: expected --mask FILE",
    "compose --chain 'inpaint observed=1' --measured" + ONE: "--observed with --measured: expected",
    "compress --measurements 1 --measured"
    + ONE: "a.png: no array; expected .* compress measures no",
    "mri --spokes 3 --measured" + ONE: r"a.png: no array; expected .npy, .npz or HDF5, since mri",
    "mri --mask zeros" + ONE: "--mask zeros: expected with --measured, whose zeros they are",
    "mri --spokes 3 --crop" + ONE: "--crop: expected with --measured k-space; mri has none here",
    "invert --crop --measured" + ONE: "--crop: expected with --measured k-space; invert has none",
    "inpaint --mask empty" + ONE: "--mask empty: no images and no arrays; expected one for each",
    "inpaint --mask small" + ONE: "--mask small/a.png: 4x4 pixels; expected 8x8",
    "gaussian --matrix text.png" + ONE: "--matrix text.png: no arrays; expected arrays in .npy",
    "mri --spokes 3 --maps text.png" + ONE: "--maps text.png: no arrays; expected arrays in .npy",
    "invert --range max 1" + ONE: "--range max: expected a number first, what is black",
    "invert --range 0 x" + ONE: "argument --range: 'x': expected a number, or max",
    "invert --keep-samples" + TWO_ROUNDS: "--keep-samples: expected with --auto, or --samples",
    "invert --combine nearest"
    + TWO_ROUNDS: "--combine nearest: expected with --auto, or --samples",
    "blur" + ONE: "one of the arguments --sigma --motion --kernel is required",
    "blur --sigma 1 --angle 30" + ONE: r"blur sigma angle: expected sigma \| motion \[angle\]",
    "mri --acceleration 16 --centre x" + ONE: "centre x: expected a number",
    "mri --spokes 3 --acceleration 2" + ONE: "--acceleration: not allowed with argument --spokes",
    # Numbers of a method.
    "invert --steps 0" + ONE: "argument --steps: '0': expected a whole number >= 1",
    "invert --steps 2,,2" + ONE: "argument --steps: '2,,2': expected a whole number >= 1",
    "invert --steps 1.5" + ONE: "argument --steps: '1.5': expected",
    "invert --steps 1,1,1" + ONE: "--steps 1,1,1: expected at most 2 numbers",
    "invert --steps 1,1 --method csgm" + ONE: "--steps 1,1: expected one number, since",
    "invert --method magic" + ONE: "no method 'magic'; expected ilo, ilo-mean, ilo-range",
    "invert --radii 1,2" + TWO_ROUNDS: "--radii 1,2: expected one number, or one for each of 1",
    "invert --radii nan" + ONE: "argument --radii: 'nan': expected numbers >= 0, or inf",
    "invert --radii x" + ONE: "argument --radii: 'x': expected numbers >= 0, or inf",
    "invert --lr inf" + ONE: "argument --lr: 'inf': expected positive numbers",
    "invert --lr 0" + ONE: "argument --lr: '0': expected positive numbers",
    "invert --lr nan" + ONE: "argument --lr: 'nan': expected positive numbers",
    "invert --lr fast" + ONE: "argument --lr: 'fast': expected positive numbers",
    "invert --lr 1,1,1" + TWO_ROUNDS: "--lr 1,1,1: expected one number, or one for each of 2",
    "invert --cuts 0,4" + TWO_ROUNDS: "--cuts 0,4: expected numbers from 0 to 3, 2 of them",
    "invert --cuts 0,x" + TWO_ROUNDS: "argument --cuts: '0,x': expected a whole number >= 0",
    "invert --method csgm --cuts 0" + ONE: "--cuts: csgm has none to choose",
    "invert --method csgm --radii 3" + ONE: "--radii: csgm has no balls",
    "invert --weights mse" + ONE: "argument --weights: 'mse': expected TERM=X, with TERM one of",
    "invert --weights mess=1" + ONE: "argument --weights: 'mess=1': expected TERM=X",
    "invert --weights mse=-1" + ONE: "argument --weights: '-1': expected numbers >= 0",
    "invert --weights mse=1,2,3" + TWO_ROUNDS: r"--weights of Mse: shape \[3\]; expected one",
    "invert --weights reference=1" + TWO_ROUNDS: "--weights reference: no reference image;",
    "invert --weights reference=1 --reference no.png" + TWO_ROUNDS: "no.png: cannot be read",
    "invert --weights reference=1 --reference mixed/.." + TWO_ROUNDS: "no image named a; expected",
    "invert --tolerance 1,2" + ONE: "argument --tolerance: '1,2': expected one number > 0",
    "invert --frame-steps 5" + ONE: "--frame-steps, --frame-radii: expected with --video",
    "invert --video --frame-radii 1,2" + ONE: "--frame-radii: '1,2': expected three numbers",
    "invert --video --batch-size 2" + ONE: "--batch-size: expected without --video",
    "photons --photons 9 --consistent" + TWO_ROUNDS: "--consistent: photons is not linear, or has",
    "invert --reproducible --batch-size 2" + ONE: "--batch-size: expected without --reproducible",
    "invert --samples 2 --video" + TWO_ROUNDS: "--samples: expected without --video",
    "invert --samples 0" + ONE: "argument --samples: '0': expected a whole number >= 1",
    "invert --start photos" + TWO_ROUNDS: "photos/variables/a.npz: does not exist; expected",
    "invert --batch-size 0" + ONE: "argument --batch-size: '0': expected a whole number >= 1",
    "invert --label 1" + ONE: "--label 1: gen has no classes; expected no label",
    "invert --label 3 --generator classes" + HERE: "--label 3: expected 0 to 2, a class of",
    "invert --generator classes" + HERE: "--label: classes is class-conditional; expected 0 to 2",
    "invert --seed -1" + ONE: "argument --seed: '-1': expected a whole number from 0 to 4294967295",
    "invert --seed one" + ONE: "argument --seed: 'one': expected a whole number",
    # The rest.
    "invert --images photos --out {out} --generator no": "no: not a generator; expected a folder",
    "invert --images photos --out {out} --generator bad_gen": "bad_gen: not a generator; expected",
    "invert --images photos --out {out} --generator text.png": "text.png: not a generator",
    "restore" + ONE: "no task 'restore'; expected invert, inpaint",
    "invert --images photos": "the following arguments are required: --out",
    "invert --out {out}": "the following arguments are required: --images",
    "invert --speed 3" + ONE: "no option --speed",
    "--out text.png": "text.png: is a file; expected a folder",
}


@pytest.mark.parametrize(("line", "expected"), BAD.items())
def test_bad_input_is_one_line_and_exit_code_2(line, expected, solve, tmp_path):
    done = solve(line)
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert re.search(expected, done.err)


@pytest.mark.slow
def test_a_failed_command_leaves_the_folder_to_the_next(solve):
    assert solve("invert --images text.png --out {out} --generator gen").code == 2
    assert solve("invert --images photos --out {out} --generator gen --steps 2,2").code == 0
