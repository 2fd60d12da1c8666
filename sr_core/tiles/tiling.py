"""How a frame is cut into tiles so that tiled equals whole.

Along one axis, in luma pixels of the input:

    |<- halo ->|<------- own ------->|<- halo ->|
    |<---------------- read ------------------->|

Every tile reads the same number of pixels (one static shape to compile), shifted inwards at the
frame's edges instead of padded, so a network's own border rule acts only where the frame really
ends. The owned parts cover the frame exactly once. See Note [halo] in receptive_field.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sr_core.errors import BadInput
from sr_core.wording import option


@dataclass(frozen=True)
class Span:
    """One tile along one axis: reads [read, read + length), owns [start, stop)."""

    read: int
    start: int
    stop: int


@dataclass(frozen=True)
class Tile:
    """One tile of a frame."""

    across: Span
    down: Span


@dataclass(frozen=True, kw_only=True)
class TilePlan:
    """All tiles of a `width` x `height` frame, each reading `read_width` x `read_height`."""

    width: int
    height: int
    read_width: int
    read_height: int
    across: tuple[Span, ...]
    down: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.across) * len(self.down)

    def __iter__(self) -> Iterator[Tile]:
        return (Tile(column, row) for row in self.down for column in self.across)

    @property
    def pixels_read(self) -> int:
        """Input pixels the engine computes per frame; width * height is the least possible."""
        return len(self) * self.read_width * self.read_height


@dataclass(frozen=True)
class BegunTile:
    """What a tile of a job that was begun reads, (width, height); one that was asked for is not made smaller.

    Attributes:
        first: with which the job began; its identity has it.
        now: what was left of it where a device's memory ran out. It may become less.
    """

    first: tuple[int, int]
    now: tuple[int, int]


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `value`."""
    return -(-value // multiple) * multiple


def plan_axis(length: int, *, read: int, halo: int, align: int) -> tuple[Span, ...]:
    """Cut `length` pixels into spans that each read `read` pixels.

    Args:
        length: pixels along the axis, a multiple of `align`.
        read: pixels a tile reads, a multiple of `align`; `length` itself if that is shorter.
        halo: context on each side, a multiple of `align`; at least the network's reach.
        align: every boundary is a multiple of this (chroma subsampling, the model's multiple).

    Raises:
        BadInput: a tile that would own nothing (read <= 2 * halo) on a longer axis.
    """
    if read >= length:
        return (Span(0, 0, length),)
    step = read - 2 * halo
    if step < align:
        raise BadInput(
            f"a tile of {read} pixels owns nothing beside its halo of {halo} on each side",
            hint=f"use {option('tile', round_up(4 * halo, 8))} or larger",
        )
    spans: list[Span] = []
    start = 0
    while start < length:
        first = 0 if start == 0 else start - halo
        if first + read >= length:
            spans.append(Span(length - read, start, length))
            break
        stop = first + read - halo
        spans.append(Span(first, start, stop))
        start = stop
    return tuple(spans)


def plan_tiles(width: int, height: int, *, read: tuple[int, int], halo: int, align: int) -> TilePlan:
    """Cut a frame into tiles that own every pixel exactly once.

    `width` and `height` must be multiples of `align` (the caller pads); `halo` is rounded up to it.
    `read` is the wanted (width, height) of a tile's read region; a frame shorter than that along
    an axis is read whole along it.
    """
    halo = round_up(halo, align)
    read_width = min(round_up(read[0], align), width)
    read_height = min(round_up(read[1], align), height)
    return TilePlan(
        width=width,
        height=height,
        read_width=read_width,
        read_height=read_height,
        across=plan_axis(width, read=read_width, halo=halo, align=align),
        down=plan_axis(height, read=read_height, halo=halo, align=align),
    )


def balanced_read(length: int, *, read: int, halo: int, align: int) -> int:
    """The smallest read size that needs no more tiles than `read` does along this axis."""
    halo = round_up(halo, align)
    if read >= length:
        return length
    step = max(read - 2 * halo, align)
    count = max(math.ceil((length - 2 * halo) / step), 1)
    return min(round_up(math.ceil((length - 2 * halo) / count) + 2 * halo, align), length)


def ramp(length: int, *, overlap_before: int, overlap_after: int, margin: int = 0) -> list[float]:
    """Blend weights of one tile along one axis, for networks without a finite reach.

    Rises linearly over `overlap_before` samples and falls over `overlap_after`, so that the
    weights of two neighbours sum to 1 at every sample of their overlap. The outermost `margin`
    samples of an overlap weigh nothing: there the network saw the border of its tile.
    """
    rise_before = max(overlap_before - 2 * margin, 1)
    rise_after = max(overlap_after - 2 * margin, 1)
    weights = [1.0] * length
    for index in range(overlap_before):
        weights[index] *= min(max((index + 0.5 - margin) / rise_before, 0.0), 1.0)
    for index in range(overlap_after):
        weights[length - 1 - index] *= min(max((index + 0.5 - margin) / rise_after, 0.0), 1.0)
    return weights
