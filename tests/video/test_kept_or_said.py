"""What a damaged, odd or truncated input loses is said; what is estimated refuses nothing."""

from __future__ import annotations

import os
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from sr_core.errors import BadInput, DamagedMedia
from sr_video.decide.encoding import EncoderSettings
from sr_video.write import encoder as encoder_module
from tests.video.conftest import Clip, upscaled


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def rewritten(source: Path, target: Path, change: dict[int, bytes]) -> Path:
    """A copy of the first video with the payload of some packets replaced."""
    with av.open(str(source)) as read, av.open(str(target), "w") as out:
        stream = read.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in read.demux(stream) if p.size):
            made = av.Packet(change.get(number, bytes(packet)))
            made.pts, made.dts, made.time_base, made.duration = (
                packet.pts,
                packet.dts,
                packet.time_base,
                packet.duration,
            )
            made.is_keyframe = packet.is_keyframe
            made.stream = copy
            out.mux_one(made)
    return target


@pytest.fixture
def h264(clip: Clip) -> Path:
    """Six frames without reordering."""
    return clip("sound.mkv", codec="libx264", frames=6, options={"bf": "0", "preset": "ultrafast", "g": "50"})


@pytest.mark.parametrize("number", [3, 4, 5])
def test_a_damaged_packet_near_the_end_is_an_error_and_not_fewer_frames(
    number: int, h264: Path, tmp_path: Path
) -> None:
    size = len(packets_of(h264)[number])
    source = rewritten(h264, tmp_path / "in.mkv", {number: b"\0" * size})
    with pytest.raises(DamagedMedia, match="damaged"):
        upscaled(source, tmp_path / "out.mkv")
    kept = upscaled(source, tmp_path / "out.mkv", salvage=True)
    assert kept.summary is not None
    assert kept.summary.frames == 5
    assert kept.summary.damage


def test_an_undamaged_tail_is_not_called_damaged(h264: Path, tmp_path: Path) -> None:
    assert upscaled(h264, tmp_path / "out.mkv").summary.frames == 6  # type: ignore[union-attr]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such pipes")
def test_a_named_pipe_as_input_is_refused_with_what_works(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.mkv")
    with pytest.raises(BadInput, match="is a pipe") as caught:
        upscaled(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert caught.value.hint == f"give - and lead it there: srvid - OUT < {tmp_path / 'in.mkv'}"


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="a shell there has no such names")
def test_the_output_of_a_command_as_input_is_refused_with_what_works(tmp_path: Path) -> None:
    """`srvid <(COMMAND) OUT` gives srvid the name of one of its own descriptors."""
    reading, writing = os.pipe()
    try:
        with pytest.raises(BadInput, match="is a pipe") as caught:
            upscaled(Path(f"/dev/fd/{reading}"), tmp_path / "out.mkv")
    finally:
        os.close(reading)
        os.close(writing)
    assert caught.value.hint == "COMMAND | srvid - OUT"


@pytest.mark.skipif(sys.platform == "win32", reason="names of another limit")
def test_a_name_beyond_the_file_system_s_limit_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read .*too long|no file"):
        upscaled(tmp_path / ("p" * 300 + ".mkv"), tmp_path / "out.mkv")


def test_too_little_room_by_an_estimate_is_a_note(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type(shutil.disk_usage(tmp_path))(total=1, used=1, free=1)
    monkeypatch.setattr("sr_video.decide.plan.shutil.disk_usage", lambda folder: full)
    heard = upscaled(clip(), tmp_path / "out.mkv")
    assert any("room may be short" in note for note in heard.notes)


def test_x264_keeps_off_avx512_and_the_user_s_parameters_stay(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "has_avx512", lambda: True)
    seen: list[dict[str, str]] = []
    before = encoder_module._with_hdr

    def watched(settings: EncoderSettings) -> dict[str, str]:
        seen.append(before(settings))
        return seen[-1]

    monkeypatch.setattr(encoder_module, "_with_hdr", watched)
    upscaled(clip(), tmp_path / "out.mkv", options={"x264-params": "keyint=3"})
    assert seen[0]["x264-params"] == "asm=avx2:keyint=3"


def test_x264_gives_one_stream_of_ten(clip: Clip, tmp_path: Path) -> None:
    """With the macroblock tree and B-frames of the default preset, on whatever CPU this is."""
    source = clip(frames=40, size=(96, 72), ticks=[40 * n for n in range(40)])
    made = set()
    for number in range(10):
        target = tmp_path / f"{number}.mkv"
        upscaled(source, target, preset="medium")
        made.add(b"".join(packets_of(target)))
    assert len(made) == 1


def test_a_cover_that_mov_has_no_place_for_is_said_to_be_lost(clip: Clip, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    picture = BytesIO()
    Image.new("RGB", (16, 16)).save(picture, "JPEG")
    source = clip(setup=lambda out, _: out.add_attachment("cover.jpg", "image/jpeg", picture.getvalue()))
    heard = upscaled(source, tmp_path / "out.mov", codec="libx264")
    assert any("cover" in note and "lost" in note for note in heard.notes)


def test_times_survive_where_a_packet_is_empty(clip: Clip, tmp_path: Path) -> None:
    """An empty packet repeats the picture before; the frames behind it are not lost."""
    from sr_video.read.source import Source

    with Source(str(clip(frames=6))) as source:
        real = source._packets

        def with_empty() -> object:
            for packet in real:
                yield packet
                if packet.size:
                    empty: av.Packet = av.Packet()
                    empty.stream, empty.time_base = packet.stream, packet.time_base
                    empty.pts = empty.dts = (packet.pts or 0) + 20
                    yield empty

        source._packets = with_empty()  # type: ignore[assignment]
        frames = [unit.frame for unit in source.units(copied=frozenset()) if unit.frame is not None]
    assert [frame.ticks * Fraction(1, 1000) for frame in frames] == [Fraction(n, 25) for n in range(6)]
