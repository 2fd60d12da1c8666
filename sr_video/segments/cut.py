"""The list of segments: where a video is cut, and where decoding must begin to reach each part.

    ticks   ─┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──►
    keys     K           K        K        K
    segment  |<-- 0 ---->|<------ 1 ------>|      at least so long, then up to the next keyframe

A cut inside a group of pictures is exact too, but everything from its keyframe on is decoded
again. Recordings with one keyframe an hour exist; there, segments grow with the distance, so that
no more than five times a segment is ever decoded for it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

KEYS_TO_TRY = 3  # a seek may land one keyframe late, and one after a keyframe that was none
_DECODED_AGAIN = 4  # ticks before a cut inside a group, for each tick behind it


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Frames shown from `first_ticks` on and before `end_ticks`; None is the file's own end.

    Attributes:
        seek_ticks: keyframes at which decoding may begin, best first.
        frames: packets that lie in it; what the decoder makes of them may differ.
    """

    number: int
    first_ticks: int | None
    end_ticks: int | None
    seek_ticks: tuple[int, ...]
    frames: int


def cut_segments(
    ticks: Sequence[int],
    keys: Sequence[int],
    *,
    segment_ticks: int,
    patience_ticks: int | None = None,
    begin: int | None = None,
    end: int | None = None,
) -> tuple[Segment, ...]:
    """Cut frames between `begin` and `end` into segments of at least `segment_ticks`.

    Every frame lies in exactly one. A last piece shorter than half a segment joins the one before.

    Args:
        ticks, keys: as in `Index`: ascending.
        patience_ticks: how much longer a segment may be so that it ends with its group; as long by default.
    """
    patience = segment_ticks if patience_ticks is None else patience_ticks
    low = 0 if begin is None else bisect_left(ticks, begin)
    high = len(ticks) if end is None else bisect_left(ticks, end)
    if low >= high:
        return ()
    starts = [begin]
    at = ticks[low]
    while (cut := _next_cut(ticks, keys, at, segment_ticks, patience)) is not None:
        if ticks[high - 1] - cut < segment_ticks // 2 or cut >= ticks[high - 1]:
            break
        starts.append(cut)
        at = cut
    ends = [*starts[1:], end]
    return tuple(
        Segment(
            number=number,
            first_ticks=first,
            end_ticks=last,
            seek_ticks=() if first is None else _seeks(keys, first),
            frames=(high if last is None else bisect_left(ticks, last))
            - (low if first is None else bisect_left(ticks, first)),
        )
        for number, (first, last) in enumerate(zip(starts, ends, strict=True))
    )


def _next_cut(ticks: Sequence[int], keys: Sequence[int], at: int, segment_ticks: int, patience: int) -> int | None:
    """Where the segment that begins at `at` ends; None: with the video."""
    before = bisect_right(keys, at)
    distance = at - keys[before - 1] if before else 0
    earliest = at + max(segment_ticks, distance // _DECODED_AGAIN)
    key = bisect_left(keys, earliest)
    if key < len(keys) and keys[key] <= earliest + patience:
        return keys[key]
    if patience > segment_ticks and ticks[-1] <= earliest + patience:
        return None  # its last group is whole, too
    frame = bisect_left(ticks, earliest)
    return ticks[frame] if frame < len(ticks) else None


def _seeks(keys: Sequence[int], first: int) -> tuple[int, ...]:
    until = bisect_right(keys, first)
    return tuple(reversed(keys[max(0, until - KEYS_TO_TRY) : until]))
