"""How frames are to be encoded: the settings of an encoder, and the tags that it stores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from sr_core.color import ColorSpec
from sr_video.decide.codecs import stored_format
from sr_video.decide.video_codec import VideoCodec
from sr_video.hdr import Crop, Hdr10
from sr_video.read.facts import ColorTags, Matrix9


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """Everything an encoder is told. `options` are the final FFmpeg options, HDR not yet included.

    `device` is the GPU of an encoder that takes one; it makes no difference to the bytes. Nor does `card`: where the
    encoder reads frames besides ordinary memory (`sr_video.decide.card_frames`).
    """

    codec: VideoCodec
    pix_fmt: str
    width: int
    height: int
    options: tuple[tuple[str, str], ...]
    time_base: Fraction
    frame_rate: Fraction | None
    sample_aspect: Fraction
    color: ColorSpec
    tags: ColorTags
    display_matrix: Matrix9 | None
    crop: Crop
    hdr: Hdr10
    keeps_captions: bool
    is_rgb_source: bool
    device: int | None = None
    card: int | None = None


def stored_tags(settings: EncoderSettings) -> ColorTags:
    """The tags of the output: the source's, except where RGB becomes YUV, YUV RGB, or full range limited.

    RGB sources are often tagged full range, or not at all; `convert_frame` makes limited YUV of them.
    """
    tags = settings.tags
    target = stored_format(settings.pix_fmt)
    is_rgb_out = target is not None and target.family == "rgb"
    if is_rgb_out:
        return ColorTags(range=2, primaries=tags.primaries, transfer=tags.transfer, matrix=0, siting=0)
    if settings.is_rgb_source:
        matrix = {"bt709": 1, "fcc": 4, "bt601": 6, "smpte240m": 7, "bt2020": 9}[settings.color.matrix]
        return ColorTags(range=1, primaries=tags.primaries, transfer=tags.transfer, matrix=matrix, siting=1)
    return replace(tags, range=1) if becomes_limited(settings) else tags


def becomes_limited(settings: EncoderSettings) -> bool:
    """True where full-range YUV must be squeezed, because the codec knows limited range only."""
    return settings.codec.limited_only and settings.color.full_range and not settings.is_rgb_source
