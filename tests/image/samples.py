"""Pictures, profiles, EXIF and headers that tests of image files share."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenImageIO
from PIL import Image

from sr_core.frame import Array
from sr_image.color.profile import linear_srgb_icc
from sr_image.metadata.carried import Alpha, Header, Metadata
from tests.image.conftest import Loaded

MAKER_NOTE = b"Maker\x00" + bytes(range(200))


def exif_blob(*, order: str = "<", orientation: int = 6, thumbnail: bytes = b"") -> bytes:
    """An EXIF blob with a maker note, short sizes and, if given, a thumbnail directory."""
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    exif[0x010F] = "Maker of cameras"
    exif[0x011A], exif[0x011B], exif[0x0128] = 72.0, 72.0, 2
    exif.get_ifd(0x8769).update({0xA002: 40, 0xA003: 30, 0x927C: MAKER_NOTE, 0x9003: "2026:01:02 03:04:05"})
    blob = exif.tobytes().removeprefix(b"Exif\0\0")
    if not thumbnail:
        return blob
    first = struct.unpack(order + "L", blob[4:8])[0]
    count = struct.unpack(order + "H", blob[first : first + 2])[0]
    link = first + 2 + 12 * count
    second = len(blob)
    entries = struct.pack(order + "HHLL", 0x0201, 4, 1, second + 2 + 24 + 4)
    entries += struct.pack(order + "HHLL", 0x0202, 4, 1, len(thumbnail))
    directory = struct.pack(order + "H", 2) + entries + struct.pack(order + "L", 0) + thumbnail
    return blob[:link] + struct.pack(order + "L", second) + blob[link + 4 :] + directory


def read(blob: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + blob)
    return exif


def gamma_icc(gamma: float) -> bytes:
    """A profile with sRGB's primaries swapped about (so that the matrix matters) and a pure gamma."""
    icc = bytearray(linear_srgb_icc())
    count = struct.unpack(">I", icc[128:132])[0]
    for index in range(count):
        at = 132 + 12 * index
        offset = struct.unpack(">I", icc[at + 4 : at + 8])[0]
        if icc[at : at + 4] == b"rXYZ":
            icc[offset + 8 : offset + 20] = struct.pack(">3i", *(round(v * 65536) for v in (0.6097, 0.3111, 0.0195)))
        if icc[at : at + 4] == b"gXYZ":
            icc[offset + 8 : offset + 20] = struct.pack(">3i", *(round(v * 65536) for v in (0.2053, 0.6257, 0.0609)))
        if icc[at : at + 4] == b"bXYZ":
            icc[offset + 8 : offset + 20] = struct.pack(">3i", *(round(v * 65536) for v in (0.1492, 0.0632, 0.7446)))
        if icc[at : at + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            icc[at + 4 : at + 12] = struct.pack(">II", len(icc), 14)
    icc += b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    icc[:4] = struct.pack(">I", len(icc))
    return bytes(icc)


FULL = Metadata(
    icc=linear_srgb_icc(), exif=exif_blob(), xmp=b"<x:xmpmeta/>", iptc=b"\x1c\x02\x05\x00\x03abc",
    dpi=(300.0, 150.0), text=(("Title", "a title"), ("Author", "Ünï")),
)  # fmt: skip


def header_of(pixels: Array, kind: str, **more: object) -> Header:
    alpha: Alpha = "straight" if pixels.shape[2] in (2, 4) else "none"
    facts: dict[str, object] = {
        "format": kind, "width": pixels.shape[1], "height": pixels.shape[0],
        "channels": pixels.shape[2], "dtype": str(pixels.dtype), "alpha": alpha,
    }  # fmt: skip
    return Header(**(facts | more))  # type: ignore[arg-type]


EIGHT = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


Load = Callable[[Path], Loaded]


def by_openimageio(path: Path, pixels: Array, **attributes: object) -> None:
    """Write a file with a library that is not ours."""
    types = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}
    spec = OpenImageIO.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], types[str(pixels.dtype)])
    spec.attribute("oiio:UnassociatedAlpha", 1)
    if pixels.shape[2] == 1:
        spec.channelnames = ("Y",)
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)  # type: ignore[call-overload]
    output = OpenImageIO.ImageOutput.create(str(path))
    assert output is not None
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    output.close()


def by_pillow(path: Path, pixels: Array, **options: object) -> None:
    mode = EIGHT[pixels.shape[2]]
    image = Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    image.save(path, **options)  # type: ignore[arg-type]
