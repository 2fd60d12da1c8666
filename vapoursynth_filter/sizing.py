"""`width`, `height` and odd factors: the smallest scale that reaches them, then down to them by Lanczos."""

from __future__ import annotations

from fractions import Fraction

import vapoursynth as vs

from sr_core.errors import BadInput
from sr_core.model_spec import LARGEST_SCALE
from srvid.model_choice import engine_scale
from vapoursynth_filter.formats import ALPHA_PROP

Size = tuple[int, int]


def target_size(clip: vs.VideoNode, width: int | None, height: int | None) -> Size | None:
    """The size that is asked for, None where only a scale is; the side that is left out follows.

    A side that follows is rounded to what the clip's chroma takes.
    """
    if width is None and height is None:
        return None
    across, down = 1 << clip.format.subsampling_w, 1 << clip.format.subsampling_h
    if width is None:
        assert height is not None
        width = _rounded(Fraction(clip.width * height, clip.height), across)
    if height is None:
        height = _rounded(Fraction(clip.height * width, clip.width), down)
    if width % across or height % down:
        raise BadInput(
            f"{width}x{height} does not fit {clip.format.name}, whose chroma is coarser",
            hint=f"multiples of {across} across and {down} down",
        )
    return width, height


def factor_from(scale: float) -> Fraction:
    """What a script gave as `scale`, exactly as it reads: 1.1 is 11/10.

    Raises:
        BadInput: it is no number from 1 to 16.
    """
    is_number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if not is_number or not 1 <= scale <= LARGEST_SCALE:
        raise BadInput(f"scale must be a number from 1 to {LARGEST_SCALE}, got {scale!r}")
    return Fraction(str(scale))


def size_by(clip: vs.VideoNode, factor: Fraction) -> Size:
    """The clip's size times `factor`, rounded to what its chroma takes."""
    across, down = 1 << clip.format.subsampling_w, 1 << clip.format.subsampling_h
    return _rounded(clip.width * factor, across), _rounded(clip.height * factor, down)


def scale_for(clip: vs.VideoNode, size: Size, model: str) -> int:
    """The smallest scale of `model` that reaches `size`.

    Raises:
        BadInput: it has none.
    """
    needed = max(Fraction(size[0], clip.width), Fraction(size[1], clip.height))
    return engine_scale(model, needed)


def resize_to(clip: vs.VideoNode, size: Size, shift: tuple[float, float] = (0.0, 0.0)) -> vs.VideoNode:
    """`clip` at `size`, its frame properties as they were, `_Alpha` resized with its frame.

    Args:
        shift: (top, left) in pixels of `clip`: where the result begins.
    """
    if (clip.width, clip.height) == size and not any(shift):
        return clip
    core = vs.core.core
    where = {"src_top": shift[0], "src_left": shift[1]}
    resized = core.std.CopyFrameProps(core.resize.Lanczos(clip, *size, **where), clip)
    if clip.num_frames < ENDLESS and ALPHA_PROP in clip.get_frame(0).props:
        alpha = core.resize.Lanczos(core.std.PropToClip(clip), *size, **where)
        resized = core.std.ClipToProp(resized, alpha)
    return resized


# A clip of a player: it lends frames while it plays, none while the script runs (mpv gives 2^31 / 16).
ENDLESS = 1 << 26


def _rounded(exact: Fraction, multiple: int) -> int:
    return max(multiple, multiple * round(exact / multiple))
