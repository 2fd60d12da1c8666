"""Frames through a real video codec, and the 4:2:0 on both sides of it with stated chroma siting.

    RGB ─ planes_from_rgb ─ Y, Cb, Cr ─ coded: encode, decode ─ Y, Cb, Cr ─ rgb_from_planes ─ RGB

Chroma sits left, as in H.264 and MPEG-2 without tags: co-sited across, centred down. The filters are those of
srvid's own graphs (`sr_core.graph.taps`). swscale and a resize of the planes treat chroma as centred: a network
taught on their pairs learns to move color by a quarter of a chroma sample.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.random import Generator
from numpy.typing import NDArray

from sr_core.color import ycc_from_rgb

Planes = NDArray[np.uint8]  # (H * 3 / 2, W): luma, then Cb and Cr of half the sides, flattened; studio range
Rgb = NDArray[np.float32]
_TO_YCC = ycc_from_rgb("bt601").astype(np.float32)
_TO_RGB = np.linalg.inv(ycc_from_rgb("bt601")).astype(np.float32)
_LUMA, _CHROMA = (219.0, 16.0), (224.0, 128.0)  # codes a unit and code of zero, ITU-R BT.601-7 §2.5.3
CODECS = ("libx264", "libx265", "mpeg2video", "libvpx-vp9")
SHARES = (0.68, 0.12, 0.10, 0.10)


@dataclass(frozen=True, kw_only=True)
class Coding:
    """An encoder and its options; `coder` are options of FFmpeg, `quantiser` a fixed one (MPEG-2)."""

    codec: str
    coder: dict[str, str] = field(default_factory=dict)
    quantiser: int = 0


def draw_coding(rng: Generator, *, first: bool = False, coarser: int = 0) -> Coding:
    """A random encode from CRF 20 to 36, or as bad in other codecs; `first`: better, as of a source coded again.

    `coarser` moves both ends by so many steps of CRF.
    """
    codec = CODECS[int(rng.choice(len(CODECS), p=SHARES))]
    if codec == "mpeg2video":
        low, high = (2, 5) if first else (3, 13)
        return Coding(codec=codec, coder={"g": "12", "bf": "2"}, quantiser=int(rng.integers(low, high)) + coarser // 2)
    worst = {"libx264": (18, 20, 36), "libx265": (20, 22, 36), "libvpx-vp9": (24, 28, 50)}
    best_first, best, last = worst[codec]
    crf = rng.integers(best_first, best + 7) if first else rng.integers(best, last + 1)
    return Coding(codec=codec, coder={"crf": str(crf + coarser)} | _speed(codec, rng))


def _speed(codec: str, rng: Generator) -> dict[str, str]:
    if codec == "libx264":
        preset = ("veryfast", "fast", "medium")[int(rng.integers(3))]
        return {"preset": preset, "g": ("12", "50", "250")[int(rng.integers(3))], "threads": "1"}
    if codec == "libx265":
        return {"preset": "veryfast", "x265-params": "pools=none:frame-threads=1:log-level=none"}
    return {"b": "0", "deadline": "realtime", "cpu-used": "6", "threads": "1"}


def encode_and_decode(frames: Sequence[Planes], coding: Coding) -> list[Planes]:
    """`frames` after one encode and decode, as one clip of 25 frames a second."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as sink:
        stream = sink.add_stream(coding.codec, rate=25, options=dict(coding.coder))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        if coding.quantiser:
            stream.codec_context.qmin = stream.codec_context.qmax = coding.quantiser
        for index, planes in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = index
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as source:
        return [np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8) for frame in source.decode(video=0)]


def planes_from_rgb(rgb: NDArray[np.uint8]) -> Planes:
    """(H, W, 3) codes, even sides; chroma by [1 2 1]/4 across and [1 1]/2 down."""
    ycc = (rgb.astype(np.float32) / 255) @ _TO_YCC.T
    height, width = rgb.shape[:2]
    wide = np.pad(ycc[..., 1:], ((0, 0), (1, 0), (0, 0)), mode="edge")
    across = (wide[:, 0:-2:2] + 2 * wide[:, 1::2][:, : width // 2] + wide[:, 2::2]) / 4
    down = (across[::2] + across[1::2]) / 2
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[:height] = _codes(ycc[..., 0] * _LUMA[0] + _LUMA[1])
    planes[height:] = _codes(down * _CHROMA[0] + _CHROMA[1]).transpose(2, 0, 1).reshape(height // 2, width)
    return planes


def rgb_from_planes(luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> Rgb:
    """Luma (H, W) and chroma (2, H/2, W/2) as (H, W, 3) in 0..255, unrounded; chroma linear."""
    c = (chroma.astype(np.float32) - _CHROMA[1]) / _CHROMA[0]
    right = np.concatenate([c[..., 1:], c[..., -1:]], axis=-1)
    wide = np.stack([c, (c + right) / 2], axis=-1).reshape(2, c.shape[1], -1)
    above = np.concatenate([wide[:, :1], wide[:, :-1]], axis=1)
    below = np.concatenate([wide[:, 1:], wide[:, -1:]], axis=1)
    full = np.stack([0.75 * wide + 0.25 * above, 0.75 * wide + 0.25 * below], axis=2).reshape(2, *luma.shape)
    y = (luma.astype(np.float32) - _LUMA[1]) / _LUMA[0]
    rgb: Rgb = np.clip(np.stack([y, full[0], full[1]], axis=-1) @ _TO_RGB.T, 0, 1) * np.float32(255)
    return rgb


def _codes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
