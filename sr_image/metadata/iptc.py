"""IPTC-IIM inside Photoshop image resources (JPEG APP13, TIFF tag 34377, PNG raw profiles)."""

from __future__ import annotations

import struct

IPTC_RESOURCE = 0x0404
APP13_HEAD = b"Photoshop 3.0\0"
MAX_SEGMENT_BYTES = 65_533


def resource_from_iptc(iptc: bytes) -> bytes:
    """One 8BIM resource holding the datasets."""
    padding = b"\0" * (len(iptc) % 2)
    return b"8BIM" + struct.pack(">HHI", IPTC_RESOURCE, 0, len(iptc)) + iptc + padding


def iptc_from_resources(data: bytes) -> bytes | None:
    """The datasets in a run of 8BIM resources; None where there are none."""
    at = len(APP13_HEAD) if data.startswith(APP13_HEAD) else 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        kind = struct.unpack(">H", data[at + 4 : at + 6])[0]
        name_bytes = data[at + 6] + 1
        name_bytes += name_bytes % 2
        start = at + 6 + name_bytes
        if start + 4 > len(data):
            return None
        size = struct.unpack(">I", data[start : start + 4])[0]
        if kind == IPTC_RESOURCE:
            return data[start + 4 : start + 4 + size] or None
        at = start + 4 + size + size % 2
    return None


def app13_from_iptc(iptc: bytes) -> bytes:
    """A whole JPEG APP13 segment, or nothing where the datasets do not fit in one."""
    body = APP13_HEAD + resource_from_iptc(iptc)
    if len(body) > MAX_SEGMENT_BYTES:
        return b""
    return b"\xff\xed" + struct.pack(">H", len(body) + 2) + body


def raw_profile_text(iptc: bytes) -> str:
    """The text that ImageMagick and exiftool write under 'Raw profile type iptc' in a PNG."""
    data = resource_from_iptc(iptc)
    digits = data.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return f"\niptc\n{len(data):8d}\n{lines}\n"


def bytes_from_raw_profile(text: str) -> bytes | None:
    """The bytes in a PNG 'Raw profile type …' text; None where it is malformed."""
    parts = text.split()
    try:
        return bytes.fromhex("".join(parts[2:]))
    except ValueError:
        return None
