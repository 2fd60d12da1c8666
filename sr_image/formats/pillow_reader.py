"""JPEG, WebP, BMP, GIF, AVIF and APNG by Pillow; large JPEGs in strips by OpenImageIO.

The plugin is chosen by the file's first bytes and opened directly: one decoder, no global state.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sr_core.errors import DamagedMedia, SrError
from sr_core.frame import Array
from sr_image.color.profile import icc_is_linear, icc_space, rgb_from_cmyk, srgb_icc
from sr_image.formats.scanline_reader import ScanlineFile
from sr_image.metadata.attached import attached_notes
from sr_image.metadata.carried import Frame, Header, Metadata, refuse_bomb
from sr_image.metadata.exif import orientation_of
from sr_image.metadata.iptc import IPTC_RESOURCE
from sr_image.metadata.png_chunks import color_tags

if TYPE_CHECKING:
    from PIL import ImageFile

_PLUGINS = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
}
_STRIPS_FROM_PIXELS = 32 << 20  # JPEGs from this size on are read in strips
# a JPEG spends at least one bit on the mean of each block of 64 pixels, ITU-T T.81 §F.1.2.1, §G.1.2.1; twice that
_JPEG_PIXELS_PER_BYTE = 1024
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


class PillowImage:
    """An image that Pillow decodes, 8 bits a sample."""

    def __init__(
        self,
        path: Path,
        kind: str,
        *,
        metadata: Metadata | None = None,
        durations: tuple[Fraction, ...] = (),
        loop: int | None = None,
        max_pixels: int = sys.maxsize,
    ) -> None:
        module, name = _PLUGINS[kind]
        self._path, self._kind = path, kind
        self._file: ScanlineFile | None = None
        self._image: ImageFile.ImageFile = getattr(import_module(module), name)(str(path))
        self._image.filename = ""  # by which Pillow would map it: cut short meanwhile, that ends the process (SIGBUS)
        try:
            self._refuse_impossible(max_pixels)
            self._setup(metadata, durations, loop)
        except BaseException:
            self._image.close()
            raise

    def _refuse_impossible(self, max_pixels: int) -> None:
        """Before anything is decoded: frames are, below, to learn how long each is shown."""
        image = self._image
        refuse_bomb(*image.size, int(getattr(image, "n_frames", 1)), max_pixels)
        if self._kind == "jpeg":
            held = self._path.stat().st_size
            if image.width * image.height > _JPEG_PIXELS_PER_BYTE * held:
                raise DamagedMedia(f"it states {image.width}x{image.height} pixels in {held} bytes, which cannot be")

    def _setup(self, metadata: Metadata | None, durations: tuple[Fraction, ...], loop: int | None) -> None:
        image = self._image
        self._stored_icc: bytes | None = image.info.get("icc_profile")
        self._first = 1 if getattr(image, "default_image", False) else 0  # APNG's still fallback
        count = int(getattr(image, "n_frames", 1)) - self._first
        notes = list(_notes(image, self._kind, self._path))
        self._mode = _mode_of(image)
        if count > 1:
            measured, self._mode = self._scan(count)
            durations = durations if len(durations) == count else measured
            loop = loop if loop is not None else image.info.get("loop")
            if self._kind == "avif":
                loop = 0  # Pillow does not say; sequences are made to be repeated
        self.metadata = metadata if metadata is not None else _metadata(image, self._kind, self._path, tuple(notes))
        width, height = image.size
        self.header = Header(
            format=self._kind,
            width=width,
            height=height,
            channels=_CHANNELS[self._mode],
            dtype="uint8",
            alpha="straight" if self._mode in ("LA", "RGBA") else "none",
            frames=count,
            durations=durations if count > 1 else (),
            loop=loop,
            orientation=orientation_of(self.metadata.exif),
            banded=self._kind == "jpeg"
            and image.mode in ("L", "RGB")
            and width * height >= _STRIPS_FROM_PIXELS
            and "progression" not in image.info,
            lossless=self._kind in ("png", "bmp", "gif") or (self._kind == "webp" and _is_vp8l(self._path)),
        )

    def _scan(self, count: int) -> tuple[tuple[Fraction, ...], str]:
        """Durations of all frames, and a mode that holds every one of them."""
        durations, has_alpha, is_gray = [], False, True
        for index in range(self._first, self._first + count):
            self._image.seek(index)
            self._image.load()
            mode = _mode_of(self._image)
            has_alpha |= mode in ("LA", "RGBA")
            is_gray &= mode in ("L", "LA")
            milliseconds = self._image.info.get("duration", 0)
            durations.append(Fraction(milliseconds).limit_denominator(65_535) / 1000)
        self._image.seek(self._first)
        return tuple(durations), ("L" if is_gray else "RGB") + ("A" if has_alpha else "")

    def frames(self) -> Iterator[Frame]:
        """Every frame, composed as a viewer shows it."""
        if self.header.banded:
            self._file = ScanlineFile(self._path)
            yield Frame(self._file.strips())
            return
        for index in range(self.header.frames):
            if self.header.frames > 1:
                self._image.seek(self._first + index)
            duration = self.header.durations[index] if self.header.durations else None
            yield Frame([self._decode()], duration)

    def _decode(self) -> Array:
        try:
            self._image.load()
        except SrError:
            raise
        except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
            raise DamagedMedia(f"the image does not decode: {error}") from error
        if self._image.mode == "CMYK":
            return rgb_from_cmyk(np.asarray(self._image), self._stored_icc)
        image: Any = self._image
        if image.mode.startswith("I;16"):  # Pillow would clip and not scale
            return (np.asarray(image) >> 8).astype(np.uint8)[..., None]
        if image.mode != self._mode:
            image = image.convert(self._mode)
        pixels = np.asarray(image)
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def close(self) -> None:
        """Close the file."""
        self._image.close()
        if self._file is not None:
            self._file.close()


def _mode_of(image: ImageFile.ImageFile) -> str:
    """The 8-bit mode that loses nothing of `image`'s present frame."""
    mode = image.mode
    if mode in ("L", "LA", "RGB", "RGBA"):
        if mode in ("L", "RGB") and image.has_transparency_data:
            return "LA" if mode == "L" else "RGBA"
        return mode
    if mode == "1" or mode.startswith("I;16"):
        return "L"
    if mode in ("P", "PA"):
        return "RGBA" if image.has_transparency_data else "RGB"
    return "RGB"


def _notes(image: ImageFile.ImageFile, kind: str, path: Path) -> Iterator[str]:
    if kind == "avif" and _is_deep_avif(path):
        yield "10 or 12 bits read as 8: no AVIF reader here gives more"
    if image.mode == "P" and kind != "gif":
        yield "palette read as full color"
    if image.mode == "1":
        yield "1-bit image read as 8-bit gray"
    if image.mode == "CMYK":
        icc = image.info.get("icc_profile") or b""
        how = "its profile" if icc_space(icc) == "CMYK" else "plain inks (it has no profile)"
        yield f"CMYK converted to sRGB by {how}"
    if kind == "jpeg":
        xmp = image.info.get("xmp")
        yield from attached_notes(xmp, has_further_pictures="mp" in image.info, path=path)


def _metadata(image: ImageFile.ImageFile, kind: str, path: Path, notes: tuple[str, ...]) -> Metadata:
    info = image.info
    exif: bytes | None = info.get("exif")
    icc: bytes | None = info.get("icc_profile")
    is_cmyk = image.mode == "CMYK"
    resources = info.get("photoshop")
    xmp = info.get("xmp")
    dpi = info.get("dpi")
    comment = info.get("comment")
    return Metadata(
        icc=srgb_icc() if is_cmyk else icc,
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp,
        png_color=() if kind != "avif" or icc else color_tags(_nclx_of(path)),
        iptc=resources.get(IPTC_RESOURCE) if isinstance(resources, dict) else None,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi and all(dpi) else None,
        comment=comment if isinstance(comment, bytes) else None,
        is_linear=icc_is_linear(icc) and not is_cmyk,
        notes=notes,
    )


def _nclx_of(path: Path) -> tuple[int, int]:
    """(primaries, transfer) of an AVIF's colour box, ISO/IEC 14496-12 §12.1.5, by ITU-T H.273; 2 = not said."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    at = head.find(b"colrnclx")
    return (2, 2) if at < 0 or len(head) < at + 12 else struct.unpack(">HH", head[at + 8 : at + 12])


def _is_deep_avif(path: Path) -> bool:
    """Whether the AV1 configuration sets its high_bitdepth flag (AV1-ISOBMFF §2.3.3)."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    at = head.find(b"av1C")
    return at >= 0 and len(head) > at + 6 and bool(head[at + 6] & 0x40)


def _is_vp8l(path: Path) -> bool:
    """Whether a WebP's first image chunk is lossless."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    lossless, lossy = head.find(b"VP8L"), head.find(b"VP8 ")
    return lossless >= 0 and (lossy < 0 or lossless < lossy)
