"""Colour profiles (ICC): colours as a person sees them, in sRGB."""

import io
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from ilo_jax.errors import InputError

_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
# Conversions of sRGB to itself differ by a level or two: such colours are left as they are.
_SAME = 2


class Profile:
    """Turns colours of a profile into sRGB.

    Attributes:
      mode: what it converts: "L", "RGB" or "CMYK".
      changes: whether it changes any colour visibly; most profiles are those of sRGB.
    """

    def __init__(self, content: bytes, deep: bool) -> None:
        """
        Args:
          deep: whether it is for values, not for 8-bit images.

        Raises:
          InputError: no profile, or of other colours than grey, RGB or CMYK.
        """
        from PIL import ImageCms  # late: few files need it

        try:
            self._source: Any = ImageCms.ImageCmsProfile(io.BytesIO(content))
            self._target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            self.mode = _MODES[self._source.profile.xcolor_space.strip()]
            self._transform = ImageCms.buildTransform(self._source, self._target, self.mode, "RGB")
            self.changes = self.mode == "CMYK" or self._difference() > _SAME
            if deep and self.changes and self.mode != "CMYK":  # what would fail, fails here
                self.of_values(np.zeros((1, 1, len(self.mode)), np.float32))
        except Exception as error:  # whatever a damaged profile leads to
            raise InputError("its colour profile cannot be read and is ignored") from error

    def of_image(self, image: Image.Image) -> Image.Image:
        """An 8-bit image -> one in sRGB, "L" or "RGB"."""
        image = image.convert(self.mode)
        if self.mode == "L":
            return image.point(self._greys)
        from PIL import ImageCms

        found = ImageCms.applyTransform(image, self._transform)
        assert found is not None
        return found

    @property
    def keeps_16_bits(self) -> bool:
        """Whether `of_values` is exact within 16 bits, or within 8."""
        return self.mode != "CMYK" and keeps_16_bits()

    def of_values(self, values: np.ndarray) -> np.ndarray:
        """Float32 `[h, w, 1 or 3]` in [0, 1] -> the same in sRGB."""
        if not self.keeps_16_bits:
            return self._of_levels(np.rint(values * 255).astype(np.uint8))
        levels = np.rint(values * 65535).astype(np.uint16)
        if self.mode == "L":
            return self._deep_greys[levels[..., 0]][..., None]
        if levels.shape[-1] == 1:
            levels = np.repeat(levels, 3, axis=-1)
        return self._deep(levels).astype(np.float32) / 65535

    def of_inks(self, inks: np.ndarray) -> np.ndarray:
        """Float32 `[h, w, 4]` in [0, 1], 1 full ink -> RGB `[h, w, 3]`, within 8 bits."""
        return self._of_levels(np.rint(inks * 255).astype(np.uint8))

    def _of_levels(self, levels: np.ndarray) -> np.ndarray:
        height, width, channels = levels.shape
        mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
        image = Image.frombytes(mode, (width, height), levels.tobytes())
        found = np.asarray(self.of_image(image), np.float32) / 255
        return found if found.ndim == 3 else found[..., None]

    @cached_property
    def _greys(self) -> list[int]:
        """Of each 8-bit level; LittleCMS would interpolate between a few."""
        from PIL import ImageCms

        exactly = ImageCms.Flags.NOOPTIMIZE
        transform = ImageCms.buildTransform(self._source, self._target, "L", "RGB", flags=exactly)
        levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        found = ImageCms.applyTransform(levels, transform)
        assert found is not None
        return np.asarray(found)[0, :, 1].tolist()

    @cached_property
    def _deep_greys(self) -> np.ndarray:
        levels = np.arange(65536, dtype=np.uint16)[None]
        return self._deep(levels, exactly=True)[0, :, 1].astype(np.float32) / 65535

    def _deep(self, levels: np.ndarray, exactly: bool = False) -> np.ndarray:
        import imagecodecs

        names: dict[str, Any] = {"L": "gray", "RGB": "rgb", "CMYK": "cmyk"}
        return imagecodecs.cms_transform(
            np.ascontiguousarray(levels),
            self._source.tobytes(),
            self._target.tobytes(),
            colorspace=names[self.mode],
            outcolorspace="rgb",
            flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE if exactly else None,
        )

    def _difference(self) -> int:
        """The largest change of a level on a grid of colours."""
        steps = np.linspace(0, 255, 9).astype(np.uint8)
        if self.mode == "L":
            grid = steps[None]
        else:
            grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        found = np.asarray(self.of_image(Image.fromarray(grid)))
        return int(np.abs(found.astype(int) - grid).max())


def keeps_16_bits() -> bool:
    """Whether there is a library that converts more than 8 bits."""
    return find_spec("imagecodecs") is not None
