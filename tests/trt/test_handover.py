"""Starting before the engine is built: frames come at once, and no frame is made by two backends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from sr_core.backend import Backend, ComposedGraph, Deliver, Precision, Progress, Session, open_backend
from sr_core.backends.handover import HandoverBackend
from sr_core.color import ColorSpec
from sr_core.errors import EngineError
from sr_core.frame import Array, gray
from sr_core.upscaler import Upscaler
from tests.trt.networks import network

SIZE = (96, 96)  # several tiles of 48


class Marking:
    """A real backend whose pictures are inverted, and whose `open` waits until it is told to go on."""

    name, device, version = "better", "a card", "1"
    contexts, on_cpu = 3, False
    plane_device = None

    def __init__(self, inner: Backend, *, fails: bool = False) -> None:
        self.inner, self.fails = inner, fails
        self.go = threading.Event()
        self.reported = threading.Event()
        self.open_sessions = 0

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Session:
        while not self.go.wait(0.01):
            if progress is not None:
                progress("building", 0.5)
            self.reported.set()
        if self.fails:
            raise EngineError("the builder ran out of memory")
        self.open_sessions += 1
        return _Inverted(self, self.inner.open(graph, precision=precision))


class _Inverted:
    precision = "fp16+fp32"

    def __init__(self, owner: Marking, session: Session) -> None:
        self.owner, self.session, self.contexts = owner, session, session.contexts

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        self.session.run(planes, lambda outputs: deliver([255 - plane for plane in outputs]))

    def close(self) -> None:
        self.owner.open_sessions -= 1
        self.session.close()


def picture(seed: int) -> tuple[Array]:
    return (np.random.default_rng(seed).integers(40, 90, SIZE[::-1], np.uint8),)  # dark, so inverted is bright


def wait_until(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_the_swap_falls_between_two_frames() -> None:
    ready, better = open_backend("onnxruntime"), Marking(open_backend("onnxruntime"))
    model, spec = network(color_space="y")
    with Upscaler(model, spec, HandoverBackend(ready, better, patience_seconds=0), tile=48, reuse=True) as upscaler:
        first = upscaler.submit(picture(0), gray(), ColorSpec()).result()[0]
        assert first.mean() < 128  # at once, from the backend that was ready
        better.go.set()
        bright = []
        for index in range(200):
            result = upscaler.submit(picture(index), gray(), ColorSpec()).result()[0]
            assert result.max() < 128 or result.min() > 128  # never both in one frame
            bright.append(bool(result.min() > 128))
            if sum(bright) > 5:
                break
        assert bright == sorted(bright)  # and never back
        assert bright[-1]
    assert better.open_sessions == 0


def test_an_engine_that_is_there_already_is_used_from_the_first_frame() -> None:
    better = Marking(open_backend("onnxruntime"))
    better.go.set()
    model, spec = network(color_space="y")
    with Upscaler(model, spec, HandoverBackend(open_backend("onnxruntime"), better), tile=48) as upscaler:
        assert upscaler.planes(picture(0), gray(), ColorSpec())[0].min() > 128
    assert better.open_sessions == 0


def test_closing_stops_a_build_that_still_runs() -> None:
    better = Marking(open_backend("onnxruntime"))
    model, spec = network(color_space="y")
    with Upscaler(
        model, spec, HandoverBackend(open_backend("onnxruntime"), better, patience_seconds=0), tile=48
    ) as upscaler:
        upscaler.planes(picture(0), gray(), ColorSpec())
        assert better.reported.wait(20)
    # had the build not been stopped, closing would still be waiting for `go`
    assert better.open_sessions == 0


def test_a_build_that_fails_is_said_once_and_the_video_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    better = Marking(open_backend("onnxruntime"), fails=True)
    model, spec = network(color_space="y")
    backend = HandoverBackend(open_backend("onnxruntime"), better, patience_seconds=0)
    with Upscaler(model, spec, backend, tile=48) as upscaler, caplog.at_level(logging.WARNING):
        upscaler.planes(picture(0), gray(), ColorSpec())
        better.go.set()

        def said() -> bool:
            assert upscaler.planes(picture(1), gray(), ColorSpec())[0].max() < 128
            return bool(caplog.records)

        wait_until(said)
        upscaler.planes(picture(2), gray(), ColorSpec())
    assert [record.message for record in caplog.records] == [
        "the engine could not be built, going on without it: the builder ran out of memory"
    ]


def test_a_build_that_fails_at_once_is_an_error_like_any_other() -> None:
    better = Marking(open_backend("onnxruntime"), fails=True)
    better.go.set()
    model, spec = network(color_space="y")
    with (
        Upscaler(model, spec, HandoverBackend(open_backend("onnxruntime"), better), tile=48) as upscaler,
        pytest.raises(EngineError, match="out of memory"),
    ):
        upscaler.planes(picture(0), gray(), ColorSpec())
