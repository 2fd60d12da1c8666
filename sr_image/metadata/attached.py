"""What cameras attach to a picture: HDR gain maps, videos of motion photos, depth maps.

An enlarged picture has none of them, so what announces them must go too: software that finds a gain map
promised in XMP, or a video of so many bytes behind the end, reads whatever lies there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

GAIN_MAP = "HDR gain map left out"
MOTION = "video of the motion photo left out"
FURTHER = "further pictures inside the JPEG (MPO) left out"
DEPTH = "depth map left out"
EXTENDED = "XMP beyond the first 64 kB left out"
_TAIL_BYTES = 1 << 20
_PROMISES = (
    rb"(?:hdrgm:\w+|HDRGainMap:\w+|(?:GCamera|Camera|OpCamera):(?:MotionPhoto|MicroVideo)\w*"
    rb"|(?:GContainer|Container|Item):\w+|(?:GDepth|GImage):\w+|xmpNote:HasExtendedXMP)"
)

# what promises something, in XMP: properties as elements and as attributes, and the list of parts
_ELEMENT = re.compile(rb"<(" + _PROMISES + rb")(?=[\s/>])[^>]*?(?:/>|>.*?</\1\s*>)", re.DOTALL)
_ATTRIBUTE = re.compile(rb"\s+" + _PROMISES + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_SAYS_GAIN_MAP = re.compile(
    rb"hdrgm:\w|HDRGainMap|Semantic\s*=\s*[\"']GainMap|urn:com:apple:photo:2020:aux:hdrgainmap|<\w+:Semantic>GainMap"
)
_SAYS_MOTION = re.compile(rb"MotionPhoto|MicroVideo")
_SAYS_DEPTH, _SAYS_EXTENDED = re.compile(rb"GDepth:\w"), re.compile(rb"xmpNote:HasExtendedXMP")
_VIDEO_BEHIND = re.compile(rb"\xff\xd9.{4}ftyp(?:mp4|isom|qt |avc|M4V|hev|3gp)", re.DOTALL)
_GAIN_MAP_SEGMENT = b"urn:iso:std:iso:ts:21496:-1\0"  # ISO 21496-1 §5, in an APP2 segment


def without_promises(xmp: bytes) -> bytes:
    """The packet without the properties that describe attached parts; everything else byte for byte."""
    return _ATTRIBUTE.sub(b"", _ELEMENT.sub(b"", xmp))


def attached_notes(xmp: bytes | None, *, has_further_pictures: bool = False, path: Path | None = None) -> Iterator[str]:
    """Sentences about what is left out with the file at `path`.

    Args:
        has_further_pictures: the file holds more than one picture (MPO).
        path: a JPEG that is searched for a video behind its end; None for other formats.
    """
    text = xmp or b""
    head, has_video = (b"", False) if path is None else _look(path)
    is_gain_map = bool(_SAYS_GAIN_MAP.search(text)) or _GAIN_MAP_SEGMENT in head
    if is_gain_map:
        yield GAIN_MAP
    elif has_further_pictures:
        yield FURTHER
    if has_video or _SAYS_MOTION.search(text):
        yield MOTION
    if _SAYS_DEPTH.search(text):
        yield DEPTH
    if _SAYS_EXTENDED.search(text):
        yield EXTENDED


def _look(path: Path) -> tuple[bytes, bool]:
    """(the first bytes, whether a video lies behind the picture)."""
    with path.open("rb") as file:
        head = file.read(_TAIL_BYTES)
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
        if tail.endswith(b"SEFT") and b"MotionPhoto_Data" in tail:  # Samsung's trailer
            return head, True
        return head, bool(_VIDEO_BEHIND.search(head) or _find_video(path))


def _find_video(path: Path) -> bool:
    """Whether an MP4 begins right behind an end of image, anywhere in the file."""
    overlap = 16
    with path.open("rb") as file:
        kept = b""
        while block := file.read(_TAIL_BYTES):
            if _VIDEO_BEHIND.search(kept + block):
                return True
            kept = block[-overlap:]
    return False
