"""Ways to compute the same thing: which is taken, and that the answer stays."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from sr_core.backends.choice import (
    CLEARLY,
    ENOUGH_SECONDS,
    Trial,
    choose,
    cpu_clock,
    decide,
    interleaved_seconds,
    read_verdicts,
)
from sr_core.errors import EngineError
from sr_core.storage import CACHE_VARIABLE

QUESTION = {"model": "clear-x4", "frames": "yuv420-8", "device": "a CPU"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path / "choices"


def test_the_preferred_way_is_left_only_for_one_that_is_clearly_faster() -> None:
    nearly = Trial(way="bf16", seconds=1.0 / CLEARLY + 0.01)
    clearly = Trial(way="bf16", seconds=1.0 / CLEARLY - 0.01)
    assert choose([Trial(way="f32", seconds=1.0), nearly]) == "f32"
    assert choose([Trial(way="f32", seconds=1.0), clearly]) == "bf16"


def test_of_two_near_equals_that_beat_the_first_the_preferred_one_is_taken() -> None:
    trials = [Trial(way="f32", seconds=3.0), Trial(way="bf16", seconds=1.05), Trial(way="int8", seconds=1.0)]
    assert choose(trials) == "bf16"


def test_a_refused_way_is_not_taken_however_fast() -> None:
    refused = Trial(way="bf16", seconds=0.1, refusal="only 40 dB")
    assert choose([Trial(way="f32", seconds=1.0), refused]) == "f32"
    with pytest.raises(EngineError, match="only 40 dB"):
        choose([refused])


def test_a_verdict_stays_though_a_second_trial_would_find_otherwise(cache: Path) -> None:
    first = decide(QUESTION, lambda: [Trial(way="f32", seconds=2.0), Trial(way="bf16", seconds=1.0)])
    second = decide(QUESTION, lambda: [Trial(way="f32", seconds=1.0), Trial(way="bf16", seconds=2.0)])
    assert (first.way, second.way) == ("bf16", "bf16")
    other = decide(QUESTION | {"device": "another"}, lambda: [Trial(way="f32", seconds=1.0)])
    assert other.way == "f32"
    assert [dict(verdict.question) for verdict in read_verdicts()] == [QUESTION, QUESTION | {"device": "another"}]


def test_of_two_processes_that_try_at_once_both_take_the_verdict_kept_first() -> None:
    def slow_trial() -> list[Trial]:
        decide(QUESTION, lambda: [Trial(way="f32", seconds=1.0)])  # the other process, meanwhile
        return [Trial(way="f32", seconds=2.0), Trial(way="bf16", seconds=1.0)]

    assert decide(QUESTION, slow_trial).way == "f32"


def test_a_file_that_is_no_verdict_is_replaced(cache: Path) -> None:
    decide(QUESTION, lambda: [Trial(way="f32", seconds=1.0)])
    (path,) = cache.iterdir()
    for content in ("[not a table", json.dumps({"way": "f32"}), "[]"):
        path.write_text(content)
        assert decide(QUESTION, lambda: [Trial(way="other", seconds=1.0)]).way == "other"


def test_an_explanation_names_what_was_chosen_and_what_was_not() -> None:
    trials = [
        Trial(way="f32", seconds=0.022),
        Trial(way="bf16+f32", seconds=0.005, note="59.4 dB"),
        Trial(way="int8+f32", refusal="no scales"),
    ]
    verdict = decide(QUESTION, lambda: trials)
    text = "bf16+f32 (5.00 ms, 59.4 dB) rather than f32 (22.00 ms); int8+f32 (refused: no scales)"
    assert str(verdict) == text


def test_the_first_round_warms_up_and_does_not_count() -> None:
    runs: list[str] = []
    seconds = interleaved_seconds({"a": lambda: runs.append("a"), "b": lambda: runs.append("b")}, rounds=3)
    assert runs == ["a", "b"] * 3
    assert all(0 <= value < float("inf") for value in seconds.values())


def test_a_slow_network_is_tried_once_and_a_cancel_ends_the_trial() -> None:
    runs: list[str] = []

    class Cancelled(Exception):
        pass

    def slow() -> None:
        runs.append("slow")
        until = time.perf_counter() + ENOUGH_SECONDS / 2
        while time.perf_counter() < until:
            pass

    seconds = interleaved_seconds({"a": slow, "b": slow})
    assert len(runs) == 2
    assert all(value >= ENOUGH_SECONDS / 2 for value in seconds.values())

    def stop(share: float) -> None:
        if share > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        interleaved_seconds({"a": slow, "b": slow}, tell=stop)
    assert len(runs) == 3


def test_what_is_counted_is_the_clock_that_was_asked_for() -> None:
    now = [0.0]

    def work(seconds: float) -> None:
        now[0] += seconds

    works = {"a": lambda: work(0.1), "b": lambda: work(0.02)}
    seconds = interleaved_seconds(works, clock=lambda: now[0])
    assert seconds == pytest.approx({"a": 0.1, "b": 0.02})


def test_windows_counts_a_processs_time_too_coarsely_to_compare_by(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform, clock in (("linux", time.process_time), ("darwin", time.process_time), ("win32", time.perf_counter)):
        monkeypatch.setattr(sys, "platform", platform)
        assert cpu_clock() is clock
