"""Who notices that a client is gone, and what that stops: without a worker."""

from __future__ import annotations

import socket
import threading

import pytest

from sr_plugins.hangup import Cancellation, HangUpWatch


@pytest.mark.parametrize("last_words", [b"", b"x"], ids=["closed", "said something"])
def test_the_watch_calls_once_the_other_side_closes_or_speaks_out_of_turn(last_words: bytes) -> None:
    ours, theirs = socket.socketpair()
    called = threading.Event()
    with ours, HangUpWatch(ours, called.set):
        assert not called.wait(0.05)
        if last_words:
            theirs.sendall(last_words)
        else:
            theirs.close()
        assert called.wait(10)
    theirs.close()


def test_a_watch_that_ends_first_calls_nobody() -> None:
    ours, theirs = socket.socketpair()
    called = threading.Event()
    with ours, theirs, HangUpWatch(ours, called.set):
        pass
    assert not called.wait(0.05)


def test_a_cancellation_stops_what_is_under_way_and_what_comes_late_but_not_what_is_over() -> None:
    cancellation, stopped = Cancellation(), []
    with cancellation.stopping(lambda: stopped.append("over")):
        pass
    with cancellation.stopping(lambda: stopped.append("under way")):
        assert cancellation.set("first")
        assert not cancellation.set("second")
    with cancellation.stopping(lambda: stopped.append("late")):
        pass
    assert stopped == ["under way", "late"]
    assert cancellation.why == "first"
