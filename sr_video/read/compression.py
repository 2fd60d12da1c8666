"""How hard a video was compressed, measured from its bitstream.

H.264's decoder hands out the quantizer of every block (FFmpeg's `export_side_data=venc_params`): the mean of a
few dozen frames from the middle says how much was thrown away, whatever the size, the content or the bit rate.
Other decoders do not, or count otherwise; nothing is said of their videos.

x264 also writes what it was asked for into the first packet (an SEI of user data). That is the better measure
where the picture stands still, because x264 gives a frame that many others copy a far smaller quantizer.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress

import av
import numpy as np

from sr_video.native import is_local, native_path

FRAMES = 32
# AVVideoEncParams of libavutil/video_enc_params.h: unsigned nb_blocks; size_t offset, size; enum type; int32 qp
_HEADER = struct.Struct("@IQQii")
# x264_sei_version_write of x264's set.c: "x264 - core 165 … - options: … rc=crf mbtree=1 crf=23.0 … vbv_maxrate=…"
_X264 = re.compile(rb"x264 - core [^\0]*? rc=crf [^\0]*?\bcrf=(\d+(?:\.\d+)?)([^\0]*)")
_DELTA_OFFSET = 16  # of delta_qp in AVVideoBlockParams: int src_x, src_y, w, h come before


def measure_quantizer(path: str, *, frames: int = FRAMES) -> float | None:
    """The mean quantizer (0..51) of frames in the middle of the H.264 video in `path`; None: nobody can tell.

    Reads the file by itself, so a source that is open meanwhile is not disturbed. A damaged file, a pipe, a URL
    and any other codec give None.
    """
    if not is_local(path):
        return None
    means: list[float] = []
    with suppress(av.FFmpegError, IndexError), av.open(native_path(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        if context.codec.canonical_name != "h264":
            return None
        context.options = {"export_side_data": "venc_params"}
        context.thread_type = "SLICE"  # frame threads would be at work on what nobody asks for when it is closed
        if container.duration:
            container.seek(container.duration // 2)
        for frame in container.decode(stream):
            mean = _quantizer_of(frame)
            if mean is not None:
                means.append(mean)
            if len(means) >= frames:
                break
    return sum(means) / len(means) if means else None


def read_rate_factor(path: str) -> float | None:
    """The constant rate factor that x264 wrote into the video in `path`; None: another encoder, or a limited rate."""
    if not is_local(path):
        return None
    with suppress(av.FFmpegError, IndexError), av.open(native_path(path)) as container:
        stream = container.streams.video[0]
        first = next((bytes(packet) for packet in container.demux(stream) if packet.size), b"")
        found = _X264.search(first)
        if found and b"vbv_maxrate" not in found[2]:
            return float(found[1])
    return None


def _quantizer_of(frame: av.VideoFrame) -> float | None:
    data = next((bytes(data) for kind, data in frame.side_data.items() if kind.name == "VIDEO_ENC_PARAMS"), None)
    if data is None or len(data) < _HEADER.size:
        return None
    blocks, offset, size, _, base = _HEADER.unpack_from(data)
    if not blocks or size < _DELTA_OFFSET + 4 or offset + blocks * size > len(data):
        return None
    rows = np.frombuffer(data, np.uint8, blocks * size, offset).reshape(blocks, size)
    deltas = rows[:, _DELTA_OFFSET : _DELTA_OFFSET + 4].copy().view(np.int32)
    return float(base + deltas.mean())
