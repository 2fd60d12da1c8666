"""The clock a camera or an editor wrote on the first frame (SMPTE ST 12): 01:00:00:00.

Its last number counts frames. At 29.97 frames a second, 30 are counted, so *drop-frame* timecodes
(01:00:00;00) leave out the numbers 0 and 1 of every minute but each tenth to keep up with the time of
day; no frame is dropped by it.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from sr_core.wording import option
from sr_video.read.source import Source
from sr_video.timing import ticks_from_seconds

_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)", re.ASCII)
_DAY_MINUTES = 24 * 60


def move_timecodes(source: Source, start: Fraction | None, rate: Fraction | None) -> tuple[dict[int, str], list[str]]:
    """What a cut at `start` makes of the timecodes: (by stream, '' where it is lost; notes for people).

    Args:
        start: seconds on the file's clock; None where the beginning is kept, and nothing moves.
    """
    if start is None:
        return {}, []
    timecodes: dict[int, str] = {}
    notes: list[str] = []
    base = source.facts.time_base
    begin = source.start_seconds if source.stream.start_time is None else source.stream.start_time * base
    # a frame may lie half a tick before its exact time
    passed = ticks_from_seconds(start, base) * base - base / 2 - begin
    for stream in source.container.streams:
        key = next((key for key in stream.metadata if key.lower() == "timecode"), "")
        if not key:
            continue
        old = stream.metadata[key]
        new = timecode_after(old, max(0, math.ceil(passed * rate)), rate) if rate else ""
        timecodes[stream.index] = new
        if stream.index == source.facts.index:
            lost = f"timecode {old} is lost: nobody knows what it is at {option('start')}"
            notes.append(f"timecode {old} becomes {new}: that of {option('start')}" if new else lost)
    return timecodes, notes


def timecode_after(timecode: str, frames: int, rate: Fraction) -> str:
    """`timecode` so many frames later at `rate` frames a second; '' where it is not one of that rate."""
    match = _TIMECODE.fullmatch(timecode.strip())
    counted = round(rate)
    if match is None or int(match[5]) >= counted:
        return ""
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    left_out = round(counted / 15) if match[4] != ":" else 0  # 2 at 30, 4 at 60
    minute = hours * 60 + minutes
    number = (minute * 60 + seconds) * counted + frame - _numbers_left_out(minute, left_out)
    day = _DAY_MINUTES * 60 * counted - _numbers_left_out(_DAY_MINUTES, left_out)
    number = (number + frames) % day
    number += _numbers_left_out(_minute_of(number, counted, left_out), left_out)
    seconds, frame = divmod(number, counted)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{match[4]}{frame:02}"


def _numbers_left_out(minute: int, each: int) -> int:
    """How many numbers are left out until `minute` of the day has begun, its own included."""
    return each * (minute - minute // 10)


def _minute_of(number: int, counted: int, left_out: int) -> int:
    """In which minute of the day a frame lies, numbered without gaps."""
    tens, rest = divmod(number, 600 * counted - 9 * left_out)
    if rest < 60 * counted:  # the first of ten minutes is whole
        return 10 * tens
    return 10 * tens + (rest - left_out) // (60 * counted - left_out)
