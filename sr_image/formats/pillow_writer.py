"""WebP, AVIF, GIF and BMP by Pillow; animations frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sr_core.frame import Array
from sr_image.metadata.carried import Frame, Header, Metadata, plays

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_GIF_TRANSPARENT = 255  # palette index kept free for transparent pixels
_ALPHA_THRESHOLD = 128
_MAX_BMP_DPI = 50_000_000  # pixels per metre are 32 bits with a sign


def write_pillow(path: Path, header: Header, metadata: Metadata, frames: Iterator[Frame], *, quality: int) -> None:
    """Write `frames` in `header.format`; only GIF holds its (palette) frames in memory."""
    options = _options(header, metadata, quality)
    to_image = _gif_image if header.format == "gif" else _image
    if header.frames == 1:
        to_image(next(frames).whole()).save(path, header.format.upper(), **options)
        return
    options["save_all"] = True
    if header.format == "gif":
        options["duration"] = [_milliseconds(duration, 10) for duration in header.durations]
        options["disposal"] = 2
    else:
        options["duration"] = [_milliseconds(duration, 1) for duration in header.durations]
    if header.format == "webp" or header.loop is not None:
        options["loop"] = plays(header)
    images = (to_image(frame.whole()) for frame in frames)
    _Frames(images, header.frames).save(path, header.format.upper(), **options)


def _options(header: Header, metadata: Metadata, quality: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if header.format in ("webp", "avif"):
        options = {"quality": quality, "icc_profile": metadata.icc or b"", "xmp": metadata.xmp or b""}
        if metadata.exif:
            options["exif"] = b"Exif\0\0" + metadata.exif
        if header.format == "webp":
            options |= {"lossless": quality == 100, "exact": True} if quality == 100 else {"method": 4}
        else:
            options |= {"subsampling": "4:4:4" if quality >= 90 else "4:2:0", "speed": 6}
    elif header.format == "gif":
        options = {"optimize": False, "comment": metadata.comment or b""}
    elif header.format == "bmp" and metadata.dpi:
        options = {"dpi": tuple(min(value, _MAX_BMP_DPI) for value in metadata.dpi)}
    return options


def _milliseconds(duration: Fraction, step: int) -> int:
    """The duration in the format's own steps of `step` ms, rounded."""
    return round(duration * 1000 / step) * step


def _image(pixels: Array) -> Image.Image:
    mode = _MODES[pixels.shape[2]]
    size = pixels.shape[1], pixels.shape[0]
    return Image.frombytes(mode, size, np.ascontiguousarray(pixels).tobytes())


def _gif_image(pixels: Array) -> Image.Image:
    """256 colours chosen for this frame; pixels less than half opaque become transparent.

    With alpha, every frame names its transparent index, even one that hides nothing: players clear
    a frame that does not to a colour, and that would stay where the next one is transparent.
    """
    channels = pixels.shape[2]
    color = _image(pixels[..., :3] if channels >= 3 else pixels[..., :1]).convert("RGB")
    if channels not in (2, 4):
        return color.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    indexed = color.quantize(255, dither=Image.Dither.FLOYDSTEINBERG)
    indexes = np.array(indexed)
    indexes[pixels[..., -1] < _ALPHA_THRESHOLD] = _GIF_TRANSPARENT
    palette = (indexed.getpalette() or []) + [0] * 768
    result = Image.frombytes("P", indexed.size, indexes.tobytes())
    result.putpalette(palette[:768])
    result.info["transparency"] = _GIF_TRANSPARENT
    return result


class _Frames(Image.Image):
    """A Pillow image whose frames are made when the encoder asks for them, forwards, once."""

    def __init__(self, images: Iterator[Image.Image], count: int) -> None:
        super().__init__()
        self.n_frames, self.is_animated = count, count > 1
        self._images, self._at = images, -1
        self.seek(0)

    def seek(self, frame: int) -> None:
        if frame >= self.n_frames:
            raise EOFError
        while self._at < frame:
            image = next(self._images)
            self._at += 1
            self.im, self._mode, self._size = image.im, image.mode, image.size
            self.palette, self.info = image.palette, dict(image.info)

    def tell(self) -> int:
        return max(self._at, 0)
