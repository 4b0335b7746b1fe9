"""Image files that are good, odd or damaged, as bytes; the same for the same seed."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms

NOISE = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LINEAR = imagecodecs.cms_profile("gray", whitepoint=[0.3127, 0.3290, 1.0], gamma=1.0)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(values: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def good_files() -> dict[str, bytes]:
    """Small files of each format, 8x8 pixels."""
    rgba = Image.fromarray(NOISE)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = NOISE.astype(np.uint16) * 257
    floats = (NOISE / 255).astype(np.float32)
    files = {
        "rgb.png": saved(rgb, "PNG"),
        "rgba.png": saved(rgba, "PNG"),
        "grey.png": saved(grey, "PNG", icc_profile=LINEAR),
        "one.png": saved(grey.convert("1"), "PNG"),
        "palette.png": saved(rgb.quantize(8), "PNG", transparency=3),
        "sixteen.png": saved(Image.fromarray(deep[..., 0]), "PNG"),
        "deep.png": imagecodecs.png_encode(np.ascontiguousarray(deep[..., :3])),
        "deep_alpha.png": imagecodecs.png_encode(deep),
        "profile.png": saved(rgb, "PNG", icc_profile=SRGB),
        "animated.png": saved(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)]),
        "rgb.jpg": saved(rgb, "JPEG", exif=exif, icc_profile=SRGB),
        "progressive.jpg": saved(rgb, "JPEG", progressive=True),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG"),
        "several.mpo": saved(rgb, "MPO", save_all=True, append_images=[rgb]),
        "rgb.gif": saved(rgb, "GIF"),
        "animated.gif": saved(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]),
        "rgb.webp": saved(rgb, "WEBP"),
        "lossless.webp": saved(rgba, "WEBP", lossless=True, exif=exif),
        "animated.webp": saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)]),
        "rgb.bmp": saved(rgb, "BMP"),
        "palette.bmp": saved(rgb.quantize(8), "BMP"),
        "rgb.ppm": saved(rgb, "PPM"),
        "sixteen.pgm": saved(Image.fromarray(deep[..., 0]), "PPM"),
        "text.pgm": b"P2 8 8 255 " + b" ".join(b"%d" % v for v in NOISE[..., 0].ravel()),
        "rgb.jp2": saved(rgb, "JPEG2000"),
        "pillow.tif": saved(rgb, "TIFF", compression="tiff_lzw", exif=exif),
        "jpeg.tif": saved(rgb, "TIFF", compression="jpeg"),
        "fax.tif": saved(grey.convert("1"), "TIFF", compression="group4"),
        "lab.tif": saved(Image.new("LAB", (8, 8), (138, 209, 198)), "TIFF"),
        "grey.tif": tiff(NOISE[..., 0], photometric="minisblack"),
        "white.tif": tiff(deep[..., 0], photometric="miniswhite", rowsperstrip=3),
        "deep.tif": tiff(deep, photometric="rgb", extrasamples=["unassalpha"], iccprofile=SRGB),
        "profile.tif": tiff(deep[..., 0], photometric="minisblack", iccprofile=LINEAR),
        "big.tif": tiff(deep[..., 0], bigtiff=True, byteorder=">", photometric="minisblack"),
        "tiles.tif": tiff(floats[..., 0], tile=(16, 16), compression="zlib", predictor=True),
        "planar.tif": tiff(
            np.moveaxis(floats[..., :3], -1, 0).copy(), photometric="rgb", planarconfig="separate"
        ),
        "cmyk.tif": tiff(deep, photometric="separated", planarconfig="contig"),
        "palette.tif": tiff(
            NOISE[..., 0], photometric="palette", colormap=np.zeros((3, 256), np.uint16)
        ),
        "twelve.tif": tiff(deep[..., 0] >> 4, bitspersample=12, photometric="minisblack"),
        "double.tif": tiff(NOISE[..., 0].astype(np.float64), compression="lzw"),
        "pages.tif": tiff(np.stack([NOISE[..., 0]] * 3), photometric="minisblack"),
    }
    return files


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colours: int, data: bytes, *more: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *more, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tags(entries: dict[int, tuple[int, int, int]], data: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF: tag -> type, count, value; the data lie after the only directory."""
    content = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for code, (kind, count, value) in sorted(entries.items()):
        content += struct.pack("<HHII", code, kind, count, value)
    return content + struct.pack("<I", following) + data


def plain(**changed: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    """An 8x8 picture of 16-bit greys, with changes by `tagNUMBER`."""
    entries = {256: 8, 257: 8, 258: 16, 259: 1, 262: 1, 273: 134, 277: 1, 278: 8, 279: 128, 339: 1}
    found = {code: (4, 1, value) for code, value in entries.items()}
    return found | {int(name.removeprefix("tag")): value for name, value in changed.items()}


def odd_files() -> dict[str, bytes]:
    """Headers that promise too much, bombs, and circles."""
    pixels = bytes(range(128))
    bomb = zlib.compress(bytes(60_000_000), 9)
    large = 2**31 - 1
    return {
        "empty": b"",
        "nothing": bytes(1000),
        "wide.png": png(large, 1, 8, 2, zlib.compress(b"")),
        "huge.png": png(60000, 60000, 16, 6, zlib.compress(b"")),
        "bomb.png": png(8, 8, 16, 2, bomb),
        "text.png": png(8, 8, 8, 0, zlib.compress(bytes(72)), chunk(b"zTXt", b"a\0\0" + bomb)),
        "profile.png": png(8, 8, 8, 0, zlib.compress(bytes(72)), chunk(b"iCCP", b"a\0\0" + bomb)),
        "parts.png": png(8, 8, 8, 0, zlib.compress(bytes(72)), *[chunk(b"tEXt", b"a\0b")] * 9999),
        "huge.gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(99),
        "blocks.gif": b"GIF89a\x08\0\x08\0\x80\0\0" + bytes(6) + b"!\xfe\x01a\0" * 20_000,
        "huge.ppm": b"P6 99999 99999 65535\n",
        "digits.ppm": b"P6 " + b"9" * 100_000,
        "comment.pgm": b"P2\n#" + b"a" * 100_000,
        "huge.bmp": b"BM"
        + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, large, -large, 1, 24, *[0] * 6),
        "huge.tif": tags(plain(tag256=(4, 1, large), tag257=(4, 1, large)), pixels),
        "none.tif": tags(plain(tag256=(4, 1, 0)), pixels),
        "samples.tif": tags(plain(tag277=(3, 1, 65535)), pixels),
        "bits.tif": tags(plain(tag258=(3, 1, 65535)), pixels),
        "count.tif": tags(plain(tag273=(4, large, 134)), pixels),
        "far.tif": tags(plain(tag273=(4, 1, large)), pixels),
        "long.tif": tags(plain(tag279=(4, 1, large)), pixels),
        "tile.tif": tags(
            plain(tag322=(4, 1, 65536), tag323=(4, 1, 65536), tag324=(4, 1, 134), tag325=(4, 1, 9)),
            pixels,
        ),
        "depth.tif": tags(plain(tag32997=(4, 1, large)), pixels),
        "circle.tif": tags(plain(tag254=(4, 1, 1)), pixels, following=8),
        "inside.tif": tags(plain(tag254=(4, 1, 1), tag330=(4, 1, 8)), pixels),
        "bomb.tif": tags(plain(tag259=(3, 1, 8), tag279=(4, 1, len(bomb))), bomb),
        "turned.tif": tags(plain(tag274=(3, 1, 77)), pixels),
    }


def many_directories(count: int) -> bytes:
    """A TIFF of as many pages, all of one strip."""
    entries = plain(tag273=(4, 1, 8))
    size = 2 + 12 * len(entries) + 4
    parts = [b"II*\0" + struct.pack("<I", 136), bytes(128)]
    for index in range(count):
        following = 136 + (index + 1) * size if index + 1 < count else 0
        parts.append(tags(entries, following=following)[8:])
    return b"".join(parts)


def flipped(content: bytearray, random: np.random.Generator) -> bytearray:
    for _ in range(random.integers(1, 9)):
        content[random.integers(len(content))] = random.integers(256)
    return content


def cut(content: bytearray, random: np.random.Generator) -> bytearray:
    return content[: random.integers(len(content))]


def head_flipped(content: bytearray, random: np.random.Generator) -> bytearray:
    for _ in range(random.integers(1, 4)):
        content[random.integers(min(64, len(content)))] = random.choice([0, 1, 127, 128, 255])
    return content


def field_set(content: bytearray, random: np.random.Generator) -> bytearray:
    """Two or four bytes become a number at the border of something."""
    code = random.choice(["<H", ">H", "<I", ">I"])
    size = struct.calcsize(code)
    top = 2 ** (8 * size)
    value = int(random.choice([0, 1, 2, top - 1, top // 2, top // 2 - 1, 8, 255]))
    start = random.integers(len(content) - size)
    content[start : start + size] = struct.pack(code, value)
    return content


def emptied(content: bytearray, random: np.random.Generator) -> bytearray:
    start, length = random.integers(len(content)), random.integers(1, 100)
    content[start : start + length] = bytes(len(content[start : start + length]))
    return content


def repeated(content: bytearray, random: np.random.Generator) -> bytearray:
    start, length = random.integers(len(content)), random.integers(1, 100)
    return content[: start + length] + content[start:]


MUTATIONS: list[Callable[[bytearray, np.random.Generator], bytearray]] = [
    flipped,
    cut,
    head_flipped,
    field_set,
    emptied,
    repeated,
]


def mutants(rounds: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Each good file with each mutation, as many times."""
    random = np.random.default_rng(seed)
    for name, content in good_files().items():
        for mutation in MUTATIONS:
            for index in range(rounds):
                mutated = mutation(bytearray(content), random)
                stem, suffix = name.split(".")
                yield f"{stem}-{mutation.__name__}{seed}-{index}.{suffix}", bytes(mutated)
