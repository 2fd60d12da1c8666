"""Where decoding begins so that a frame in the middle of a file comes out as it would have from the beginning."""

from __future__ import annotations

from collections.abc import Callable

import av


def land(
    begin_at: Callable[[int], av.VideoFrame | None],
    targets: tuple[int, ...],
    first_ticks: int,
    *,
    is_interlaced: bool,
    beside: bool,
) -> av.VideoFrame | None:
    """The first frame decoded from one of `targets`, from which on all that is needed comes; None: from the beginning.

    A container may land behind the target (MPEG-TS and PS do), and after a keyframe that is
    none (intra refresh) the decoder holds frames back: an earlier target then helps.

    Args:
        begin_at: seeks to the keyframe at or before its argument and gives the first frame; None where it is damaged.
        first_ticks: of the first frame that is wanted.
        is_interlaced: the deinterlacer wants to have seen the frame before each; frames that say so count too.
        beside: the frame before the first is wanted too.
    """
    first = _land(begin_at, targets, first_ticks, is_interlaced=is_interlaced, before=beside)
    if first is not None and first.pts is not None and beside and (is_interlaced or first.interlaced_frame):
        return _land(begin_at, (first.pts - 1,), first.pts, is_interlaced=is_interlaced, before=True)
    return first


def _land(
    begin_at: Callable[[int], av.VideoFrame | None],
    targets: tuple[int, ...],
    first_ticks: int,
    *,
    is_interlaced: bool,
    before: bool,
) -> av.VideoFrame | None:
    for target in targets:
        try:
            first = begin_at(target)
        except av.FFmpegError:
            return None  # raw streams cannot
        if first is None or first.pts is None:
            continue
        needs_before = before or is_interlaced or first.interlaced_frame
        if first.pts < first_ticks or (first.pts == first_ticks and not needs_before):
            return first
    return None
