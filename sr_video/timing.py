"""Time as rationals: what people type, what containers store, when two instants are the same.

A *tick* is one step of a container's clock; `ticks * time_base` is seconds. Nothing here or
elsewhere computes a time from an average frame rate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from sr_core.errors import BadInput

_CLOCK = re.compile(r"^(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)$", re.ASCII)


def seconds_from_text(text: str) -> Fraction:
    """Parse '90', '1:30', '1:02:03.5' exactly.

    Raises:
        BadInput: anything else, also minutes or seconds over 59 behind a colon.
    """
    match = _CLOCK.match(text.strip())
    if match is None:
        raise BadInput(f"{text!r} is not a time", hint="write seconds or a clock: 90, 1:30, 1:02:03.5")
    hours, minutes, seconds = match.groups()
    total = Fraction(seconds)
    if minutes is not None:
        if total >= 60 or (hours is not None and int(minutes) >= 60):
            raise BadInput(f"{text!r} has more than 59 minutes or seconds", hint="for example 1:02:03.5")
        total += 60 * int(minutes)
    if hours is not None:
        total += 3600 * int(hours)
    return total


def text_from_seconds(seconds: float | Fraction) -> str:
    """A clock for people: '0:07', '12:34', '1:02:03'."""
    whole = max(0, round(float(seconds)))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ticks_from_seconds(seconds: Fraction, time_base: Fraction) -> int:
    """The tick nearest to `seconds`; halves round away from zero, as FFmpeg's av_rescale_q does."""
    exact = seconds / time_base
    magnitude = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return magnitude if exact >= 0 else -magnitude


def first_tick_at(seconds: Fraction, time_base: Fraction) -> int:
    """The first tick at or after `seconds`."""
    return -((-seconds / time_base).__floor__())


def is_same_instant(first_seconds: Fraction, second_seconds: Fraction, *, tick_seconds: Fraction) -> bool:
    """True if one instant, stored on a clock of `tick_seconds`, may read as the other.

    A clock that is coarser than the source's rounds by up to half a tick; nothing more is forgiven.
    """
    return abs(first_seconds - second_seconds) * 2 <= tick_seconds


class IncreasingTicks:
    """Makes a stream of timestamps strictly increasing and counts what it had to change.

    Encoders and containers refuse frames that go back in time or stand still; broken captures
    contain them. Such a frame is kept, one tick after the one before.
    """

    def __init__(self) -> None:
        self.changed = 0
        self._last: int | None = None

    def next(self, ticks: int) -> int:
        """Return `ticks`, or the tick after the previous one where that is later."""
        if self._last is not None and ticks <= self._last:
            self.changed += 1
            ticks = self._last + 1
        self._last = ticks
        return ticks


def decoding_ticks(ticks: Sequence[int], reorder: int) -> list[int]:
    """The time at which each packet, in decoding order, must be decoded: the rule encoders use.

        sorted times   t0 t1 t2 t3 t4 …       D: how far pictures are reordered
        decoding times dts[i] = t[i - D];     the first D are as far before t0 as t[D] is behind it

    A packet at place i shows a frame of rank at least i - D, so dts never passes pts.
    """
    reorder = min(reorder, len(ticks) - 1)
    lead = ticks[reorder] - ticks[0]
    return [tick - lead for tick in ticks[:reorder]] + list(ticks[: len(ticks) - reorder])


def reordering(ticks: Sequence[int]) -> int:
    """How many frames, at most, are decoded before one that is shown earlier; `ticks` in decoding order."""
    rank = {tick: index for index, tick in enumerate(sorted(ticks))}
    return max((index - rank[tick] for index, tick in enumerate(ticks)), default=0)
