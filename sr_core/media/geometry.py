"""How players present the picture: in which shape, turned, cropped; all of it grows with the frame."""

from __future__ import annotations

from fractions import Fraction

from sr_core.errors import BadInput
from sr_core.media.codecs import VideoCodec
from sr_core.media.containers import OutputFormat
from sr_core.media.facts import Matrix9, VideoFacts

_MAX_ASPECT_DRIFT = Fraction(1, 100)  # both sides given: beyond this the sample aspect is corrected


def aspect_of_samples(facts: VideoFacts, width: int, height: int) -> Fraction:
    """The input's, unless the frame's own aspect was changed on request."""
    drift = Fraction(width * facts.height, height * facts.width)
    if abs(drift - 1) <= _MAX_ASPECT_DRIFT:
        return facts.sample_aspect
    return (facts.sample_aspect or Fraction(1)) / drift


def check_aspect(sample_aspect: Fraction, container: OutputFormat, codec: VideoCodec) -> None:
    """Refuse what would be shown in the wrong shape.

    FFmpeg's Matroska muxer reads the aspect from a field of the stream that PyAV cannot set; H.264 and
    HEVC carry it in the bitstream, where it is found again.
    """
    if sample_aspect in (0, 1) or container.muxer not in ("matroska", "webm") or codec.codec in ("h264", "hevc"):
        return
    raise BadInput(
        f"samples of {sample_aspect} cannot be stored by {codec.encoder} in {container.muxer}",
        hint="write .mp4 or .mov, or use --codec libx264 or libx265",
    )


def scaled_matrix(facts: VideoFacts, width: int, height: int) -> Matrix9 | None:
    """The display matrix, its translation (elements 6 and 7, in pixels) grown with the frame."""
    matrix = facts.display_matrix
    if matrix is None:
        return None
    # the translation moves the turned picture back into view: x by what was its height, or width
    turned = matrix[0] == 0
    across, down = Fraction(width, facts.width), Fraction(height, facts.height)
    x = round(matrix[6] * (down if turned else across))
    y = round(matrix[7] * (across if turned else down))
    return (*matrix[:6], x, y, matrix[8])
