"""HDR10 static metadata: read from a frame, told to encoders, put into the container (so is a crop).

FFmpeg's encoders do not take it from frames, and PyAV has no setter for stream side data. So
the encoder gets it as a parameter, and the container through a detour that is pure Python: a tiny
Matroska header that says the same is opened and its facts are poured into the output stream.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from fractions import Fraction

import av
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream

Point = tuple[Fraction, Fraction]
Crop = tuple[int, int, int, int]  # rows and columns that players hide: top, bottom, left, right
NO_CROP: Crop = (0, 0, 0, 0)

_MASTERING_BYTES = 88  # AVMasteringDisplayMetadata: 10 rationals, has_primaries, has_luminance
_KEPT_FIELDS = (
    "width height pix_fmt time_base framerate sample_aspect_ratio color_range color_primaries "
    "color_trc colorspace chroma_sample_location field_order bit_rate flags"
).split()
_PIXEL_CROP = ("54BB", "54AA", "54CC", "54DD")  # in the order of `Crop`
_MATROSKA_CODEC = {
    "h264": "V_MPEG4/ISO/AVC",
    "hevc": "V_MPEGH/ISO/HEVC",
    "av1": "V_AV1",
    "ffv1": "V_FFV1",
    "prores": "V_PRORES",
}


@dataclass(frozen=True, kw_only=True)
class Mastering:
    """SMPTE ST 2086: CIE xy of the primaries and the white point, luminance in cd/m2."""

    red: Point
    green: Point
    blue: Point
    white: Point
    darkest: Fraction
    brightest: Fraction


@dataclass(frozen=True, kw_only=True)
class Hdr10:
    """Static HDR metadata; either part may be missing. `light` is (MaxCLL, MaxFALL) in cd/m2."""

    mastering: Mastering | None = None
    light: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        return self.mastering is not None or self.light is not None


def hdr10_from_side_data(mastering: bytes | None, light: bytes | None) -> Hdr10:
    """Parse FFmpeg's structs AVMasteringDisplayMetadata and AVContentLightMetadata."""
    parsed = _mastering_from_struct(mastering) if mastering and len(mastering) >= _MASTERING_BYTES else None
    levels = struct.unpack_from("<II", light) if light and len(light) >= 8 else None
    return Hdr10(mastering=parsed, light=(levels[0], levels[1]) if levels and any(levels) else None)


def _mastering_from_struct(raw: bytes) -> Mastering | None:
    pairs = struct.unpack_from("<20i", raw)
    values = [Fraction(n, d) if d else Fraction(0) for n, d in zip(pairs[::2], pairs[1::2], strict=True)]
    has_primaries, has_luminance = struct.unpack_from("<ii", raw, 80)
    if not (has_primaries and has_luminance):
        return None
    points = [(values[i], values[i + 1]) for i in range(0, 8, 2)]
    return Mastering(
        red=points[0],
        green=points[1],
        blue=points[2],
        white=points[3],
        darkest=values[8],
        brightest=values[9],
    )


def encoder_parameters(encoder: str, hdr: Hdr10) -> tuple[str, str]:
    """(option name, value) that makes `encoder` write `hdr` into its bitstream; ('', '') for none."""
    parts: list[str] = []
    if encoder in ("libx265", "libx264"):
        if hdr.mastering:
            key = "master-display" if encoder == "libx265" else "mastering-display"
            parts.append(f"{key}={_integer_display(hdr.mastering)}")
        if hdr.light:
            key = "max-cll" if encoder == "libx265" else "cll"
            parts.append(f"{key}={hdr.light[0]},{hdr.light[1]}")
        return encoder.removeprefix("lib") + "-params", ":".join(parts)
    if encoder == "libsvtav1":
        if hdr.mastering:
            parts.append(f"mastering-display={_decimal_display(hdr.mastering)}")
        if hdr.light:
            parts.append(f"content-light={hdr.light[0]},{hdr.light[1]}")
        return "svtav1-params", ":".join(parts)
    return "", ""


def _integer_display(m: Mastering) -> str:
    """x264's and x265's form: chromaticity in 1/50000, luminance in 1/10000 cd/m2."""
    points = {"G": m.green, "B": m.blue, "R": m.red, "WP": m.white}
    text = "".join(f"{k}({round(x * 50000)},{round(y * 50000)})" for k, (x, y) in points.items())
    return f"{text}L({round(m.brightest * 10000)},{round(m.darkest * 10000)})"


def _decimal_display(m: Mastering) -> str:
    points = {"G": m.green, "B": m.blue, "R": m.red, "WP": m.white}
    text = "".join(f"{k}({float(x):.5f},{float(y):.5f})" for k, (x, y) in points.items())
    return f"{text}L({float(m.brightest):.4f},{float(m.darkest):.4f})"


def pour_into(stream: VideoStream, hdr: Hdr10, *, codec: str, width: int, height: int, crop: Crop = NO_CROP) -> bool:
    """Give an output stream's container boxes `hdr` and `crop`; False where this codec has no such box.

    Call it before the encoder is opened and the display matrix set; everything else set on the stream
    stays as it is.
    """
    if codec not in _MATROSKA_CODEC:
        return False
    context = stream.codec_context
    kept = {name: getattr(context, name) for name in _KEPT_FIELDS}
    with av.open(io.BytesIO(_matroska_header(hdr, codec, width, height, crop)), "r") as carrier:
        BitStreamFilterContext("null", carrier.streams.video[0], stream)
    for name, value in kept.items():
        setattr(context, name, 0 if name == "bit_rate" and value is None else value)
    return True


def _matroska_header(hdr: Hdr10, codec: str, width: int, height: int, crop: Crop) -> bytes:
    """A Matroska file of one video track and one empty block; element ids as in RFC 9559."""
    color = b""
    if hdr.light:
        color += _uint("55BC", hdr.light[0]) + _uint("55BD", hdr.light[1])
    if m := hdr.mastering:
        values = (*m.red, *m.green, *m.blue, *m.white, m.brightest, m.darkest)
        ids = [f"55D{digit}" for digit in "123456789A"]
        color += _element("55D0", b"".join(_float(i, v) for i, v in zip(ids, values, strict=True)))
    edges = b"".join(_uint(name, pixels) for name, pixels in zip(_PIXEL_CROP, crop, strict=True))
    video = _uint("B0", width) + _uint("BA", height) + edges + _element("55B0", color)
    codec_id = _element("86", _MATROSKA_CODEC[codec].encode())
    track = _uint("D7", 1) + _uint("73C5", 1) + _uint("83", 1) + codec_id + _element("E0", video)
    info = _uint("2AD7B1", 1_000_000) + _element("4D80", b"x") + _element("5741", b"x")
    cluster = _uint("E7", 0) + _element("A3", bytes([0x81, 0, 0, 0x80, 0]))
    segment = _element("1549A966", info) + _element("1654AE6B", _element("AE", track))
    segment += _element("1F43B675", cluster)
    head = _element("4282", b"matroska") + _uint("4287", 4) + _uint("4285", 2)
    return _element("1A45DFA3", head) + _element("18538067", segment)


def _element(identifier: str, body: bytes) -> bytes:
    length = next(n for n in range(1, 9) if len(body) < (1 << (7 * n)) - 1)
    return bytes.fromhex(identifier) + (len(body) | (1 << (7 * length))).to_bytes(length, "big") + body


def _uint(identifier: str, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _float(identifier: str, value: Fraction) -> bytes:
    return _element(identifier, struct.pack(">d", float(value)))
