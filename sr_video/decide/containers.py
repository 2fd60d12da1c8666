"""The output formats we know, and only those that store every timestamp exactly enough.

AVI, FLV and raw streams are refused: they cannot hold variable frame rates, or no audio tracks,
or no tags, and would lose what the input carries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sr_core.errors import BadInput
from sr_video.native import STDOUT

_MP4_KEYS = frozenset(  # what FFmpeg's mov muxer writes without use_metadata_tags
    "title artist album_artist composer album date comment genre copyright description synopsis "
    "lyrics grouping show episode_id network media_type hd_video gapless_playback compilation "
    "purchase_date encoding_tool track disc keywords category podcast location creation_time "
    "timecode rating performer season_number episode_sort sort_name sort_artist sort_album".split()
)
_PICTURES = frozenset(".png .jpg .jpeg .webp .tif .tiff .bmp .gif .avif .heic .exr .jxl".split())


@dataclass(frozen=True, kw_only=True)
class OutputFormat:
    """One container format.

    Attributes:
        muxer: FFmpeg's name.
        extensions: with the dot, lower case.
        tick_seconds: its clock, None where each stream may have its own.
        options: for the muxer.
        text_subtitles: codec to which text subtitles are converted, '' to copy them as they are.
        sound: lossless codec (Opus in WebM) for sound it cannot hold as it is.
        takes_covers: pictures shown as the file's cover.
        default_codec: what `--codec` means where the user says nothing.
    """

    muxer: str
    extensions: tuple[str, ...]
    tick_seconds: Fraction | None = None
    options: tuple[tuple[str, str], ...] = ()
    text_subtitles: str = "srt"
    sound: str = "alac"
    takes_covers: bool = True
    default_codec: str = "libx264"
    takes_attachments: bool = False
    is_mp4_like: bool = False


_MKV_OPTIONS = (
    ("default_mode", "passthrough"),  # keep dispositions as they are
    ("fflags", "+bitexact"),  # no random UIDs: the same input gives the same file
)
OUTPUT_FORMATS = (
    OutputFormat(muxer="mp4", extensions=(".mp4", ".m4v"), text_subtitles="mov_text", is_mp4_like=True),
    OutputFormat(muxer="mov", extensions=(".mov",), text_subtitles="mov_text", is_mp4_like=True, takes_covers=False),
    OutputFormat(
        muxer="matroska",
        extensions=(".mkv", ".mk3d"),
        tick_seconds=Fraction(1, 1000),
        options=_MKV_OPTIONS,
        sound="flac",
        takes_attachments=True,
    ),
    OutputFormat(
        muxer="webm",
        extensions=(".webm",),
        tick_seconds=Fraction(1, 1000),
        options=_MKV_OPTIONS,
        text_subtitles="webvtt",
        sound="libopus",
        takes_covers=False,
        default_codec="libsvtav1",
    ),
)


def output_format(path: str) -> OutputFormat:
    """The format of the output `path`; a pipe gets Matroska.

    Raises:
        BadInput: an ending we do not write.
    """
    if path == STDOUT:
        return format_named("matroska")
    ending = Path(path).suffix.lower()
    for known in OUTPUT_FORMATS:
        if ending in known.extensions:
            return known
    endings = ", ".join(e for known in OUTPUT_FORMATS for e in known.extensions)
    what = f"cannot write {ending} files" if ending else f"{Path(path).name!r} has no file ending"
    is_picture = ending in _PICTURES
    raise BadInput(what, hint="srbatch enlarges pictures" if is_picture else f"choose one of: {endings}")


def format_named(muxer: str) -> OutputFormat:
    """The format FFmpeg calls `muxer`."""
    return next(known for known in OUTPUT_FORMATS if known.muxer == muxer)


_STALE = re.compile(
    r"(encoder|duration|bps|number_of_frames|number_of_bytes|_statistics.*|major_brand|minor_version"
    r"|compatible_brands|software|alpha_mode)(-[a-z]{3})?",
    re.IGNORECASE,
)
_TRANSLATED = re.compile(r"(.+)-[a-z]{3}")


def lasting_tags(tags: dict[str, str], *, is_stream: bool) -> dict[str, str]:
    """Tags that are still true of the output: not the old encoder, sizes and brands.

    A container's own timecode would make the muxer add a second timecode track.
    """
    kept: dict[str, str] = {}
    for key, value in tags.items():
        base = _TRANSLATED.fullmatch(key)
        is_double = base is not None and tags.get(base.group(1)) == value
        if _STALE.fullmatch(key) or is_double or (key.lower() == "timecode" and not is_stream):
            continue
        kept[key] = value
    if is_stream and "name" in kept:  # what MP4 calls a track's title
        kept.setdefault("title", kept.pop("name"))
    return kept


def muxer_options(
    fmt: OutputFormat, tags: dict[str, str], *, has_cover: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """(options for the muxer, keys of tags that are lost).

    MP4 has names for common tags only. An option makes FFmpeg write any key, but then no cover.
    """
    options = dict(fmt.options)
    foreign = tuple(key for key in tags if key.lower() not in _MP4_KEYS) if fmt.is_mp4_like else ()
    if foreign and not has_cover:
        options["movflags"] = "+use_metadata_tags"
        return options, ()
    return options, foreign
