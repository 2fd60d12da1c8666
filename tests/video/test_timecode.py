"""Timecodes count frames, some of them without numbers; a cut moves them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import pytest

from sr_video.decide.timecode import timecode_after
from tests.video.conftest import Clip, upscaled


def counted(rate: int, *, left_out: int, begin_hour: int) -> Iterator[str]:
    """Every timecode in turn, as a person would write them down."""
    mark = ";" if left_out else ":"
    for minute in range(begin_hour * 60, 24 * 60):
        for second in range(60):
            for frame in range(rate):
                if second or frame >= left_out or minute % 10 == 0:
                    yield f"{minute // 60:02}:{minute % 60:02}:{second:02}{mark}{frame:02}"


@pytest.mark.parametrize(
    ("rate", "whole", "left_out"),
    [
        (Fraction(25), 25, 0),
        (Fraction(24000, 1001), 24, 0),
        (Fraction(30000, 1001), 30, 0),
        (Fraction(30000, 1001), 30, 2),
        (Fraction(60000, 1001), 60, 4),
    ],
)
@pytest.mark.parametrize("hour", [0, 22])
def test_a_timecode_so_many_frames_later_is_the_one_counted(
    rate: Fraction, whole: int, left_out: int, hour: int
) -> None:
    names = list(islice(counted(whole, left_out=left_out, begin_hour=hour), 23 * whole * 60))
    for begin in (0, whole * 60 - 1):
        found = [timecode_after(names[begin], step - begin, rate) for step in range(begin, len(names), 97)]
        assert found == names[begin::97]


def test_midnight_begins_the_count_anew() -> None:
    assert timecode_after("23:59:59:24", 1, Fraction(25)) == "00:00:00:00"
    assert timecode_after("23:59:59;29", 2, Fraction(30000, 1001)) == "00:00:00;01"


@pytest.mark.parametrize("text", ["", "1:00", "01:00:00:25", "aa:bb:cc:dd"])
def test_what_is_no_timecode_of_the_rate_has_no_next_one(text: str) -> None:
    assert timecode_after(text, 1, Fraction(25)) == ""


@pytest.mark.parametrize("ending", ["mov", "mp4", "mkv"])
def test_a_cut_moves_the_timecode_with_it(clip: Clip, tmp_path: Path, ending: str) -> None:
    def stamped(out: object, video: av.VideoStream) -> None:
        video.metadata["timecode"] = "01:00:00:00"

    source = clip("in.mov", codec="libx264", frames=40, setup=stamped)
    target = tmp_path / f"out.{ending}"
    heard = upscaled(source, target, start=Fraction(6, 5))
    assert any("01:00:00:00 becomes 01:00:01:05" in note for note in heard.notes)
    assert _timecode(target) == "01:00:01:05"
    upscaled(source, target, overwrite=True)
    assert _timecode(target) == "01:00:00:00"


def _timecode(path: Path) -> str:
    with av.open(str(path)) as container:
        tags = container.streams.video[0].metadata
        return tags.get("timecode", tags.get("TIMECODE", ""))
