"""Small files that ask for much: functions that make their bytes, and why they are refused."""

import io
import zipfile

import numpy as np
from forge import Call, Tensor, pickled, stylegan2, zipped

MEGABYTE = bytes(2**20)


def aliased():
    """One storage of 4 MB as every weight of a mapping network of 60 layers."""
    state = {name: Tensor("0", array.shape, 2**20) for name, array in stylegan2(w_dim=1024).items()}
    for i in range(1, 61):
        state |= {f"style.{i}.weight": Tensor("0", (1024, 1024), 2**20)}
        state |= {f"style.{i}.bias": Tensor("0", (1024,), 2**20)}
    for name, array in stylegan2(w_dim=1024).items():
        if name.endswith(".kernel"):
            state[name] = Tensor("1", array.shape)
    kernel = np.float32(np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16)
    return zipped(state, {"0": 4 * MEGABYTE, "1": kernel.tobytes()})


def unfolded():
    """A text of 1 MB turned to bytes again and again."""
    text = b"X" + len(MEGABYTE).to_bytes(4, "little") + MEGABYTE
    encode = b"c_codecs\nencode\nq\x01h\x00X\x06\x00\x00\x00latin1\x86R"
    return b"\x80\x02(" + text + b"q\x00" + encode * 1000 + b"l."


def long_names():
    """A name of 1 MB, looked at again and again."""
    name = b"X" + len(MEGABYTE).to_bytes(4, "little") + b"a" * len(MEGABYTE)
    return b"\x80\x04(" + name + b"q\x00" + b"h\x00h\x00\x93)R" * 20_000 + b"l."


def colliding():
    """Keys of one hash: integers that differ by a multiple of 2**61 - 1."""
    keys = b"".join(b"L%dL\nN" % (i * (2**61 - 1)) for i in range(1, 60_001))
    return b"\x80\x02}(" + keys + b"u."


def colliding_tuples():
    keys = b"".join(b"K\x01J" + i.to_bytes(4, "little") + b"\x86N" for i in range(10))
    return b"\x80\x02}(" + keys + b"u."


def many_opcodes():
    return b"\x80\x02(" + b"N" * 1_100_000 + b"l."


def many_entries():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a/data.pkl", pickled({}))
        archive.writestr("a/data/0", b"")
    content = bytearray(target.getvalue())
    size = content.rindex(b"PK\x05\x06") + 12
    content[size : size + 4] = (2**31).to_bytes(4, "little")
    return bytes(content)


def inner_archives():
    """One file of torch.save of 1 MB inside of a pickle, named by 3000 tensors."""
    inner = b"\x80\x02" + b"N0" * 100_000 + b"N."
    read = b"ctorch.storage\n_load_from_bytes\nq\x01B" + len(inner).to_bytes(4, "little")
    again = b"h\x01h\x00\x85R"
    return b"\x80\x02(" + read + inner + b"q\x00\x85R" + again * 3000 + b"l."


def layers():
    state = {f"style.{i}.weight": Tensor("0", (5, 5), 25) for i in range(1, 3_001)}
    state |= {f"style.{i}.bias": Tensor("0", (5,), 25) for i in range(1, 3_001)}
    small = stylegan2()
    return zipped(
        {n: Tensor(n, a.shape) for n, a in small.items()} | state,
        {"0": bytes(100)} | {n: a.tobytes() for n, a in small.items()},
    )


def blocks():
    """A module of NVIDIA's of 40 blocks without noise: 2**42 pixels."""

    def module(modules, **state):
        state = {"_modules": modules, "_parameters": {}, "_buffers": {}} | state
        return Call("torch_utils.persistence._reconstruct_persistent_obj", ({"state": state},))

    conv = module({"affine": module({})}, conv_clamp=None, use_noise=False, activation="lrelu")
    block = module({"conv0": conv, "conv1": conv, "torgb": conv}, architecture="orig")
    synthesis = module({f"b{4 * 2**i}": block for i in range(40)})
    return pickled({"G_ema": module({"mapping": module({}), "synthesis": synthesis})})


def wide_header():
    return (2**34).to_bytes(8, "little") + b"{" + MEGABYTE


HOSTILE = {
    aliased: "larger together than their file: they overlap",
    unfolded: "unfolds to more than its file",
    long_names: "not a pickle, or a truncated or damaged one",
    colliding: "not a pickle, or a truncated or damaged one",
    colliding_tuples: "not a pickle, or a truncated or damaged one",
    many_opcodes: "more than 1000000 opcodes",
    many_entries: "a truncated or damaged zip archive",
    inner_archives: "holds no StyleGAN2 generator",
    layers: "a mapping network of 3000 layers; expected at most 64",
    blocks: "a synthesis network of 40 blocks; expected StyleGAN2, of 2 to 10",
    wide_header: "a header of 17179869184 bytes; expected at most",
}
