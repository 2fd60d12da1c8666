"""Files by OpenImageIO from strips of rows: OpenEXR, JPEG XL, and large JPEGs."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sr_core.errors import EngineError, StorageError
from sr_image.formats.utf8_path import utf8_path
from sr_image.metadata.carried import Frame, Header, Metadata, regroup_rows

_TYPES = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}
_STRIP_ROWS = 256  # a whole number of the chunks OpenEXR compresses (1, 16, 32 or 256 rows)


def write_scanlines(
    path: Path,
    header: Header,
    frame: Frame,
    attributes: Mapping[str, Any],
    *,
    kind: str,
    metadata: Metadata | None = None,
) -> None:
    """Write one frame by the plugin `kind` ('jpeg', 'openexr', 'jpegxl').

    Raises:
        StorageError: the library could not write; its own text is in the message.
    """
    import OpenImageIO

    spec = OpenImageIO.ImageSpec(header.width, header.height, header.channels, _TYPES[header.dtype])
    if header.channels == 1:
        spec.channelnames = ("Y",)
    elif header.channels == 2:
        spec.channelnames, spec.alpha_channel = ("Y", "A"), 1
    for name, value_type, value in metadata.attributes if metadata else ():
        spec.attribute(name, value_type, value)
    for name, value in attributes.items():
        if isinstance(value, bytes):
            spec.attribute(name, OpenImageIO.TypeDesc(f"uint8[{len(value)}]"), np.frombuffer(value, np.uint8))
        else:
            spec.attribute(name, value)
    output = OpenImageIO.ImageOutput.create(kind)
    if output is None:
        raise EngineError(f"OpenImageIO has no {kind} writer: {OpenImageIO.geterror()}")
    with utf8_path(path) as name:
        if not output.open(name, spec):
            raise StorageError(f"cannot write {path.name}: {output.geterror()}")
        top = 0
        for strip in regroup_rows(frame.strips, _STRIP_ROWS):
            if not output.write_scanlines(top, top + len(strip), 0, np.ascontiguousarray(strip)):
                message = output.geterror()
                output.close()
                raise StorageError(f"cannot write {path.name}: {message}")
            top += len(strip)
        if not output.close():
            raise StorageError(f"cannot finish {path.name}: {output.geterror()}")


def write_exr(path: Path, header: Header, metadata: Metadata, frame: Frame) -> None:
    """Write linear light, ZIP-compressed, with the input's attributes."""
    write_scanlines(path, header, frame, {"compression": "zip"}, kind="openexr", metadata=metadata)


def write_jxl(path: Path, header: Header, metadata: Metadata, frame: Frame) -> None:
    """Write losslessly; EXIF and XMP as boxes after the code stream."""
    attributes: dict[str, Any] = {"compression": "jpegxl:100", "oiio:UnassociatedAlpha": 1}
    if metadata.icc:
        attributes["ICCProfile"] = metadata.icc
    if header.dtype == "float32":
        frame = Frame(strip + np.float32(0) for strip in frame.strips)  # libjxl refuses -0.0 in lossless floats
    write_scanlines(path, header, frame, attributes, kind="jpegxl")
    _keep_codestream(path)
    with path.open("ab") as file:
        if metadata.exif:
            file.write(_box(b"Exif", struct.pack(">I", 0) + metadata.exif))
        if metadata.xmp:
            file.write(_box(b"xml ", metadata.xmp))


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def _keep_codestream(path: Path) -> None:
    """Drop the metadata boxes OpenImageIO made up from attributes; ours follow."""
    data, at, kept = path.read_bytes(), 0, bytearray()
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if size == 1:
            size = struct.unpack(">Q", data[at + 8 : at + 16])[0]
        end = at + size if size else len(data)
        if kind not in (b"Exif", b"xml ", b"brob", b"jumb"):
            # size 0 means 'to the end of the file', which is no longer true once boxes follow
            kept += data[at:end] if size else struct.pack(">I4s", end - at, kind) + data[at + 8 : end]
        at = end
    path.write_bytes(bytes(kept))
