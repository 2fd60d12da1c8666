"""What a file is, in words, and what to make of it: the same for every front end.

facts ─► words        "960x540, 4.7 s, stereo sound, compressed hard"
facts ─► suggestion   model, scale, codec, each with its reason
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from sr_core.model_spec import LARGEST_SCALE
from sr_core.wording import text_from_bytes
from sr_zoo.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from sr_video.read.facts import VideoFacts
    from sr_video.read.hardness import Compression
    from sr_video.read.source import Source

SCALES = (2, 3, 4)  # that are suggested
RESTORING_MODEL = "restore"
_UHD = (3840, 2160)  # where suggestions stop: screens do
_H264_MAX = (4096, 2304)  # what level 5.2, the highest that players are built for, holds (ITU-T H.264, table A-6)
_TRANSFERS_HDR = {16: "HDR (PQ)", 18: "HDR (HLG)"}  # ITU-T H.273, table 3
_SIZES = {480: "480p", 540: "540p", 576: "576p", 720: "720p", 1080: "1080p", 1440: "1440p", 2160: "4K", 4320: "8K"}


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What to begin with; `reasons` are sentences for people."""

    model: str
    scale: int
    codec: str
    suffix: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One video, looked at.

    Attributes:
        width, height: as it is shown, upright.
        words: what it is, in short phrases.
        sizes: what the picture is called at each whole scale.
    """

    name: str
    bytes: int
    width: int
    height: int
    sample_aspect: float
    seconds: float | None
    frames: int | None
    frame_rate: float | None
    codec: str
    is_hdr: bool
    sound: tuple[str, ...]
    words: tuple[str, ...]
    notes: tuple[str, ...]
    sizes: dict[int, str]
    suggestion: Suggestion


def advise_video(path: Path) -> Advice:
    """Open a video, say what it is and what suits it.

    Raises:
        SrError: it cannot be upscaled.
    """
    from sr_video.read.hardness import compression_of
    from sr_video.read.source import Source

    with Source(str(path)) as source:
        facts = source.facts
        compression = compression_of(str(path), facts.index)
        width, height = _upright_size(facts)
        rate, seconds = facts.frame_rate_from_header, facts.duration_seconds
        frames = facts.frames_from_header or (round(seconds * rate) if seconds and rate else None)
        sound = _sound(source)
        return Advice(
            name=path.name,
            bytes=path.stat().st_size,
            width=width,
            height=height,
            sample_aspect=_shown_aspect(facts),
            seconds=None if seconds is None else float(seconds),
            frames=frames,
            frame_rate=None if rate is None else float(rate),
            codec=facts.codec,
            is_hdr=facts.tags.transfer in _TRANSFERS_HDR,
            sound=sound,
            words=_words(facts, sound, compression),
            notes=tuple(source.notes),
            sizes={scale: name_of_size(width * scale, height * scale) for scale in range(1, LARGEST_SCALE + 1)},
            suggestion=_suggest(facts, width, height, compression),
        )


def facts_in_words(path: Path) -> tuple[str, ...]:
    """What a video or an image is, in short phrases, its size in bytes the last.

    Raises:
        SrError: it is neither, or damaged.
    """
    from sr_image.formats.capabilities import ALL_SUFFIXES
    from sr_image.formats.reader import open_image

    size = text_from_bytes(path.stat().st_size)
    if path.suffix.lower() not in ALL_SUFFIXES:
        return (*advise_video(path).words, size)
    with open_image(path) as image:
        width, height = image.header.size
        return f"{width} × {height}", size


def name_of_size(width: int, height: int) -> str:
    """'1080p' where people have a name for it, else '1000 × 700'."""
    return _SIZES.get(min(width, height), f"{width} × {height}")


def _upright_size(facts: VideoFacts) -> tuple[int, int]:
    matrix = facts.display_matrix
    is_on_its_side = matrix is not None and matrix[0] == 0 and matrix[4] == 0
    return (facts.height, facts.width) if is_on_its_side else (facts.width, facts.height)


def _shown_aspect(facts: VideoFacts) -> float:
    """Width over height of one pixel of the upright picture."""
    aspect = facts.sample_aspect or Fraction(1)
    return float(1 / aspect if _upright_size(facts) != (facts.width, facts.height) else aspect)


def _sound(source: Source) -> tuple[str, ...]:
    layouts = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
    contexts = [stream.codec_context for stream in source.container.streams.audio if stream.codec_context is not None]
    return tuple(f"{c.name} {layouts.get(c.channels, f'{c.channels} channels')}" for c in contexts)


def _words(facts: VideoFacts, sound: tuple[str, ...], compression: Compression) -> tuple[str, ...]:
    from sr_video.timing import text_from_seconds

    width, height = _upright_size(facts)
    size, name = f"{width} × {height}", name_of_size(width, height)
    words = [size if name == size else f"{size} ({name})"]
    if facts.duration_seconds is not None:
        words.append(f"{text_from_seconds(facts.duration_seconds)} long")
    if facts.frame_rate_from_header:
        words.append(f"{float(facts.frame_rate_from_header):.4g} frames a second")
    words.append(f"sound: {', '.join(sound)}" if sound else "no sound")
    words.append(_TRANSFERS_HDR.get(facts.tags.transfer, "SDR"))
    if facts.format.depth > 8:
        words.append(f"{facts.format.depth} bits a color")
    if facts.is_interlaced:
        words.append("interlaced: it is deinterlaced first")
    words.append({"clean": "clean", "some": "lightly compressed", "hard": "compressed hard"}[compression.hardness])
    return tuple(words)


def _suggest(facts: VideoFacts, width: int, height: int, compression: Compression) -> Suggestion:
    reasons: list[str] = []
    model = DEFAULT_MODEL
    scale = _scale(width, height)
    if compression.hardness == "hard" and scale in _scales_of(RESTORING_MODEL):
        model = RESTORING_MODEL
        measured = compression.measured or f"{compression.bits_per_pixel or 0:.3f} bits a pixel"
        reasons.append(f"{model}: the video is compressed hard ({measured}), and this model cleans that up.")
    else:
        reasons.append(f"{model}: the video is clean enough to keep every detail of it.")
    target = name_of_size(width * scale, height * scale)
    if scale == SCALES[-1]:
        reasons.append(f"×{scale} gives {target}: a small picture has the most to gain.")
    else:
        beyond = name_of_size(width * SCALES[-1], height * SCALES[-1])
        why = "as large as screens are" if max(width, height) * scale <= _UHD[0] else "already more than most screens"
        reasons.append(f"×{scale} gives {target}, {why}; ×{SCALES[-1]} would be {beyond}.")
    codec, why = _codec(facts, width * scale, height * scale)
    reasons.append(why)
    return Suggestion(model=model, scale=scale, codec=codec, suffix=".mkv", reasons=tuple(reasons))


def _scale(width: int, height: int) -> int:
    """The largest that still fits a 4K screen, upright or on its side."""
    long, short = max(width, height), min(width, height)
    fitting = [scale for scale in SCALES if long * scale <= _UHD[0] and short * scale <= _UHD[1]]
    return fitting[-1] if fitting else SCALES[0]


def _scales_of(model: str) -> tuple[int, ...]:
    from sr_zoo.models import shipped_names

    return tuple(scale for scale in SCALES if f"{model}-x{scale}" in shipped_names())


def _codec(facts: VideoFacts, width: int, height: int) -> tuple[str, str]:
    if facts.tags.transfer in _TRANSFERS_HDR:
        return "libx265", "H.265, because players expect HDR in it."
    if max(width, height) > _H264_MAX[0] or min(width, height) > _H264_MAX[1]:
        return "libx265", "H.265, because few players take H.264 this large."
    return "libx264", "H.264, because everything plays it."
