"""Small clips made on the spot with PyAV, and a run of the pipeline without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sr_video.decide.plan import Plan, Request
from sr_video.nearest import NearestUpscaler
from sr_video.read.source import Source
from sr_video.transcode import Progress, Summary, upscale_video

Clip = Callable[..., Path]


@dataclass
class Heard:
    """A listener that remembers."""

    notes: list[str] = field(default_factory=list)
    plan: Plan | None = None
    times_read: int = 0
    progress: list[Progress] = field(default_factory=list)
    summary: Summary | None = None

    def reading(self) -> None:
        self.times_read += 1

    def planned(self, source: Source, plan: Plan) -> None:
        self.plan = plan
        self.notes = list(plan.notes)

    def progressed(self, progress: Progress) -> None:
        self.progress.append(progress)

    def verifying(self, progress: Progress) -> None:
        self.progress.append(progress)


def upscaled(source: Path, target: Path, **asked: object) -> Heard:
    """Run the whole pipeline with pixels repeated; quick settings unless `asked`."""
    heard = Heard()
    asked.setdefault("scale", 2)
    if asked.get("codec", "libx264") in ("libx264", "libx265"):
        asked.setdefault("preset", "ultrafast")
    request = Request(source=str(source), target=str(target), **asked)  # type: ignore[arg-type]
    heard.summary = upscale_video(request, NearestUpscaler, heard)
    return heard


def picture(index: int, width: int, height: int) -> np.ndarray:
    """An RGB picture that moves with `index`."""
    y, x = np.mgrid[0:height, 0:width]
    red = (x * 3 + index * 7) % 256
    return np.stack([red, (y * 5) % 256, (x + y + index * 11) % 256], axis=-1).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """clip(name, frames=..., ticks=..., ...): a video file under the test's folder."""

    def make(
        name: str = "in.mkv",
        *,
        frames: int = 8,
        size: tuple[int, int] = (64, 48),
        pix_fmt: str = "yuv420p",
        codec: str = "ffv1",
        ticks: list[int] | None = None,
        time_base: Fraction = Fraction(1, 1000),
        sound: bool = False,
        tags: dict[str, str] | None = None,
        matrix: int = 1,
        setup: Callable[[av.container.OutputContainer, av.VideoStream], None] | None = None,
        options: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        stamps = ticks if ticks is not None else [40 * i for i in range(frames)]
        with av.open(str(path), "w") as out:
            video = out.add_stream(codec, options=options or {})
            assert isinstance(video, av.VideoStream)
            video.width, video.height, video.pix_fmt = *size, pix_fmt
            video.time_base = video.codec_context.time_base = time_base
            video.codec_context.framerate = Fraction(25)
            video.codec_context.color_range = 1
            video.codec_context.colorspace = matrix
            video.codec_context.color_primaries = video.codec_context.color_trc = 1
            out.metadata.update(tags or {})
            voice = out.add_stream("flac", rate=48000) if sound else None
            if setup:
                setup(out, video)
            out.start_encoding()
            for index, stamp in enumerate(stamps):
                frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
                frame = frame.reformat(format=pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG")
                frame.pts, frame.time_base, frame.pict_type = stamp, time_base, 0
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
            if voice is not None:
                tone = np.zeros((1, 48000 * 2), np.int16)
                sample = av.AudioFrame.from_ndarray(tone, format="s16", layout="stereo")
                sample.sample_rate, sample.pts = 48000, 0
                out.mux(voice.encode(sample))
                out.mux(voice.encode(None))
        return path

    return make


@dataclass
class Found:
    """What a finished file holds."""

    seconds: list[Fraction]
    durations: list[Fraction]
    kinds: list[str]
    packets: dict[int, list[bytes]]


def read_back(path: Path, *, kind: str = "video") -> Found:
    """Times of the first `kind` stream and the payload of every stream."""
    with av.open(str(path)) as container:
        kinds = [stream.type for stream in container.streams]
        index = kinds.index(kind)
        seconds: list[Fraction] = []
        durations: list[Fraction] = []
        packets: dict[int, list[bytes]] = {}
        for packet in container.demux([s for s in container.streams if s.type != "attachment"]):
            if not packet.size:
                continue
            packets.setdefault(packet.stream.index, []).append(bytes(packet))
            if packet.stream.index == index:
                assert packet.pts is not None
                base = Fraction(packet.time_base.numerator, packet.time_base.denominator)
                seconds.append(packet.pts * base)
                durations.append((packet.duration or 0) * base)
    return Found(seconds=sorted(seconds), durations=durations, kinds=kinds, packets=packets)


def first_frame(path: Path) -> av.VideoFrame:
    """The first decoded frame of the first video."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0))
