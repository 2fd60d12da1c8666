"""Interlaced video is deinterlaced on the way in: an enlarged comb cannot be undone.

bwdif makes one whole frame of each interlaced one, so that every frame keeps its own timestamp;
frames flagged as progressive pass through unchanged. Until one comes that is not, frames stay
where they are and no filter runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
from av.filter import Graph
from av.video.stream import VideoStream

from sr_video.read.device_frames import on_host

MESSAGE = "the video is interlaced: it is deinterlaced (bwdif, one frame per frame) and stored progressive"


class Deinterlacer:
    """Deinterlaces what needs it of one video stream."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream

    def run(self, frames: Iterator[av.VideoFrame | None]) -> Iterator[av.VideoFrame | None]:
        """Yield as many frames as come in, in order, with their own pts and duration.

        None passes through.
        """
        bwdif: _Bwdif | None = None
        before: av.VideoFrame | None = None
        for frame in frames:
            if frame is None:
                yield None
            elif bwdif is None and not frame.interlaced_frame:
                # bwdif looks at its neighbours; a card's decoder has few frames, none to be kept here
                before = frame if frame.sw_format is None else None
                yield frame
            else:
                frame = on_host(frame)
                if bwdif is not None and bwdif.layout != _layout(frame):
                    yield from bwdif.flush()
                    bwdif = None
                if bwdif is None:
                    bwdif = _Bwdif(self._stream, frame, before)
                before = None
                yield from bwdif.push(frame)
        if bwdif is not None:
            yield from bwdif.flush()


def _layout(frame: av.VideoFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.width, frame.height


class _Bwdif:
    """A graph for frames of one layout; `before` is the frame before the first, where it is known."""

    def __init__(self, stream: VideoStream, first: av.VideoFrame, before: av.VideoFrame | None) -> None:
        self.layout = _layout(first)
        self._time_base = stream.time_base
        self._times: deque[tuple[int | None, int] | None] = deque()  # None: a frame that was yielded already
        self._graph = Graph()
        begin = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=self._time_base
        )
        bwdif = self._graph.add("bwdif", mode="send_frame", deint="interlaced")
        self._graph.link_nodes(begin, bwdif, self._graph.add("buffersink")).configure()
        if before is not None and _layout(before) == self.layout:
            self._times.append(None)
            self._graph.vpush(before)

    def push(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        self._times.append((frame.pts, frame.duration))
        self._graph.vpush(frame)
        yield from self._pull()

    def flush(self) -> Iterator[av.VideoFrame]:
        self._graph.vpush(None)
        yield from self._pull()

    def _pull(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = self._graph.vpull()
            except (av.BlockingIOError, av.error.EOFError):
                return
            if (times := self._times.popleft()) is None:
                continue
            frame.pts, frame.duration = times
            frame.time_base = self._time_base
            yield frame
