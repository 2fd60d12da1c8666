"""The chapters of the output: those of the input, cut and moved as everything is, as the container begins them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from sr_video.decide.containers import OutputFormat
from sr_video.native import exact
from sr_video.timing import text_from_seconds

if TYPE_CHECKING:
    from av.container.core import Chapter as NativeChapter  # a name of the stubs only


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """One chapter; `start` and `end` are ticks of `time_base`."""

    start: int
    end: int
    time_base: Fraction
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def start_seconds(self) -> Fraction:
        return self.start * self.time_base


def plan_chapters(
    given: list[NativeChapter], target: OutputFormat, *, start: Fraction | None, end: Fraction | None, shift: Fraction
) -> tuple[tuple[Chapter, ...], list[str]]:
    """What becomes of the chapters `given`, in seconds of the input's clock; notes for people.

    MP4 begins its first chapter at 0, wherever it was, and drops those without a title: another goes before
    the first, and what has no name is called by its time, so that all keep their times.
    """
    cut = (_move(_chapter_of(chapter), start, end, shift) for chapter in given)
    chapters = [chapter for chapter in cut if chapter is not None]
    if not target.is_mp4_like or not chapters:
        return tuple(chapters), []
    chapters.sort(key=lambda chapter: chapter.start_seconds)
    notes: list[str] = []
    first = chapters[0]
    if first.start > 0:
        chapters.insert(0, replace(first, start=0, end=first.start, tags={}))
        begins = f"the first chapter begins at {float(first.start_seconds):.3f} s"
        notes.append(f"{begins}: another is put before it, for {target.muxer} would begin it at 0")
    elif not all(chapter.tags.get("title") for chapter in chapters):
        notes.append(f"chapters without a title are called by their time: {target.muxer} stores none without")
    return tuple(_with_title(chapter) for chapter in chapters), notes


def _with_title(chapter: Chapter) -> Chapter:
    title = chapter.tags.get("title") or text_from_seconds(chapter.start_seconds)
    return replace(chapter, tags=chapter.tags | {"title": title})


def _chapter_of(native: NativeChapter) -> Chapter:
    return Chapter(
        start=native["start"], end=native["end"], time_base=exact(native["time_base"]), tags=dict(native["metadata"])
    )


def _move(chapter: Chapter, start: Fraction | None, end: Fraction | None, shift: Fraction) -> Chapter | None:
    """The part of `chapter` within the cut, if any."""
    if start is None and end is None and not shift:
        return chapter
    base = chapter.time_base
    begin, until = chapter.start * base, chapter.end * base
    begin = begin if start is None else max(begin, start)
    until = until if end is None else min(until, end)
    if begin >= until:
        return None
    return replace(chapter, start=round((begin - shift) / base), end=round((until - shift) / base))


def native_chapters(chapters: tuple[Chapter, ...]) -> list[NativeChapter]:
    """`chapters` as the muxer is told them."""
    return [
        {
            "id": number,
            "start": chapter.start,
            "end": chapter.end,
            "time_base": chapter.time_base,  # type: ignore[typeddict-item]  # a Fraction is taken too
            "metadata": dict(chapter.tags),
        }
        for number, chapter in enumerate(chapters, 1)
    ]
