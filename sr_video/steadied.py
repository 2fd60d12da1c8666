"""Frames on their way from the engine to the encoder, each averaged with its neighbours where that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sr_core.frame import PixelFormat, Planes
from sr_core.steady.window import steadied as steadied_planes
from sr_video.read.source_frame import SourceFrame, Unit


def steadied(
    made: Iterable[tuple[Unit, Planes]], fmt: PixelFormat, scale: int | None
) -> Iterator[tuple[SourceFrame, Planes]]:
    """The wanted frames with their planes, in order; one frame late where `scale` is not None.

    Args:
        made: units that have a frame, and the planes that the engine made of it.
        scale: of the engine, to steady by it; None hands everything on as it comes.
    """
    finished = made if scale is None else steadied_planes(_with_given(made), fmt, scale)
    for unit, planes in finished:
        if unit.frame is not None and not unit.is_beside:
            yield unit.frame, planes


def _with_given(made: Iterable[tuple[Unit, Planes]]) -> Iterator[tuple[Unit, Planes, Planes]]:
    for unit, planes in made:
        assert unit.frame is not None
        yield unit, unit.frame.planes_in_memory(), planes
