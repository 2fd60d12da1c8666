"""Real clips from cameras, phones and other programs, each with what it must keep."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from sr_core.errors import DamagedMedia
from sr_video.read.source import Source
from tests.video.conftest import first_frame, read_back, upscaled

HEALTHY = (
    "ass.mkv bikes_640x272.mp4 bt709_full_range.mp4 carphone_qcif.mp4 chapters.mkv chapters.mp4 "
    "empty_track.mp4 flower_960x540.mp4 fragmented_captions.mp4 h264_10bit_200.mp4 h265_10bit_200.mp4 "
    "hdr10_av1.mp4 hlg10_hevc.mp4 hlg10_rot90.mp4 nasa_2v2a2s.mp4 odd_161x121.webm rot270.mov rot90.mov "
    "rotate_reflect.mp4 sar_64_45.mp4 srt.mkv unordered.mov vfr_avi.avi vp9_10bit.webm bbb_480p_30s.mp4"
).split()
CUT = Fraction(1, 3)  # seconds; enough for B-frames, short enough for a test


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("name", HEALTHY)
def test_a_real_clip_keeps_format_colours_shape_and_passes_verification(
    shared_data: Path, tmp_path: Path, name: str, ending: str
) -> None:
    source = shared_data / "video" / name
    target = tmp_path / f"out.{ending}"
    heard = upscaled(source, target, end=CUT)
    assert heard.summary is not None
    assert heard.summary.frames >= 3
    before, after = first_frame(source), first_frame(target)
    assert (after.width, after.height) == (before.width * 2, before.height * 2)
    assert after.format.name.replace("yuvj", "yuv") == before.format.name.replace("yuvj", "yuv")
    for tag in ("color_primaries", "color_trc", "colorspace"):
        wanted = int(getattr(before, tag))
        assert wanted == 2 or int(getattr(after, tag)) == wanted
    with av.open(str(source)) as one, av.open(str(target)) as two:
        old, new = one.streams.video[0], two.streams.video[0]
        assert (new.sample_aspect_ratio or 1) == (old.sample_aspect_ratio or 1)
        turned = [v.codec_context.coded_side_data.get("display_matrix") for v in (old, new)]
        assert [m and m[:24] for m in turned] == [turned[0] and turned[0][:24]] * 2


@pytest.mark.parametrize("name", ["bikes_640x272.mp4", "vfr_avi.avi", "h265_10bit_200.mp4", "nasa_2v2a2s.mp4"])
def test_a_whole_clip_keeps_every_frame_and_its_time(shared_data: Path, tmp_path: Path, name: str) -> None:
    source, target = shared_data / "video" / name, tmp_path / "out.mp4"
    upscaled(source, target)
    wanted = read_back(source).seconds
    assert read_back(target).seconds == wanted


def test_a_cut_of_a_clip_is_the_frames_of_the_clip(shared_data: Path, tmp_path: Path) -> None:
    source, target = shared_data / "video" / "bbb_480p_30s.mp4", tmp_path / "out.mp4"
    upscaled(source, target, start=Fraction(10), end=Fraction(21, 2))
    found = read_back(target).seconds
    assert found == [Fraction(i, 24) for i in range(12)]


@pytest.mark.parametrize("name", ["srt.mkv", "nasa_2v2a2s.mp4"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_cut_in_which_nobody_speaks_keeps_its_empty_subtitle_tracks(
    shared_data: Path, tmp_path: Path, name: str, ending: str
) -> None:
    source, target = shared_data / "video" / name, tmp_path / f"out.{ending}"
    upscaled(source, target, start=Fraction(1, 2), end=Fraction(7, 10))
    assert read_back(target).kinds.count("subtitle") == read_back(source).kinds.count("subtitle")


def test_an_average_of_a_thousand_frames_a_second_is_not_believed(shared_data: Path, tmp_path: Path) -> None:
    """Matroska without a frame rate; AV1 refuses such, and progress would never end."""
    heard = upscaled(shared_data / "video" / "srt.mkv", tmp_path / "out.webm", preset="11", end=Fraction(1, 5))
    assert heard.plan is not None
    assert heard.summary is not None
    assert (heard.plan.frames_expected or 0) <= 3 * heard.summary.frames


def test_the_translation_of_a_rotation_grows_with_the_picture(shared_data: Path, tmp_path: Path) -> None:
    """The turned picture must land inside the frame: 320 lines shifted become 640."""
    target = tmp_path / "out.mov"
    upscaled(shared_data / "video" / "rot90.mov", target)
    with av.open(str(target)) as container:
        raw = container.streams.video[0].codec_context.coded_side_data["display_matrix"]
    assert struct.unpack("<9i", raw) == (0, 65536, 0, -65536, 0, 0, 640 << 16, 0, 1 << 30)


def test_closed_captions_ride_along(shared_data: Path, tmp_path: Path) -> None:
    source, target = shared_data / "video" / "fragmented_captions.mp4", tmp_path / "out.mp4"
    upscaled(source, target)
    assert _captions(target) == _captions(source)


def _captions(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        sides = [{k.name: bytes(d) for k, d in f.side_data.items()} for f in container.decode(video=0)]
    return [side["A53_CC"] for side in sides if "A53_CC" in side]


@pytest.mark.parametrize(("name", "ending", "codec"), [("srt.mkv", "mp4", "mov_text"), ("ass.mkv", "mp4", "mov_text")])
def test_text_subtitles_become_what_mp4_knows(
    shared_data: Path, tmp_path: Path, name: str, ending: str, codec: str
) -> None:
    source, target = shared_data / "video" / name, tmp_path / f"out.{ending}"
    heard = upscaled(source, target)
    assert any("becomes mov_text" in note for note in heard.notes)
    wanted, found = _subtitles(source), _subtitles(target)
    assert found
    assert [event[:2] for event in found] == [event[:2] for event in wanted]
    assert [_bare(event[2]) for event in found] == [_bare(event[2]) for event in wanted]


def _bare(text: bytes) -> bytes:
    """Without ASS overrides: mov_text spells a style out that ASS names."""
    return re.sub(rb"\{[^}]*\}", b"", text)


def test_mov_text_becomes_srt_in_matroska(shared_data: Path, tmp_path: Path) -> None:
    source, target = shared_data / "video" / "nasa_2v2a2s.mp4", tmp_path / "out.mkv"
    upscaled(source, target)
    wanted, found = _subtitles(source), _subtitles(target)
    assert len(found) >= 3
    assert found == [(round(start, 3), end, text) for start, end, text in wanted]


def _subtitles(path: Path) -> list[tuple[float, float, bytes]]:
    """(start, duration, text) of every event of the first subtitle stream."""
    events: list[tuple[float, float, bytes]] = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        for packet in container.demux(stream):
            if not packet.size:
                continue
            for rect in packet.decode():
                assert packet.pts is not None
                base = float(packet.time_base)
                text = bytes(rect.dialogue)  # type: ignore[union-attr]
                if text:
                    events.append((round(packet.pts * base, 3), round((packet.duration or 0) * base, 3), text))
    return events


def test_two_sounds_and_two_subtitles_and_the_second_video_stay(shared_data: Path, tmp_path: Path) -> None:
    source, target = shared_data / "video" / "nasa_2v2a2s.mp4", tmp_path / "out.mp4"
    heard = upscaled(source, target)
    before, after = read_back(source), read_back(target)
    assert after.kinds == before.kinds
    assert any("stream 3, video" in note for note in heard.notes)
    for index in (1, 3, 4):
        assert after.packets[index] == before.packets[index]


@pytest.mark.parametrize(
    ("name", "frames_salvaged"),
    [("corrupted.mp4", 49), ("invalid_nalu.mp4", 26), ("invalid_bitstream.webm", 0)],
)
def test_a_damaged_clip_is_refused_or_salvaged(
    shared_data: Path, tmp_path: Path, name: str, frames_salvaged: int
) -> None:
    source, target = shared_data / "video" / name, tmp_path / "out.mkv"
    with pytest.raises(DamagedMedia):
        upscaled(source, target)
    assert list(tmp_path.iterdir()) == []
    if not frames_salvaged:
        with pytest.raises(DamagedMedia, match="no frame"):
            Source(str(source), salvage=True)
        return
    heard = upscaled(source, target, salvage=True)
    assert heard.summary is not None
    assert heard.summary.frames >= frames_salvaged
    assert heard.summary.damage
