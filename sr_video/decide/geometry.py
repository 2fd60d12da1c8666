"""How players present the picture: in which shape, turned, cropped; all of it grows with the frame."""

from __future__ import annotations

import struct
from fractions import Fraction

from sr_core.errors import BadInput
from sr_core.wording import option
from sr_video.decide.containers import OutputFormat
from sr_video.decide.video_codec import VideoCodec
from sr_video.hdr import NO_CROP, Crop
from sr_video.read.facts import Matrix9, VideoFacts
from sr_video.read.source import Source

_STEREO_MODE = "stereo_mode"  # Matroska's, as FFmpeg names its tag
_MAX_ASPECT_DRIFT = Fraction(1, 100)  # both sides given: beyond this the sample aspect is corrected


def aspect_of_samples(facts: VideoFacts, width: int, height: int) -> Fraction:
    """The input's, unless the frame's own aspect was changed on request."""
    drift = Fraction(width * facts.height, height * facts.width)
    if abs(drift - 1) <= _MAX_ASPECT_DRIFT:
        return facts.sample_aspect
    return (facts.sample_aspect or Fraction(1)) / drift


def check_aspect(source: Source, sample_aspect: Fraction, container: OutputFormat, codec: VideoCodec) -> None:
    """Refuse what would be shown in the wrong shape.

    FFmpeg's Matroska muxer reads the aspect from a field of the stream that PyAV cannot set; H.264 and
    HEVC carry it in the bitstream, where it is found again. Two views in one frame make the muxer write
    a shape nevertheless, for square samples, and that one counts.
    """
    if sample_aspect in (0, 1) or container.is_mp4_like:
        return
    place = "" if container.muxer == "matroska" else ".mkv with "
    hint = f"write .mp4 or .mov, or {place}{option('codec', 'libx264')} or libx265"
    if source.stream.metadata.get(_STEREO_MODE, "mono") != "mono":
        hint = "write .mp4 or .mov, which do not say that the video is 3D"
    elif codec.codec in ("h264", "hevc"):
        return
    raise BadInput(f"samples of {sample_aspect} cannot be stored by {codec.encoder} in {container.muxer}", hint=hint)


def list_lost_layouts(source: Source, container: OutputFormat) -> list[str]:
    """Notes on how players would show the input, and cannot know of the output."""
    coded = source.stream.codec_context.coded_side_data
    mode = source.stream.metadata.get(_STEREO_MODE, "")
    is_3d = mode not in ("", "mono") or "stereo_3d" in coded
    notes: list[str] = []
    if is_3d and not (mode and not container.is_mp4_like):
        kept = "; .mkv does" if mode else ""
        notes.append(f"the output does not say that the video is 3D ({mode or 'two views in a frame'}){kept}")
    if "spherical" in coded:
        notes.append("the output does not say that the video is a 360-degree projection")
    return notes


LARGEST_SHIFT = 2**31 - 1


def scale_crop(source: Source, width: int, height: int) -> Crop:
    """Edges that the container tells players to hide, grown with the frame; the decoder shows them."""
    raw = source.stream.codec_context.coded_side_data.get("frame_cropping")
    if raw is None or len(raw) != 16:
        return NO_CROP
    top, bottom, left, right = struct.unpack("<4I", raw)
    if top + bottom >= source.facts.height or left + right >= source.facts.width:
        return NO_CROP  # nothing would be left to show: damaged
    across, down = Fraction(width, source.facts.width), Fraction(height, source.facts.height)
    return round(top * down), round(bottom * down), round(left * across), round(right * across)


def scale_matrix(facts: VideoFacts, width: int, height: int) -> Matrix9 | None:
    """The display matrix, its translation (elements 6 and 7, in pixels) grown with the frame."""
    matrix = facts.display_matrix
    if matrix is None:
        return None
    # the translation moves the turned picture back into view: x by what was its height, or width
    turned = matrix[0] == 0
    across, down = Fraction(width, facts.width), Fraction(height, facts.height)
    x = round(matrix[6] * (down if turned else across))
    y = round(matrix[7] * (across if turned else down))
    # a damaged file may move its picture by any number; the field has 32 bits, and no player goes that far
    x, y = (max(-LARGEST_SHIFT, min(LARGEST_SHIFT, number)) for number in (x, y))
    return (*matrix[:6], x, y, matrix[8])
