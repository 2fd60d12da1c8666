"""What somebody waits for is done before what may take its time, which makes way and is done again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sr_core.errors import BadInput, Cancelled
from sr_ui.lane import Lane


def test_a_frame_makes_an_estimate_begin_again() -> None:
    lane, begun, done = Lane("test"), threading.Event(), []
    tries = 0

    def estimate(is_wanted: Callable[[], bool]) -> str:
        nonlocal tries
        tries += 1
        begun.set()
        while tries == 1 and is_wanted():
            threading.Event().wait(0.001)
        if not is_wanted():
            raise Cancelled("it makes way")
        done.append("estimate")
        return "estimated"

    with ThreadPoolExecutor() as pool:
        estimated = pool.submit(lane.later, estimate)
        begun.wait()
        assert lane.soon(lambda: done.append("frame") or "made") == "made"
        assert estimated.result() == "estimated"
    assert (done, tries) == (["frame", "estimate"], 2)
    lane.close()


def test_an_error_is_raised_where_somebody_waits_and_the_next_task_is_done() -> None:
    lane = Lane("test")

    def fail() -> None:
        raise BadInput("no such thing")

    with pytest.raises(BadInput, match="no such thing"):
        lane.soon(fail)
    with pytest.raises(Cancelled, match="by itself"):
        lane.later(lambda is_wanted: _raise(Cancelled("by itself")))  # wanted, and so not tried again
    assert lane.soon(lambda: 3) == 3
    lane.close()


def test_those_who_wait_are_let_go_and_the_last_task_is_the_lane_s_own() -> None:
    lane, begun, may_end = Lane("test"), threading.Event(), threading.Event()
    last: list[str] = []

    def work() -> None:
        begun.set()
        may_end.wait()

    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(lane.soon, work), pool.submit(lane.later, lambda is_wanted: None)]
        begun.wait()
        while len(lane._waited_for) < len(waiting):
            threading.Event().wait(0.001)
        lane.let_go()
        for asked in waiting:
            with pytest.raises(Cancelled, match="the server ends"):
                asked.result()
        may_end.set()
    lane.close(lambda: last.append(threading.current_thread().name))
    assert last == ["test"]


def test_who_asks_after_the_end_is_let_go_at_once() -> None:
    lane = Lane("test")
    lane.close()
    with pytest.raises(Cancelled, match="the server ends"):
        lane.soon(lambda: 3)
    with pytest.raises(Cancelled, match="the server ends"):
        lane.later(lambda is_wanted: 3)


def _raise(error: Exception) -> None:
    raise error
