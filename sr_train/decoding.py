"""An image file becomes 8-bit RGB as people see it: turned as its EXIF says, 16 bits scaled and not clipped."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_core.errors import BadInput
from sr_train.imresize import Image8

if TYPE_CHECKING:
    from PIL import Image

_GREY_16 = ("I;16", "I;16L", "I;16B", "I")  # Pillow's names of 16-bit gray, which `convert` clips at 255
_GREY = ("L", "1", *_GREY_16)


def read_rgb(path: Path) -> Image8:
    """Decode an image file to (H, W, 3) uint8.

    Raises:
        BadInput: not an image, or a damaged one.
    """
    return read_rgb_or_grey(path)[0]


def read_rgb_or_grey(path: Path) -> tuple[Image8, bool]:
    """The same, and whether the file is gray.

    Raises:
        BadInput: not an image, or a damaged one.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(seen_rgb(image)), image.mode in _GREY
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"cannot read image {path}: {error}", hint="remove or replace the file") from error


def seen_rgb(image: Image.Image) -> Image.Image:
    """An opened image in RGB as people see it."""
    from PIL import Image, ImageOps

    image.load()
    try:
        turned = ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):  # Pillow's, for an EXIF that is none
        turned = image.copy()
    if turned.mode in _GREY_16:
        codes = np.clip(np.asarray(turned).astype(np.int64), 0, 65535)
        turned = Image.fromarray(((codes + 128) // 257).astype(np.uint8))
    return turned.convert("RGB")
