"""Times typed by people and stored by containers."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_core.errors import BadInput
from sr_video.timing import (
    IncreasingTicks,
    is_same_instant,
    seconds_from_text,
    text_from_seconds,
    ticks_from_seconds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1:30", 90), ("1:02:03.5", Fraction("3723.5")), (".04", Fraction(1, 25)), ("75:00", 4500)],
)
def test_a_time_is_parsed_exactly(text: str, seconds: Fraction) -> None:
    assert seconds_from_text(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "1:60", "1:75:00", "-3", "1::2", "1e3", "١"])
def test_a_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        seconds_from_text(text)


@given(st.integers(0, 10**6))
def test_a_clock_text_reads_back_as_the_same_second(seconds: int) -> None:
    assert seconds_from_text(text_from_seconds(seconds)) == seconds


@given(st.fractions(0, 10**5, max_denominator=90000), st.sampled_from([1000, 90000, 12288, 30000]))
def test_a_rounded_instant_is_the_same_and_a_tick_away_is_not(seconds: Fraction, rate: int) -> None:
    base = Fraction(1, rate)
    stored = ticks_from_seconds(seconds, base) * base
    assert is_same_instant(seconds, stored, tick_seconds=base)
    assert not is_same_instant(stored, stored + base, tick_seconds=base)


@given(st.lists(st.integers(-100, 100), max_size=50))
def test_ticks_become_strictly_increasing_and_good_ones_stay(ticks: list[int]) -> None:
    fixer = IncreasingTicks()
    fixed = [fixer.next(value) for value in ticks]
    assert all(a < b for a, b in pairwise(fixed))
    if all(a < b for a, b in pairwise(ticks)):
        assert fixed == ticks
        assert fixer.changed == 0
