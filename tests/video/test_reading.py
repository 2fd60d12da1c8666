"""Inputs whose packets, times or pictures are not laid out as most files have them."""

from __future__ import annotations

import struct
from fractions import Fraction
from hashlib import sha256
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from sr_core.errors import BadInput
from sr_video.read.source import Source
from tests.video.conftest import Clip, picture, read_back, upscaled


def remuxed(source: Path, target: Path, **options: str) -> Path:
    """The same packets in another container."""
    with av.open(str(source)) as given, av.open(str(target), "w", options=options) as out:
        streams = [out.add_stream_from_template(stream) for stream in given.streams]
        for packet in given.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return target


@pytest.mark.parametrize("end", ["0.4", "0.9"])
def test_a_cut_keeps_the_sound_that_a_fragment_stores_behind_its_pictures(clip: Clip, tmp_path: Path, end: str) -> None:
    whole = clip(codec="libx264", frames=50, sound=True)
    source = remuxed(whole, tmp_path / "in.mp4", movflags="frag_keyframe+empty_moov+default_base_moof")
    upscaled(source, tmp_path / "out.mkv", end=Fraction(end))
    expected = [time for time in read_back(source, kind="audio").seconds if time < Fraction(end)]
    found = read_back(tmp_path / "out.mkv", kind="audio").seconds
    assert len(found) == len(expected) > 3


def test_frames_that_an_avi_repeats_do_not_move_those_behind_them(clip: Clip, tmp_path: Path) -> None:
    """MPEG-4 repeats a frame by a packet that gives none (N-VOP)."""
    whole = clip("whole.avi", codec="mpeg4", frames=30, time_base=Fraction(1, 25), ticks=list(range(30)))
    source = tmp_path / "in.avi"
    with av.open(str(whole)) as given, av.open(str(source), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(p for p in given.demux(video=0) if p.size):
            copy = av.Packet(_without_picture(bytes(packet)) if 5 <= number < 11 else bytes(packet))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            out.mux(copy)
    upscaled(source, tmp_path / "out.mkv", codec="ffv1")
    shown = [*range(5), *range(11, 30)]
    assert read_back(tmp_path / "out.mkv").seconds == [Fraction(number, 25) for number in shown]


def _without_picture(packet: bytes) -> bytes:
    """The packet of an MPEG-4 frame made to say: not coded, show the one before."""
    at = packet.index(b"\0\0\1\xb6") + 4
    bits = "".join(f"{byte:08b}" for byte in packet[at : at + 8])
    head = bits[: bits.index("0", 2) + 1 + 1 + 5 + 1]  # type, whole seconds, marker, 25ths, marker
    head += "00"  # vop_coded = 0, then stuffing as in ISO/IEC 14496-2 5.2.4
    head += "1" * (-len(head) % 8)
    return packet[:at] + int(head, 2).to_bytes(len(head) // 8, "big")


@pytest.mark.parametrize(("first", "then", "expected"), [(1, 2, 235), (2, 1, 255)])
def test_a_video_that_changes_its_range_on_the_way_keeps_its_white(
    tmp_path: Path, first: int, then: int, expected: int
) -> None:
    source, target = tmp_path / "in.ts", tmp_path / "out.mkv"
    source.write_bytes(b"".join(_white(tmp_path / f"{number}.ts", number) for number in (first, then)))
    upscaled(source, target, codec="ffv1")
    with av.open(str(target)) as container:
        found = [(int(frame.color_range), bytes(frame.planes[0])[0]) for frame in container.decode(video=0)]
    assert found == [(first, expected)] * 20


def _white(path: Path, color_range: int) -> bytes:
    """Ten white H.264 frames."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"qp": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.color_range = color_range
        video.codec_context.colorspace = 1  # x264 writes a limited range only beside another tag
        for index in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane, value in zip(frame.planes, (255 if color_range == 2 else 235, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.color_range, frame.colorspace = color_range, 1
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path.read_bytes()


def _woven(path: Path, *parts: tuple[str, tuple[int, int]]) -> Path:
    """An MPEG-TS of parts of 25 frames, times and all in a row: ('tff=1' for interlaced or '', its size)."""
    clock = 0
    content = b""
    for number, (params, (width, height)) in enumerate(parts):
        part = path.with_suffix(f".{number}.ts")
        with av.open(str(part), "w", options={"mpegts_copyts": "1"}) as out:
            video = out.add_stream("libx264", rate=25, options={"x264-params": params, "qp": "10", "bf": "0"})
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            video.time_base = video.codec_context.time_base = Fraction(1, 25)
            for index in range(25):
                pair = [picture(8 * clock + 4 * field, width, height) for field in (0, 1)]
                pair[0][1::2] = pair[1][1::2]
                frame = av.VideoFrame.from_ndarray(pair[0], format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base, frame.pict_type = 25 + clock, Fraction(1, 25), int(index == 0)
                out.mux(video.encode(frame))
                clock += 1
            out.mux(video.encode(None))
        content += part.read_bytes()
    path.write_bytes(content)
    return path


def _rows_repeat(source: Path, target: Path) -> list[bool]:
    """For every frame, whether the output's even rows are the input's rows, each sample twice."""
    with av.open(str(source)) as given, av.open(str(target)) as made:
        pairs = list(zip(given.decode(video=0), made.decode(video=0), strict=True))
    return [
        np.array_equal(before.to_ndarray(format="gray"), after.to_ndarray(format="gray")[::2, ::2])
        for before, after in pairs
    ]


def test_interlacing_that_begins_on_the_way_is_removed_from_there_on(tmp_path: Path) -> None:
    source = _woven(tmp_path / "in.ts", ("", (64, 48)), ("tff=1", (64, 48)))
    upscaled(source, tmp_path / "out.mkv", codec="ffv1")
    assert _rows_repeat(source, tmp_path / "out.mkv") == [True] * 25 + [False] * 25


@pytest.mark.parametrize("start", ["0.4", "1", "1.2"])
def test_a_cut_of_interlaced_video_is_the_frames_of_the_whole(tmp_path: Path, start: str) -> None:
    """Also where it begins at the first interlaced frame, which needs the one before."""
    source = _woven(tmp_path / "in.ts", ("", (64, 48)), ("tff=1", (64, 48)))
    upscaled(source, tmp_path / "whole.mkv", codec="ffv1")
    upscaled(source, tmp_path / "cut.mkv", codec="ffv1", start=Fraction(start))
    expected = _digests(tmp_path / "whole.mkv")[int(25 * Fraction(start)) :]
    assert _digests(tmp_path / "cut.mkv") == expected
    assert len(expected) == 50 - 25 * Fraction(start)


def _digests(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in container.decode(video=0)]


def test_interlaced_video_that_changes_its_size_is_refused_and_can_be_cut_before(tmp_path: Path) -> None:
    source = _woven(tmp_path / "in.ts", ("tff=1", (64, 48)), ("tff=1", (96, 64)))
    with pytest.raises(BadInput, match=r"changes from 64x48 to 96x64 at 1\.000"):
        upscaled(source, tmp_path / "out.mkv")
    upscaled(source, tmp_path / "out.mkv", end=Fraction(1))
    assert len(read_back(tmp_path / "out.mkv").seconds) == 25


def test_a_cut_may_begin_inside_a_stream_that_cannot_be_sought(clip: Clip, tmp_path: Path) -> None:
    source = clip("in.h264", codec="libx264", frames=50)
    upscaled(source, tmp_path / "whole.mkv", codec="ffv1")
    upscaled(source, tmp_path / "cut.mkv", codec="ffv1", start=Fraction(1))
    assert _digests(tmp_path / "cut.mkv") == _digests(tmp_path / "whole.mkv")[25:]
    assert len(_digests(tmp_path / "cut.mkv")) == 25


def test_a_rotation_that_only_the_pictures_tell_is_kept(clip: Clip, tmp_path: Path) -> None:
    upright, source = clip("upright.h264", codec="libx264"), tmp_path / "in.h264"
    source.write_bytes(_filtered(upright, "h264_metadata=display_orientation=insert:rotate=90"))
    upscaled(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        matrix = container.streams.video[0].codec_context.coded_side_data["display_matrix"]
    assert struct.unpack("<9i", matrix) == (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_captions_that_begin_on_the_way_are_kept(shared_data: Path, clip: Clip, tmp_path: Path, codec: str) -> None:
    captioned = shared_data / "video" / "fragmented_captions.mp4"
    with av.open(str(captioned)) as container:
        size = container.streams.video[0].width, container.streams.video[0].height
    before, source, target = (
        clip("before.h264", codec="libx264", size=size, frames=2),
        tmp_path / "in.h264",
        tmp_path / "out.mkv",
    )
    source.write_bytes(before.read_bytes() + _filtered(captioned, "h264_mp4toannexb", packets=3))
    upscaled(source, target, codec=codec)
    given, kept = _captions(source), _captions(target)
    assert not given[0]
    assert any(given)
    assert kept == given


def _filtered(path: Path, filters: str, packets: int = 100) -> bytes:
    """The first packets of a video's elementary stream behind bitstream filters."""
    content = b""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = BitStreamFilterContext(filters, stream)
        for packet in islice((p for p in container.demux(stream) if p.size), packets):
            content += b"".join(bytes(out) for out in context.filter(packet))
    return content


def _captions(path: Path) -> list[bytes | None]:
    with av.open(str(path)) as container:
        found = [frame.side_data.get("A53_CC") for frame in container.decode(video=0)]
    return [None if side is None else bytes(side) for side in found]


def test_a_decoder_s_threads_never_wait_for_python_to_log(clip: Clip) -> None:
    """A thread that frees their decoder holds Python's lock."""
    with Source(str(clip(codec="libx264", frames=3))):
        heard, _ = av.logging.get_last_error()
        av.logging.log(av.logging.ERROR, "h264", "non-existing PPS 0 referenced")
        assert av.logging.get_last_error()[0] == heard


def test_a_decoder_s_thread_that_logs_late_finds_a_level_to_compare_with(clip: Clip) -> None:
    """PyAV's callback compares without asking whether there is one, and prints a traceback."""
    with Source(str(clip(codec="libx264", frames=3))):
        assert isinstance(av.logging.get_level(), int)
