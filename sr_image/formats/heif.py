"""HEIC by pillow-heif (the `images` extra), 8 bits or the camera's 10 and 12 bits as 16."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_image.color.profile import icc_is_linear
from sr_image.metadata.attached import DEPTH, GAIN_MAP
from sr_image.metadata.carried import Frame, Header, Metadata, refuse_bomb
from sr_image.metadata.png_chunks import color_tags

_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


class HeifImage:
    """A HEIC still; the decoder has already applied its rotation."""

    def __init__(self, path: Path, max_pixels: int) -> None:
        import pillow_heif

        heif = pillow_heif.open_heif(str(path), convert_hdr_to_8bit=False)
        self._image: Any = heif[heif.primary_index]
        refuse_bomb(self._image.size[0], self._image.size[1], 1, max_pixels)
        mode, _, depth = self._image.mode.partition(";")
        if mode not in _CHANNELS:
            raise BadInput(f"HEIC pixels of kind {self._image.mode} are not supported")
        info = self._image.info
        icc = info.get("icc_profile")
        exif = info.get("exif")
        notes = tuple(_notes(heif, info))
        nclx = info.get("nclx_profile") or {}
        said = int(nclx.get("color_primaries", 2)), int(nclx.get("transfer_characteristics", 2))
        self.metadata = Metadata(
            icc=icc,
            exif=exif.removeprefix(b"Exif\0\0") if exif else None,
            xmp=info.get("xmp"),
            is_linear=icc_is_linear(icc),
            png_color=() if icc else color_tags(said),
            notes=notes,
        )
        width, height = self._image.size
        self.header = Header(
            format="heic", width=width, height=height, channels=_CHANNELS[mode],
            dtype="uint16" if depth else "uint8",
            alpha="straight" if _CHANNELS[mode] in (2, 4) else "none", lossless=False,
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """The primary image."""
        pixels = np.asarray(self._image)
        yield Frame([pixels[..., None] if pixels.ndim == 2 else pixels])

    def close(self) -> None:
        """Nothing is held open."""


def _notes(heif: Any, info: dict[str, Any]) -> Iterator[str]:
    if len(heif) > 1:
        yield f"{len(heif) - 1} further images left out"
    if any("gainmap" in str(kind).lower() for kind in info.get("aux") or ()):
        yield GAIN_MAP
    if info.get("depth_images"):
        yield DEPTH


def write_heif(path: Path, pixels: Array, metadata: Metadata, *, quality: int) -> None:
    """Write (H, W, 3 or 4) uint8, or uint16 as 12 bits; 100 means the encoder's best, not lossless."""
    import pillow_heif

    mode = ("RGB" if pixels.shape[2] == 3 else "RGBA") + (";16" if pixels.dtype == np.uint16 else "")
    size = pixels.shape[1], pixels.shape[0]
    image = pillow_heif.from_bytes(mode=mode, size=size, data=np.ascontiguousarray(pixels).tobytes())
    keywords: dict[str, Any] = {
        "exif": b"Exif\0\0" + metadata.exif if metadata.exif else None,
        "xmp": metadata.xmp,
    }
    if metadata.icc:
        image.info["icc_profile"] = metadata.icc
        image.info["icc_profile_type"] = "prof"
    image.save(str(path), quality=quality, **{name: value for name, value in keywords.items() if value})
