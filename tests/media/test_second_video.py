"""A second video is copied as it is: its times, and what of it can be decoded behind a cut."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media.conftest import picture, upscaled

BASE = Fraction(1, 1000)


def two_videos(path: Path, *, frames: int = 12, keys: str = "250") -> Path:
    """A clip whose second video reorders its pictures and has a keyframe every `keys` pictures."""
    with av.open(str(path), "w") as out:
        first = out.add_stream("libx264", options={"preset": "ultrafast", "g": "10"})
        options = {"x264-params": "b-adapt=0:bframes=2:scenecut=0:open-gop=1", "g": keys}
        second = out.add_stream("libx264", options=options)
        for stream in (first, second):
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.time_base = stream.codec_context.time_base = BASE
            stream.codec_context.framerate = Fraction(25)
        out.start_encoding()
        for index in range(frames):
            for stream in (first, second):
                frame = av.VideoFrame.from_ndarray(picture(index, 64, 48), format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = 40 * index, BASE
                out.mux(stream.encode(frame))
        for stream in (first, second):
            out.mux(stream.encode(None))
    return path


def shown(path: Path) -> list[Fraction]:
    """When each picture of the second video is shown, and in which order they are decoded."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[1]) if packet.size]
        base = container.streams.video[1].time_base
        return [packet.pts * Fraction(base.numerator, base.denominator) for packet in packets]


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4"])
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_copied_video_that_reorders_pictures_keeps_their_times(tmp_path: Path, name: str, ending: str) -> None:
    source, target = two_videos(tmp_path / name), tmp_path / f"out.{ending}"
    upscaled(source, target)
    assert shown(source) != sorted(shown(source))
    assert shown(target) == shown(source)
