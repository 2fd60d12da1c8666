"""What the chunks of a PNG say, read without decoding its pixels."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from sr_core.errors import DamagedMedia
from sr_core.wording import printable
from sr_image.metadata.iptc import bytes_from_raw_profile, iptc_from_resources

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"
MAX_TEXT_BYTES = 16 << 20  # an inflated text or profile larger than this is left out
PIXELS_PER_METRE_PER_DPI = 1 / 0.0254
# the colour chunks and their lengths, PNG 3 §11.3.2
COLOR_CHUNKS = {
    b"gAMA": 4, b"cHRM": 32, b"cICP": 4, b"sRGB": 1, b"mDCV": 24, b"cLLI": 8, b"mDCv": 24, b"cLLi": 8,
}  # fmt: skip
_PQ, _HLG = 16, 18  # transfer characteristics of ITU-T H.273
_ORDINARY = (1, 2, 6, 13)  # those that say SDR as everything here takes it: BT.709, nothing, BT.601, sRGB


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
    notes: list[str] = field(default_factory=list)
    unknown: list[bytes] = field(default_factory=list)
    has_hidden_still: bool = False
    has_pixels: bool = False

    def left_out(self, kind: bytes) -> None:
        """Note that a chunk was damaged: its copy would make the output unreadable."""
        note = f"{kind.decode('ascii', 'replace')} chunk left out: it is damaged"
        if note not in self.notes:
            self.notes.append(note)

    @property
    def is_linear(self) -> bool:
        """gAMA says 1.0 and nothing stronger (ICC, sRGB, cICP) speaks."""
        kinds = dict(self.color)
        if self.icc or b"sRGB" in kinds:
            return False
        if b"cICP" in kinds:
            return len(kinds[b"cICP"]) == 4 and kinds[b"cICP"][1] == 8  # H.273 transfer 8: linear
        return kinds.get(b"gAMA") == struct.pack(">I", 100_000)


_CARRIED = (b"iCCP", b"eXIf", b"pHYs", b"tEXt", b"zTXt", b"iTXt", *COLOR_CHUNKS)
_SPOKEN_FOR = {
    *_CARRIED,
    b"tRNS",
    b"acTL",
    b"fcTL",
    b"fdAT",
    b"tIME",
    b"sBIT",
}  # the last two are true of the old file only


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
            png.has_pixels |= kind == b"IDAT"
            if kind in (b"IDAT", b"fdAT") or size > MAX_TEXT_BYTES:
                missing = file.seek(size + 4, 1) - file_bytes
                if missing > 0 and kind == b"IDAT":
                    raise DamagedMedia(f"the PNG ends early, {missing} bytes of its pixels are missing")
                continue
            body = file.read(size)
            is_whole = file.read(4) == struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
            if kind == b"IHDR":
                if len(body) != 13:
                    raise DamagedMedia("the PNG's header is cut short")
                png.width, png.height, png.bits, png.color_type, _, _, interlace = struct.unpack(">IIBBBBB", body)
                png.is_interlaced = interlace == 1
            elif kind == b"IEND":
                break
            elif is_whole or kind[:1].isupper():  # a decoder decides about chunks it cannot do without
                _note(png, kind, body)
            elif kind in _CARRIED:
                png.left_out(kind)
            if kind[:1].islower() and kind not in _SPOKEN_FOR:
                png.unknown.append(kind)
    if png.unknown:
        names = ", ".join(sorted({printable(kind.decode("latin-1")) for kind in png.unknown}))
        png.notes.append(f"chunks left out: {names}")
    if not png.width:
        raise DamagedMedia("the PNG has no header")
    return png


def _note(png: PngChunks, kind: bytes, body: bytes) -> None:
    if kind == b"tRNS":
        png.has_transparency = True
    elif kind == b"iCCP":
        png.icc = _inflate(body.partition(b"\0")[2][1:])
        if not png.icc:
            png.left_out(kind)
    elif kind == b"eXIf":
        png.exif = body.removeprefix(b"Exif\0\0")
    elif kind == b"pHYs" and len(body) != 9:
        png.left_out(kind)
    elif kind == b"pHYs":
        x, y = struct.unpack(">II", body[:8])
        if body[8] != 1 and x != y:
            png.notes.append(f"shape of the pixels, {x}:{y}, left out")
        elif body[8] == 1 and x and y:
            png.dpi = (_clean(x / PIXELS_PER_METRE_PER_DPI), _clean(y / PIXELS_PER_METRE_PER_DPI))
    elif kind in COLOR_CHUNKS:
        if _is_sound(kind, body):
            png.color.append((kind, body))
        else:
            png.left_out(kind)
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        _note_text(png, kind, body)
    elif kind == b"acTL" and len(body) == 8:
        png.frames, png.loop = struct.unpack(">II", body)
    elif kind == b"fcTL" and len(body) == 26:
        png.has_hidden_still |= not png.durations and png.has_pixels
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
    if data is None or not _is_keyword(keyword):
        png.left_out(kind)
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


def _is_sound(kind: bytes, body: bytes) -> bool:
    """Whether a colour chunk is as long as it must be, and says something possible."""
    if len(body) != COLOR_CHUNKS[kind]:
        return False
    return not (kind == b"sRGB" and body[0] > 3) and not (kind == b"gAMA" and body == bytes(4))


def _is_keyword(text: str) -> bool:
    """PNG 3 §11.3.3.2: 1 to 79 printable characters of Latin-1, no space at either end."""
    return 1 <= len(text) <= 79 and text == text.strip() and text.isprintable()


def color_tags(said: tuple[int, int]) -> tuple[tuple[bytes, bytes], ...]:
    """H.273's (primaries, transfer) of another format, as the PNG chunk that says it; () = nothing special."""
    primaries, transfer = said
    if primaries in (1, 2) and transfer in _ORDINARY:
        return ()
    return ((b"cICP", bytes([min(primaries, 255), min(transfer, 255), 0, 1])),)


def hdr_transfer(color: tuple[tuple[bytes, bytes], ...]) -> str:
    """'PQ' or 'HLG' where the chunks say that samples are so encoded; else ''."""
    body = dict(color).get(b"cICP", b"")
    return {_PQ: "PQ", _HLG: "HLG"}.get(body[1], "") if len(body) == 4 else ""


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
