"""A second video is copied as it is: its times, and what of it can be decoded behind a cut."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from sr_core.errors import VerificationError
from sr_video.write.sink import Sink
from tests.video.conftest import picture, upscaled

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
    """When the pictures of the second video are shown, in the order in which they are decoded."""
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


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_copied_video_begins_at_a_keyframe_behind_the_cut_and_decodes_whole(tmp_path: Path, ending: str) -> None:
    source, target = two_videos(tmp_path / "in.mp4", frames=40, keys="8"), tmp_path / f"out.{ending}"
    heard = upscaled(source, target, start=Fraction(2, 5))
    assert any("stream 1" in note and "first keyframe" in note for note in heard.notes)
    with av.open(str(target)) as container:
        second = container.streams.video[1]
        packets = [packet for packet in container.demux(second) if packet.size]
        assert packets[0].is_keyframe
        assert len(packets) > 16
        assert min(shown(target)) == shown(target)[0] > 0
    with av.open(str(target)) as container:
        assert len(list(container.decode(container.streams.video[1]))) == len(packets)


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_copied_video_without_a_keyframe_behind_the_cut_is_said_to_be_empty(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"out.{ending}"
    heard = upscaled(two_videos(tmp_path / "in.mp4", frames=30), target, start=Fraction(2, 5))
    assert any("stream 1" in note and "hold nothing" in note for note in heard.notes)
    with av.open(str(target)) as container:
        assert not [packet for video in container.streams.video[1:] for packet in container.demux(video) if packet.size]


def test_a_copied_picture_at_another_time_fails_the_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = Sink.complete

    def wrongly(sink: Sink) -> None:
        complete(sink)
        if sink.memory is None:  # not in the rehearsal
            sink.times[1][0][2] += 1

    monkeypatch.setattr(Sink, "complete", wrongly)
    with pytest.raises(VerificationError, match="a picture of stream 1 has the timestamp"):
        upscaled(two_videos(tmp_path / "in.mkv"), tmp_path / "out.mkv")
