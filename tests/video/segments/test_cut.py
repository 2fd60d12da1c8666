"""Where a video is cut: every frame in one segment, whole groups of pictures where they are short."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sr_video.segments.cut import Segment, cut_segments
from sr_video.timing import decoding_ticks


@st.composite
def videos(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """(ticks, keys): rising times with gaps, some of them keyframes, the first one always."""
    gaps = draw(st.lists(st.integers(1, 40), min_size=1, max_size=200))
    ticks = [sum(gaps[:index]) - 50 for index in range(len(gaps))]
    flags = draw(st.lists(st.booleans(), min_size=len(ticks), max_size=len(ticks)))
    return ticks, [tick for tick, flag in zip(ticks, flags, strict=True) if flag or tick == ticks[0]]


def holds(segment: Segment, tick: int) -> bool:
    after = segment.first_ticks is None or tick >= segment.first_ticks
    return after and (segment.end_ticks is None or tick < segment.end_ticks)


@given(video=videos(), length=st.integers(1, 500))
def test_every_frame_lies_in_exactly_one_segment(video: tuple[list[int], list[int]], length: int) -> None:
    ticks, keys = video
    segments = cut_segments(ticks, keys, segment_ticks=length)
    counts = [sum(holds(segment, tick) for tick in ticks) for segment in segments]
    assert sum(counts) == len(ticks)
    assert counts == [segment.frames for segment in segments]
    assert min(counts) >= 1


@given(video=videos(), length=st.integers(1, 500), begin=st.integers(-60, 300), span=st.integers(1, 3000))
def test_a_cut_out_part_is_covered_exactly(
    video: tuple[list[int], list[int]], length: int, begin: int, span: int
) -> None:
    ticks, keys = video
    wanted = [tick for tick in ticks if begin <= tick < begin + span]
    segments = cut_segments(ticks, keys, segment_ticks=length, begin=begin, end=begin + span)
    covered = [tick for segment in segments for tick in ticks if holds(segment, tick)]
    assert covered == wanted


@given(video=videos(), length=st.integers(1, 500))
def test_decoding_begins_at_a_keyframe_before_the_segment(video: tuple[list[int], list[int]], length: int) -> None:
    ticks, keys = video
    for segment in cut_segments(ticks, keys, segment_ticks=length)[1:]:
        assert segment.first_ticks is not None
        assert segment.seek_ticks[0] == max(key for key in keys if key <= segment.first_ticks)
        assert list(segment.seek_ticks) == sorted(segment.seek_ticks, reverse=True)
        assert set(segment.seek_ticks) <= set(keys)


def test_cuts_fall_on_keyframes_where_groups_are_short() -> None:
    segments = cut_segments(range(1000), range(0, 1000, 30), segment_ticks=100)
    assert [segment.first_ticks for segment in segments] == [None, 120, 240, 360, 480, 600, 720, 840]


def test_one_endless_group_is_cut_all_the_same_and_not_decoded_over_and_over() -> None:
    segments = cut_segments(range(100_000), [0], segment_ticks=100)
    assert len(segments) > 10
    decoded = sum((segment.first_ticks or 0) + segment.frames for segment in segments)
    assert decoded <= 5.5 * 100_000


@given(
    gaps=st.lists(st.integers(1, 50), min_size=1, max_size=60),
    reorder=st.integers(0, 8),
    data=st.data(),
)
def test_decoding_times_rise_and_never_pass_the_time_of_showing(
    gaps: list[int], reorder: int, data: st.DataObject
) -> None:
    ticks = [sum(gaps[:index]) for index in range(len(gaps))]
    # any order in which no frame is decoded more than `reorder` places after its turn
    order: list[int] = []
    waiting = list(range(len(ticks)))
    while waiting:
        place = len(order)
        late = [rank for rank in waiting if rank == place - reorder]
        rank = late[0] if late else data.draw(st.sampled_from(waiting[: reorder + 1]))
        waiting.remove(rank)
        order.append(rank)
    decoding = decoding_ticks(ticks, reorder)
    assert all(first < second for first, second in itertools.pairwise(decoding))
    assert all(decoding[place] <= ticks[rank] for place, rank in enumerate(order))
