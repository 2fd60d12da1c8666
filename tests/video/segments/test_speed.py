"""Segments of a slow engine are shorter: about two minutes of work, decided once for a job."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sr_video.segments.maker as maker
import sr_video.segments.speed as speed
from sr_core.errors import Cancelled
from sr_video.decide.plan import Request
from sr_video.segments import forecast
from sr_video.segments.cut import cut_segments
from sr_video.segments.job import WorkFolder
from sr_video.segments.run import upscale
from sr_video.segments.speed import adapt_seconds, clearly_fast
from sr_video.segments.terms import Segmenting
from srvid.recipe import EngineRecipe
from tests.video.segments.conftest import Quiet


@given(per_frame=st.floats(0.001, 100), rate=st.floats(1, 120))
def test_a_segment_is_about_two_minutes_of_work_or_a_second_of_video(per_frame: float, rate: float) -> None:
    seconds = adapt_seconds(Fraction(20), rate, per_frame)
    work = float(seconds) * rate * per_frame
    assert seconds <= 20
    assert work <= 180 or seconds / 2 < 1
    assert seconds == 20 or work > 90


def test_what_is_clearly_fast_is_never_shortened() -> None:
    assert adapt_seconds(Fraction(20), 25.0, clearly_fast(Fraction(20), 25.0)) == 20
    assert adapt_seconds(Fraction(20), 25.0, None) == 20


def test_short_segments_still_end_with_their_group_of_pictures() -> None:
    ticks = list(range(0, 60_000, 40))
    keys = list(range(0, 60_000, 10_000))
    found = cut_segments(ticks, keys, segment_ticks=2_500, patience_ticks=20_000)
    assert [segment.first_ticks for segment in found[1:]] == keys[1:]
    in_groups = cut_segments(ticks, keys, segment_ticks=2_500)
    assert len(in_groups) > len(found)


def run(source: Path, target: Path, listener: Quiet, *, seconds: int = 4) -> None:
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    upscale(request, EngineRecipe(model="nearest"), listener, Segmenting(seconds=Fraction(seconds), adapts=True))


def test_a_job_keeps_the_length_that_was_measured_when_it_began(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.mkv"
    folder = WorkFolder.of(target)
    monkeypatch.setattr(maker, "seconds_per_frame", lambda item, engine, report: 4.0)
    listener = Quiet()
    monkeypatch.setattr(listener, "progressed", lambda progress: folder.ask_pause())
    with pytest.raises(Cancelled):
        run(clip("plain.mp4"), target, listener)
    begun = folder.read_manifest()
    assert begun is not None
    assert [segment.frames for segment in begun.segments] == [25] * 6
    assert any("segments of 1 s of video: each takes about 1:4" in note for note in listener.notes)
    monkeypatch.delattr(maker, "seconds_per_frame")
    run(clip("plain.mp4"), target, Quiet())
    assert target.exists()
    assert not folder.path.exists()


@pytest.mark.parametrize("quick_pixels", [0, 10**9])
def test_a_short_video_is_cut_where_it_is_hours_of_work(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_pixels: int
) -> None:
    listener = Quiet()
    monkeypatch.setattr(maker, "seconds_per_frame", lambda item, engine, report: 100.0)
    monkeypatch.setattr(speed, "_QUICK_PIXELS", quick_pixels)
    run(clip("plain.mp4"), tmp_path / "out.mkv", listener, seconds=20)
    assert any("segments of" in note for note in listener.notes) is (quick_pixels == 0)


def test_a_fast_engine_is_measured_and_keeps_the_length(clip: Callable[[str], Path], tmp_path: Path) -> None:
    listener = Quiet()
    run(clip("plain.mp4"), tmp_path / "out.mkv", listener)
    assert not any("segments of" in note for note in listener.notes)


def test_a_plan_counts_the_segments_that_a_slow_engine_gets(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten_seconds_a_frame = ({"model": "slow"}, (10, 100.0, 1000))
    monkeypatch.setattr(forecast, "_measure", lambda *given: ten_seconds_a_frame)
    request = Request(source=str(clip("plain.mp4")), target=str(tmp_path / "out.mkv"), scale=2, codec="ffv1")
    recipe = EngineRecipe(model="nearest")
    found = [
        forecast.estimate(request, recipe, segment_seconds=Fraction(3), adapts=adapts).segments
        for adapts in (False, True)
    ]
    assert found == [2, 4]
