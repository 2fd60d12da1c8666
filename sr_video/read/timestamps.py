"""When decoded frames are shown, also where the container stores no presentation times."""

from __future__ import annotations

import heapq
from fractions import Fraction

import av
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from sr_video.native import exact
from sr_video.timing import ticks_from_seconds

# Formats that store no presentation times: FFmpeg invents them in decoding order.
WITHOUT_PTS = {"avi", "h264", "hevc", "m4v", "mpegvideo", "vc1", "obu"}
_RAW_FRAME_RATE = Fraction(25)  # what FFmpeg assumes of a stream that does not say


class FrameTimes:
    """Give every packet to `push` before it is decoded, and every frame, in order, to `pop`."""

    def __init__(self, container_name: str, stream: VideoStream) -> None:
        self._stream = stream
        self._time_base = exact(stream.time_base)
        self._frame_seconds = 1 / (exact(stream.average_rate or stream.guessed_rate) or _RAW_FRAME_RATE)
        self._is_in_decoding_order = container_name in WITHOUT_PTS
        self._stamps: list[int] = []  # a heap: of packets whose frames have not come yet
        self._next_seconds = Fraction(0)

    def clear(self) -> None:
        """Forget packets whose frames will not come: after a seek."""
        self._stamps.clear()

    def push(self, packet: Packet[Stream]) -> None:
        """Remember when `packet` is due."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and self._is_in_decoding_order:
            heapq.heappush(self._stamps, stamp)

    def pop(self, frame: av.VideoFrame) -> int:
        """Presentation time of the next frame, in ticks of the stream."""
        if self._stamps and frame.pts is not None and self._is_in_order():
            # not the next stamp: a packet may say "as before" and give no frame (MPEG-4's N-VOP)
            ticks = frame.pts
            while self._stamps and self._stamps[0] <= ticks:
                heapq.heappop(self._stamps)
        elif self._stamps:
            ticks = heapq.heappop(self._stamps)
        elif frame.pts is not None:
            ticks = frame.pts
        else:  # raw streams, which have no times at all
            ticks = ticks_from_seconds(self._next_seconds, self._time_base)
        self._next_seconds = ticks * self._time_base + (frame.duration * self._time_base or self._frame_seconds)
        return ticks

    def _is_in_order(self) -> bool:
        """Frames come out in the order of their packets; H.264 and HEVC say so also where they only hope it."""
        decoder = self._stream.codec_context
        return not decoder.has_b_frames and decoder.codec.canonical_name not in ("h264", "hevc")
