"""Broken inputs: each a clear error, or what can be salvaged of it."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from sr_core.errors import BadInput, DamagedMedia, SrError
from sr_video.read.damage import missing_bytes
from sr_video.read.facts import _refuse_dolby_vision_5
from sr_video.read.source import Source
from sr_video.segments.index import read_index
from tests.video.conftest import Clip, read_back, upscaled


@pytest.mark.parametrize(("name", "codec"), [("in.mkv", "ffv1"), ("in.avi", "ffv1"), ("in.mp4", "libx264")])
def test_a_cut_off_file_is_noticed_and_nothing_is_left(clip: Clip, tmp_path: Path, name: str, codec: str) -> None:
    whole = clip(name, frames=40, codec=codec)
    if name == "in.mp4":
        whole = _index_first(whole)
    cut = whole.with_stem("cut")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    target = tmp_path / "out.mkv"
    with pytest.raises(DamagedMedia, match=r"cut\.\w+ is damaged") as caught:
        upscaled(cut, target)
    assert "salvage=True" in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == []

    heard = upscaled(cut, target, salvage=True)
    assert heard.summary is not None
    assert "early" in str(heard.summary.damage)
    assert 5 < len(read_back(target).seconds) < 40


def _index_first(path: Path) -> Path:
    """The same MP4 with its index before its samples, as downloads have it."""
    moved = path.with_stem("moved")
    with av.open(str(path)) as source, av.open(str(moved), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return moved


def test_an_mp4_without_its_index_says_what_may_have_happened(clip: Clip, tmp_path: Path) -> None:
    whole = clip("in.mp4", codec="libx264", frames=30)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-400])
    with pytest.raises(DamagedMedia, match=r"cannot open cut\.mp4") as caught:
        Source(str(cut))
    assert "cut short" in caught.value.hint


@pytest.mark.parametrize("first_lost", [100, 290])
def test_a_hole_in_matroska_is_noticed_and_nothing_is_left(clip: Clip, tmp_path: Path, first_lost: int) -> None:
    """FFmpeg goes on behind it without a word, or ends there."""
    whole = clip("whole.mkv", codec="libx264", frames=300, sound=True, options={"g": "10", "bf": "0"})
    content = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        at = [packet.pos or 0 for packet in container.demux()][first_lost] - 4  # the block's own header
    content[at : at + 4000] = bytes(len(content[at : at + 4000]))
    source = tmp_path / "in.mkv"
    source.write_bytes(content)
    with pytest.raises(DamagedMedia, match=r"in\.mkv is damaged: 1 hole in the file"):
        upscaled(source, tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()

    heard = upscaled(source, tmp_path / "out.mkv", salvage=True)
    assert heard.summary is not None
    assert heard.summary.damage.holes == 1
    assert 100 < heard.summary.frames < 300


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.avi", "in.mov", "in.webm", "in.nut", "in.ts"])
def test_a_whole_file_misses_no_bytes(clip: Clip, name: str) -> None:
    codec = {"in.webm": "libvpx-vp9", "in.mkv": "ffv1", "in.avi": "ffv1"}.get(name, "libx264")
    assert missing_bytes(clip(name, codec=codec)) == 0


@pytest.mark.parametrize("title", [b"", b"A title of thirty characters ."])
def test_a_tag_appended_to_an_mp4_is_no_missing_end(clip: Clip, title: bytes) -> None:
    tagged = clip("in.mp4", codec="libx264")
    with tagged.open("ab") as file:
        file.write((b"TAG" + title).ljust(128, b"\0"))
    assert missing_bytes(tagged) == 0


def test_a_live_recording_without_sizes_misses_no_bytes(clip: Clip, tmp_path: Path) -> None:
    source = clip()
    memory = io.BytesIO()
    memory.seekable = lambda: False  # type: ignore[method-assign]
    with av.open(str(source)) as before, av.open(memory, "w", format="matroska") as out:
        stream = out.add_stream_from_template(before.streams.video[0], opaque=True)
        for packet in before.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    live = tmp_path / "live.mkv"
    live.write_bytes(memory.getvalue())
    assert missing_bytes(live) == 0
    upscaled(live, tmp_path / "out.mkv")


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", DamagedMedia), (b"hello, this is text\n" * 50, SrError), (b"\x00" * 5000, SrError)],
    ids=["empty", "text", "zeros"],
)
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes, error: type[SrError]) -> None:
    path = tmp_path / "odd.mp4"
    path.write_bytes(content)
    with pytest.raises(error):
        Source(str(path))


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"):
        Source(str(tmp_path))
    with pytest.raises(BadInput, match="no file"):
        Source(str(tmp_path / "nothing.mp4"))


def test_a_file_with_only_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mka"
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("flac", rate=8000)
        frame = av.AudioFrame(format="s16", layout="stereo", samples=800)
        frame.sample_rate, frame.pts = 8000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(BadInput, match="only sound"):
        Source(str(path))


def test_a_video_without_frames_is_refused(clip: Clip) -> None:
    with pytest.raises(BadInput, match=r"no frame|before its first"):
        Source(str(clip(frames=0)))


def test_a_change_of_size_on_the_way_is_refused_with_its_time(clip: Clip, tmp_path: Path) -> None:
    parts = [clip(f"{i}.h264", codec="libx264", size=size) for i, size in enumerate([(64, 48), (96, 64)])]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(BadInput, match="changes from 64x48 to 96x64") as caught:
        upscaled(joined, tmp_path / "out.mkv")
    assert "end=" in caught.value.hint


def test_flipped_bits_are_an_error_and_can_be_salvaged(clip: Clip, tmp_path: Path) -> None:
    whole = clip("in.mkv", frames=60, codec="libx264", options={"g": "12"})
    content = bytearray(whole.read_bytes())
    for at in range(len(content) // 3, len(content) // 3 + 3000, 37):
        content[at] ^= 0xFF
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(bytes(content))
    with pytest.raises(DamagedMedia):
        upscaled(broken, tmp_path / "out.mkv")
    heard = upscaled(broken, tmp_path / "out.mkv", salvage=True)
    assert heard.summary is not None
    assert heard.summary.damage
    assert len(read_back(tmp_path / "out.mkv").seconds) >= 20


def test_converted_sound_that_does_not_decode_is_an_error_and_can_be_salvaged(clip: Clip, tmp_path: Path) -> None:
    whole, target = clip(frames=50, sound=True), tmp_path / "out.mov"  # which takes no FLAC
    content = whole.read_bytes()
    bad = read_back(whole).packets[1][3]
    assert content.count(bad) == 1
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(content.replace(bad, bytes(len(bad))))
    with pytest.raises(DamagedMedia, match="sound stream 1 does not decode") as caught:
        upscaled(broken, target)
    assert "salvage=True" in caught.value.hint
    heard = upscaled(broken, target, salvage=True)
    assert heard.summary is not None
    assert str(heard.summary.damage).startswith("1 packet does not decode, first at 0:00")
    whole_length, length = (sum(read_back(path, kind="audio").durations) for path in (whole, target))
    assert whole_length * 8 / 10 < length < whole_length * 11 / 10


def test_sound_that_turns_from_stereo_to_mono_is_converted_to_its_end(clip: Clip, tmp_path: Path) -> None:
    def broadcast(out: av.container.OutputContainer, video: object) -> None:
        stream = out.add_stream("mp2", rate=48000, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        out.start_encoding()
        for part, layout in enumerate(("stereo", "mono")):
            encoder = av.AudioCodecContext.create("mp2", "w")
            encoder.sample_rate, encoder.format, encoder.layout = 48000, "s16", layout
            samples = np.zeros((1, 48000 * (2 - part)), np.int16)
            tone = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
            tone.sample_rate, tone.pts = 48000, 48000 * part
            for packet in [*encoder.encode(tone), *encoder.encode(None)]:
                packet.stream = stream
                out.mux(packet)

    source, target = clip(frames=50, setup=broadcast), tmp_path / "out.webm"  # which takes no MP2
    upscaled(source, target, codec="libsvtav1", preset="12")
    seconds = read_back(target, kind="audio").seconds
    assert abs(seconds[-1] - 2) < Fraction(1, 10)
    assert max(later - sooner for sooner, later in pairwise(seconds)) < Fraction(1, 20)


def test_frames_that_go_back_in_time_are_kept_in_order(clip: Clip, tmp_path: Path) -> None:
    source = tmp_path / "back.mkv"
    content = clip("good.mkv", frames=6, codec="mjpeg", pix_fmt="yuvj420p").read_bytes()
    for before, after in ((80, 40), (120, 30)):  # times of Matroska's blocks, milliseconds
        block = b"\x81" + before.to_bytes(2, "big") + b"\x80"
        assert content.count(block) == 1
        content = content.replace(block, b"\x81" + after.to_bytes(2, "big") + b"\x80")
    source.write_bytes(content)
    heard = upscaled(source, tmp_path / "out.mkv")
    assert heard.summary is not None
    assert (heard.summary.frames, heard.summary.retimed_frames) == (6, 2)
    seconds = read_back(tmp_path / "out.mkv").seconds
    assert len(set(seconds)) == 6


def test_a_jump_in_time_that_mp4_cannot_store_is_refused_and_matroska_keeps_it(clip: Clip, tmp_path: Path) -> None:
    source = clip(ticks=[0, 40, 200_000_000, 200_000_040])
    with pytest.raises(BadInput, match="the times of the input jump by 55:33:20, more than mp4 can store") as caught:
        upscaled(source, tmp_path / "out.mp4")
    assert ".mkv" in caught.value.hint
    upscaled(source, tmp_path / "out.mkv")
    assert read_back(tmp_path / "out.mkv").seconds[2] == 200_000


def test_a_raw_stream_without_times_gets_even_ones(clip: Clip, tmp_path: Path) -> None:
    source = clip("in.h264", codec="libx264", frames=10)
    upscaled(source, tmp_path / "out.mkv")
    seconds = read_back(tmp_path / "out.mkv").seconds
    steps = {round(float(b - a), 3) for a, b in pairwise(seconds)}
    assert len(seconds) == 10
    assert steps == {0.04}


def test_dolby_vision_profile_5_is_refused() -> None:
    _refuse_dolby_vision_5(None)
    _refuse_dolby_vision_5(bytes([1, 0, 8, 6, 1, 0, 1, 4, 0]))
    with pytest.raises(BadInput, match="profile 5"):
        _refuse_dolby_vision_5(bytes([1, 0, 5, 6, 1, 0, 1, 0, 0]))


@pytest.fixture
def torn(clip: Clip, tmp_path: Path) -> Path:
    """FLV says nowhere how long it is: FFmpeg hands out the part of a packet, marked."""
    with (
        av.open(str(clip(sound=True, codec="libx264", frames=24))) as read,
        av.open(str(tmp_path / "a.flv"), "w") as out,
    ):
        picture = out.add_stream_from_template(read.streams[0])
        voice = out.add_stream("aac", rate=48000)
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = picture
                out.mux(packet)
        read.seek(0)
        for frame in read.decode(audio=0):
            out.mux(voice.encode(frame))
        out.mux(voice.encode(None))
    content, path = (tmp_path / "a.flv").read_bytes(), tmp_path / "torn.flv"
    at, last = 13, 0  # behind the header: tags of 11 bytes, their content and 4 bytes with their size
    while at < len(content):
        size = int.from_bytes(content[at + 1 : at + 4])
        if content[at] == 8 and size >= 8:  # sound
            last = at
        at += 11 + size + 4
    path.write_bytes(content[: last + 11 + 6])
    return path


def test_a_file_that_ends_in_the_middle_of_a_packet_is_damaged(torn: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedMedia, match="ends in the middle of a packet"):
        upscaled(torn, tmp_path / "out.mkv")
    heard = upscaled(torn, tmp_path / "salvaged.mkv", salvage=True)
    assert heard.summary is not None
    assert "ends in the middle of a packet" in str(heard.summary.damage)


def test_a_file_that_ends_in_the_middle_of_a_packet_is_known_before_its_segments(torn: Path) -> None:
    with Source(str(torn)) as source, pytest.raises(DamagedMedia, match="ends in the middle of a packet"):
        read_index(source, salvage=False, report=lambda share: None)


def test_a_torn_packet_of_a_stream_that_is_left_out_is_no_damage(torn: Path, tmp_path: Path) -> None:
    heard = upscaled(torn, tmp_path / "out.mkv", keeps_audio=False)
    assert heard.summary is not None
    assert not heard.summary.damage


def test_a_raw_stream_whose_packets_have_no_times_is_cut_at_its_end(clip: Clip, tmp_path: Path) -> None:
    with av.open(str(clip(codec="libx264", frames=24))) as read, av.open(str(tmp_path / "raw.h264"), "w") as out:
        picture = out.add_stream_from_template(read.streams[0])
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = picture
                out.mux(packet)
    heard = upscaled(tmp_path / "raw.h264", tmp_path / "out.mkv", end=Fraction(2, 5))
    assert heard.summary is not None
    assert 0 < heard.summary.frames < 24
