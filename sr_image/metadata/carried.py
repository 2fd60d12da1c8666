"""The values that travel from an input image to its output: Header and Metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.wording import option
from sr_image.metadata.georeference import Georeference

Alpha = Literal["none", "straight", "premultiplied"]
DTYPES = ("uint8", "uint16", "float16", "float32")


@dataclass(frozen=True, kw_only=True)
class Header:
    """The shape of an image file's pixels.

    Attributes:
        format: name in `formats.FORMATS`.
        width, height: as stored, before `orientation` is applied.
        channels: 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
        dtype: 'uint8', 'uint16', 'float16' or 'float32'.
        alpha: how the last channel relates to the others; 'none' for 1 or 3 channels.
        frames: number of frames (animation) or pages (TIFF).
        durations: seconds of each frame; empty for a still image and for pages.
        loop: times an animation plays, 0 = for ever, None = not said.
        orientation: EXIF 1..8; 1 = as stored.
        banded: rows can be read as they come, in bounded memory.
        lossless: whether the file's compression lost nothing.
    """

    format: str
    width: int
    height: int
    channels: int
    dtype: str
    alpha: Alpha = "none"
    frames: int = 1
    durations: tuple[Fraction, ...] = ()
    loop: int | None = None
    orientation: int = 1
    banded: bool = False
    lossless: bool = True

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise BadInput(f"the image states a size of {self.width}x{self.height}")
        if self.channels not in (1, 2, 3, 4) or self.dtype not in DTYPES:
            raise BadInput(f"{self.channels} channels of {self.dtype} are not supported")
        if (self.alpha == "none") != (self.channels in (1, 3)):
            raise BadInput(f"{self.channels} channels with alpha {self.alpha!r}")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as people see it: after `orientation`."""
        swapped = self.orientation >= 5
        return (self.height, self.width) if swapped else (self.width, self.height)

    @property
    def pixels(self) -> int:
        """Pixels in all frames together."""
        return self.width * self.height * self.frames

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.width * self.height * self.channels * np.dtype(self.dtype).itemsize


def plays(header: Header) -> int:
    """Times an animation plays, 0 = for ever: once where nothing is said, as a GIF without a loop block."""
    return 1 if header.loop is None else header.loop


def refuse_bomb(width: int, height: int, frames: int, max_pixels: int) -> None:
    """Raise BadInput where a header states more than `max_pixels` in all frames together."""
    pixels = width * height * frames
    if pixels > max_pixels:
        raise BadInput(
            f"the file states {width} x {height} pixels x {frames} frames = {pixels / 1e6:.0f} megapixels, "
            f"the limit is {max_pixels / 1e6:.0f}",
            hint=f"raise it with {option('max_input_megapixels', pixels // 1_000_000 + 1)}",
        )


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a file says about its pixels. None or empty = the file does not say.

    Attributes:
        icc: ICC profile.
        exif: EXIF as a TIFF structure (without the leading 'Exif\\0\\0').
        xmp: XMP packet.
        iptc: IPTC-IIM datasets.
        dpi: dots per inch (horizontal, vertical).
        comment: the comment of a JPEG or GIF.
        text: PNG text entries (keyword, text).
        png_color: PNG chunks gAMA, cHRM, cICP, sRGB as (type, body), kept from PNG to PNG.
        georeference: where a TIFF's pixels lie on the ground, kept from TIFF to TIFF.
        attributes: OpenEXR attributes (name, type, value), kept from EXR to EXR.
        is_linear: samples are linear light.
        notes: sentences about what was converted while reading.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()
    png_color: tuple[tuple[bytes, bytes], ...] = ()
    attributes: tuple[tuple[str, Any, Any], ...] = field(default=(), repr=False)
    georeference: Georeference | None = None
    is_linear: bool = False
    notes: tuple[str, ...] = ()

    def carried(self) -> set[str]:
        """Names of the kinds of metadata present, as `ImageFormat.keeps` counts them."""
        present = {
            "icc": self.icc, "exif": self.exif, "xmp": self.xmp, "iptc": self.iptc, "dpi": self.dpi,
            "comment": self.comment, "text": self.text, "attributes": self.attributes,
            "georeference": self.georeference,
        }  # fmt: skip
        return {name for name, value in present.items() if value}


@dataclass(frozen=True)
class Frame:
    """One frame as strips of rows, top to bottom, each (rows, width, channels), read once."""

    strips: Iterable[Array]
    duration: Fraction | None = None

    def whole(self) -> Array:
        """All rows in one array."""
        strips = list(self.strips)
        return strips[0] if len(strips) == 1 else np.concatenate(strips)


def regroup_rows(strips: Iterable[Array], rows: int) -> Iterator[Array]:
    """Yield the same rows in strips of at most `rows`, without copying."""
    for strip in strips:
        for top in range(0, strip.shape[0], rows):
            yield strip[top : top + rows]
