"""What the chunks of a PNG say, read without decoding its pixels."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from sr_core.errors import DamagedMedia
from sr_core.image.iptc import bytes_from_raw_profile, iptc_from_resources

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"
MAX_TEXT_BYTES = 16 << 20  # an inflated text or profile larger than this is left out
PIXELS_PER_METRE_PER_DPI = 1 / 0.0254
COLOR_CHUNKS = (b"gAMA", b"cHRM", b"cICP", b"sRGB", b"mDCV", b"cLLI", b"mDCv", b"cLLi")


@dataclass
class PngChunks:
    """IHDR's facts, and every piece of metadata."""

    width: int = 0
    height: int = 0
    bits: int = 8
    color_type: int = 2
    is_interlaced: bool = False
    has_transparency: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: list[tuple[str, str]] = field(default_factory=list)
    color: list[tuple[bytes, bytes]] = field(default_factory=list)
    frames: int = 0
    loop: int | None = None
    durations: list[Fraction] = field(default_factory=list)

    @property
    def is_linear(self) -> bool:
        """gAMA says 1.0 and nothing stronger (ICC, sRGB, cICP) speaks."""
        kinds = dict(self.color)
        if self.icc or b"sRGB" in kinds:
            return False
        if b"cICP" in kinds:
            return len(kinds[b"cICP"]) == 4 and kinds[b"cICP"][1] == 8  # H.273 transfer 8: linear
        return kinds.get(b"gAMA") == struct.pack(">I", 100_000)


def read_chunks(path: Path) -> PngChunks:
    """Walk the chunks of `path`, skipping pixel data.

    Raises:
        DamagedMedia: no readable IHDR, or the file ends inside its pixel data, of which libpng would
            print a line of its own.
    """
    png, file_bytes = PngChunks(), path.stat().st_size
    with path.open("rb") as file:
        if file.read(8) != SIGNATURE:
            raise DamagedMedia("not a PNG")
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind in (b"IDAT", b"fdAT") or size > MAX_TEXT_BYTES:
                missing = file.seek(size + 4, 1) - file_bytes
                if missing > 0 and kind == b"IDAT":
                    raise DamagedMedia(f"the PNG ends early, {missing} bytes of its pixels are missing")
                continue
            body = file.read(size)
            file.seek(4, 1)
            if kind == b"IHDR":
                if len(body) != 13:
                    raise DamagedMedia("the PNG's header is cut short")
                png.width, png.height, png.bits, png.color_type, _, _, interlace = struct.unpack(">IIBBBBB", body)
                png.is_interlaced = interlace == 1
            elif kind == b"IEND":
                break
            else:
                _note(png, kind, body)
    if not png.width:
        raise DamagedMedia("the PNG has no header")
    return png


def _note(png: PngChunks, kind: bytes, body: bytes) -> None:
    if kind == b"tRNS":
        png.has_transparency = True
    elif kind == b"iCCP":
        png.icc = _inflate(body.partition(b"\0")[2][1:])
    elif kind == b"eXIf":
        png.exif = body.removeprefix(b"Exif\0\0")
    elif kind == b"pHYs" and len(body) == 9 and body[8] == 1:
        x, y = struct.unpack(">II", body[:8])
        if x and y:
            png.dpi = (_clean(x / PIXELS_PER_METRE_PER_DPI), _clean(y / PIXELS_PER_METRE_PER_DPI))
    elif kind in COLOR_CHUNKS:
        png.color.append((kind, body))
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        _note_text(png, kind, body)
    elif kind == b"acTL" and len(body) == 8:
        png.frames, png.loop = struct.unpack(">II", body)
    elif kind == b"fcTL" and len(body) == 26:
        top, bottom = struct.unpack(">HH", body[20:24])
        png.durations.append(Fraction(top, bottom or 100))  # APNG: a denominator of 0 means 100


def _note_text(png: PngChunks, kind: bytes, body: bytes) -> None:
    raw_key, _, rest = body.partition(b"\0")
    keyword = raw_key.decode("latin-1")
    if kind == b"tEXt":
        data: bytes | None = rest
    elif kind == b"zTXt":
        data = _inflate(rest[1:])
    else:
        is_packed = rest[:1] == b"\x01"
        data = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        data = _inflate(data) if is_packed else data
    if data is None:
        return
    if keyword == XMP_KEYWORD:
        png.xmp = data
        return
    text = data.decode("utf-8" if kind == b"iTXt" else "latin-1", errors="replace")
    if keyword.startswith("Raw profile type "):
        blob = bytes_from_raw_profile(text)
        what = keyword.rpartition(" ")[2]
        if blob and what == "iptc":
            png.iptc = iptc_from_resources(blob) or blob
        elif blob and what in ("exif", "APP1") and blob.startswith(b"Exif\0\0"):
            png.exif = png.exif or blob[6:]
        elif blob and what == "xmp":
            png.xmp = png.xmp or blob
        return
    png.text.append((keyword, text))


def _inflate(data: bytes) -> bytes | None:
    """Inflated bytes; None where they are broken or more than a bomb's worth."""
    worker = zlib.decompressobj()
    try:
        plain = worker.decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        return None
    return None if worker.unconsumed_tail else plain


def _clean(dpi: float) -> float:
    """72.009 → 72: PNG counts per metre, so a whole number of dpi comes back a little off."""
    return float(round(dpi)) if abs(dpi - round(dpi)) < 0.02 else dpi
