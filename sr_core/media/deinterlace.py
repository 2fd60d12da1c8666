"""Interlaced video is deinterlaced on the way in: an enlarged comb cannot be undone.

bwdif makes one whole frame of each interlaced one, so that every frame keeps its own timestamp;
frames flagged as progressive pass through unchanged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
from av.filter import Graph
from av.video.stream import VideoStream

MESSAGE = "the video is interlaced: it is deinterlaced (bwdif, one frame per frame) and stored progressive"


class Deinterlacer:
    """One bwdif graph for one video stream."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._times: deque[tuple[int | None, int]] = deque()

    def run(self, frames: Iterator[av.VideoFrame | None]) -> Iterator[av.VideoFrame | None]:
        """Yield as many frames as come in, in order, with their own pts and duration.

        None passes through.
        """
        graph: Graph | None = None
        for frame in frames:
            if frame is None:
                yield None
                continue
            if graph is None:
                graph = self._graph_for(frame)
            self._times.append((frame.pts, frame.duration))
            graph.vpush(frame)
            yield from self._pull(graph)
        if graph is not None:
            graph.vpush(None)
            yield from self._pull(graph)

    def _graph_for(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        begin = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._stream.time_base
        )
        graph.link_nodes(
            begin, graph.add("bwdif", mode="send_frame", deint="interlaced"), graph.add("buffersink")
        ).configure()
        return graph

    def _pull(self, graph: Graph) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = graph.vpull()
            except (av.BlockingIOError, av.error.EOFError):
                return
            ticks, duration = self._times.popleft()
            frame.pts = ticks
            frame.duration = duration
            frame.time_base = self._stream.time_base
            yield frame
