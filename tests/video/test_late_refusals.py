"""What a container refuses in the middle costs that stream its rest, never the work."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from sr_core.errors import BadInput, Cancelled, StorageError, VerificationError
from sr_video import transcode
from sr_video.decide.containers import output_format
from sr_video.decide.plan import Request, plan_output
from sr_video.native import writing
from sr_video.read.source import Source
from sr_video.segments import run
from sr_video.segments.run import Segmenting, upscale
from sr_video.segments.segment import open_encoder
from sr_video.write import gaps, rehearsal
from sr_video.write.sink import Sink
from srvid.recipe import EngineRecipe
from tests.conftest import PROJECT
from tests.video.conftest import Clip, Heard, read_back, upscaled


def with_late_sound(source: Path, target: Path, *, seconds: int = 13 * 3600, **tags: str) -> Path:
    """`source` with the second half of its sound later, by default so much that MP4 cannot store it."""
    with av.open(str(source)) as read, av.open(str(target), "w") as out:
        copies = [out.add_stream_from_template(stream) for stream in read.streams]
        copies[-1].metadata.update(tags)
        for packet in read.demux():
            if packet.size and packet.pts is not None and packet.dts is not None:
                copy = copies[packet.stream.index]
                if copy.type == "audio" and packet.pts * packet.time_base > 0.2:
                    late = round(seconds / packet.time_base)
                    packet.pts, packet.dts = packet.pts + late, packet.dts + late
                packet.stream = copy
                out.mux(packet)
    return target


def test_sound_that_jumps_too_far_for_mp4_is_said_before_the_first_frame(clip: Clip, tmp_path: Path) -> None:
    source = with_late_sound(clip(sound=True, frames=24), tmp_path / "late.mkv")
    heard = upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert any("stream 1, audio" in note and "lost" in note and "jump" in note for note in heard.notes)
    assert read_back(tmp_path / "out.mp4").kinds == ["video"]


PLAIN = {"preset": "ultrafast"}  # no picture is decoded before one that is shown earlier


@pytest.fixture
def short_first_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read first, and held in memory, is a picture."""
    monkeypatch.setattr(rehearsal, "_MAX_BYTES", 500)


@pytest.mark.usefixtures("short_first_part")
def test_what_comes_behind_the_first_part_of_a_file_is_said_before_the_first_frame_too(
    clip: Clip, tmp_path: Path
) -> None:
    source = with_late_sound(clip(sound=True, frames=24), tmp_path / "late.mkv")
    heard = upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert any("stream 1, audio" in note and "lost" in note and "jump" in note for note in heard.notes)
    assert read_back(tmp_path / "out.mp4").kinds == ["video"]


@pytest.mark.usefixtures("short_first_part")
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_all_of_the_other_streams_is_tried_in_a_file_without_a_name(
    ending: str, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of MP4's own video nothing is read for it."""
    source = clip(f"in.{ending}", codec="libx264", sound=True, frames=24)
    tried, names = [Counter[int]()], set[str]()
    verify = Sink.verify

    def looking(sink: Sink) -> None:
        if sink.memory is not None:
            tried.append(sink.packets)
            names.update(path.name for path in tmp_path.iterdir())
        verify(sink)

    monkeypatch.setattr(Sink, "verify", looking)
    assert upscaled(source, tmp_path / "out.mkv").times_read == 1
    assert len(tried) == 3
    assert tried[1][1] < tried[2][1] == len(read_back(source).packets[1])
    assert names == {source.name}


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_trial_that_is_not_wanted_any_more_ends_at_the_next_packet(ending: str, clip: Clip, tmp_path: Path) -> None:
    source = clip(f"in.{ending}", codec="libx264", sound=True, frames=24)
    asked = Counter[str]()

    def is_wanted() -> bool:
        asked["times"] += 1
        return asked["times"] < 5

    with Source(str(source)) as opened:
        plan = plan_output(opened, Request(source=str(source), target=str(tmp_path / "out.mkv"), scale=2))
        with pytest.raises(Cancelled):
            rehearsal.rehearse(opened, plan, tmp_path, is_wanted=is_wanted)
    assert asked["times"] == 5


def test_a_disk_without_room_for_the_trial_is_told_with_its_folder(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        with writing(Path("rehearsal")):  # as the trial's sink is called
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transcode, "Run", None)  # nothing is upscaled
    monkeypatch.setattr(Sink, "copy", full)
    with pytest.raises(StorageError) as caught:
        upscaled(clip(sound=True), tmp_path / "out.mkv")
    assert caught.value.message == f"cannot try the other streams in {tmp_path}: No space left on device"
    assert "free some space" in caught.value.hint


@pytest.mark.parametrize(("times", "is_refused"), [([0, 20_000, 0, 24_000], False), ([0, 20_000, 0, 44_000], True)])
def test_a_clock_that_jumps_back_and_forth_is_measured_from_where_it_was(times: list[int], is_refused: bool) -> None:
    """Such a packet is held at the latest time, so MP4 need store only what is beyond it."""
    target: Any = SimpleNamespace(index=0, time_base=Fraction(1, 90_000))  # 23,860 s at the most
    watched = gaps.Gaps(output_format("out.mp4"))
    with pytest.raises(BadInput, match="jump") if is_refused else nullcontext():
        for seconds in times:
            packet: Any = SimpleNamespace(dts=seconds, pts=seconds, time_base=Fraction(1))
            watched.check(packet, target)


class _Full(io.BytesIO):
    def write(self, content: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_header_without_room_is_told_as_such_and_not_as_a_refusal_of_the_encoder(clip: Clip, tmp_path: Path) -> None:
    source = clip()
    with Source(str(source)) as opened:
        request = Request(source=str(source), target=str(tmp_path / "out.mp4"), scale=2, codec="libx264")
        plan = plan_output(opened, request)
        with pytest.raises(StorageError, match="cannot write rehearsal: No space left on device"):
            Sink("rehearsal", opened, plan, memory=_Full())
    if os.path.exists("/dev/full"):
        with av.open("/dev/full", "w", format="mp4") as out, pytest.raises(OSError, match="No space left"):
            open_encoder(out, plan.encoder)


@pytest.mark.usefixtures("short_first_part")
@pytest.mark.parametrize("ending", ["mkv", "mov"])
def test_a_late_jump_of_the_video_itself_is_refused_before_the_first_frame(
    ending: str, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcode, "Run", None)  # nothing is upscaled
    monkeypatch.setattr(gaps, "_MP4_TICKS", 100_000)
    source = clip(f"in.{ending}", codec="libx264", ticks=[*range(0, 240, 40), 90_000, 90_040], options=PLAIN)
    with pytest.raises(BadInput, match="the times of the input jump by 1:30, more than mp4 can store"):
        upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.usefixtures("short_first_part")
def test_tags_that_are_lost_are_said_once_however_often_it_is_tried(clip: Clip, tmp_path: Path) -> None:
    source = with_late_sound(clip(sound=True, frames=24), tmp_path / "late.mkv", seconds=1, ARTIST="somebody")
    heard = upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert [note for note in heard.notes if "lost" in note] == ["tags of stream 1 lost: ARTIST: mp4 does not keep them"]


def test_what_is_refused_behind_the_rehearsal_costs_that_stream_its_rest_only(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcode, "rehearse", lambda source, plan, folder, on_reading: plan)
    source = with_late_sound(clip(sound=True, frames=24), tmp_path / "late.mkv")
    with pytest.raises(VerificationError, match=r"stream 1 .* does not reach its end in the output: .* jump") as caught:
        upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert "out.mp4.part is complete but for that" in caught.value.hint
    made = read_back(tmp_path / "out.mp4.part")
    assert (len(made.seconds), made.kinds) == (24, ["video", "audio"])


class _Told(Heard):
    def indexing(self, share: float) -> None: ...

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None: ...

    def noted(self, text: str) -> None: ...


def test_segments_are_joined_into_what_is_kept_where_a_stream_is_refused(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "rehearse", lambda source, plan, folder, on_reading: plan)
    source = with_late_sound(clip(sound=True, frames=24), tmp_path / "late.mkv")
    request = Request(
        source=str(source), target=str(tmp_path / "out.mp4"), scale=2, codec="libx264", preset="ultrafast"
    )
    with pytest.raises(VerificationError, match="does not reach its end") as caught:
        upscale(request, EngineRecipe(model="nearest"), _Told(), Segmenting(seconds=Fraction(1, 4)))
    assert "out.mp4.part is complete but for that" in caught.value.hint
    assert "delete out.mp4.srvid" in caught.value.hint
    assert len(read_back(tmp_path / "out.mp4.part").seconds) == 24


def test_what_fails_while_it_is_joined_is_never_called_complete(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream was refused, and then the joining ended early: what there is of OUT.part is removed."""
    real = run.write_joined

    def torn(sink: Sink, *rest: object) -> None:
        real(sink, *rest)  # type: ignore[arg-type]
        assert sink.refused
        raise VerificationError("segment 1 does not hold the frames that were put into it")

    monkeypatch.setattr(run, "rehearse", lambda source, plan, folder, on_reading: plan)
    monkeypatch.setattr(run, "write_joined", torn)
    source = with_late_sound(clip(sound=True, frames=24), tmp_path / "late.mkv")
    request = Request(
        source=str(source), target=str(tmp_path / "out.mp4"), scale=2, codec="libx264", preset="ultrafast"
    )
    with pytest.raises(VerificationError, match="segment 1") as caught:
        upscale(request, EngineRecipe(model="nearest"), _Told(), Segmenting(seconds=Fraction(1, 4)))
    assert "complete" not in caught.value.hint
    assert "finished segments are kept" in caught.value.hint
    assert {path.name for path in tmp_path.glob("out.*")} == {"out.mp4.srvid"}


def test_a_pipe_is_said_to_be_tried_as_it_comes(clip: Clip, tmp_path: Path) -> None:
    source = with_late_sound(clip(sound=True, frames=24), tmp_path / "late.mkv")
    words = ["-", tmp_path / "out.mp4", "--model", "nearest", "--scale", "2", "--preset", "ultrafast"]
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
    with source.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "srvid_cli.srvid", *map(str, words)],
            env={**os.environ, "PYTHONPATH": paths}, stdin=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "standard input is read only once: whether mp4 takes all of stream 1 shows as it comes" in done.stderr
    assert "out.mp4.part is complete but for that" in done.stderr
    assert len(read_back(tmp_path / "out.mp4.part").seconds) == 24


def test_the_last_cue_too_late_for_mp4_costs_the_cues_their_rest_only(clip: Clip, tmp_path: Path) -> None:
    cues = "".join(
        f"{number}\n{begin},000 --> {begin},400\ncue {number}\n\n"
        for number, begin in enumerate(("00:00:00", "00:00:01", "833:20:00"), 1)
    )
    (tmp_path / "cues.srt").write_text(cues, encoding="utf-8")
    with (
        av.open(str(clip(frames=24))) as pictures,
        av.open(str(tmp_path / "cues.srt")) as texts,
        av.open(str(tmp_path / "in.mkv"), "w") as out,
    ):
        copies = [out.add_stream_from_template(read.streams[0]) for read in (pictures, texts)]
        for read, copy in zip((texts, pictures), copies[::-1], strict=True):
            for packet in read.demux():
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    words = ["-", tmp_path / "out.mp4", "--model", "nearest", "--scale", "2", "--preset", "ultrafast"]
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
    with (tmp_path / "in.mkv").open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "srvid_cli.srvid", *map(str, words)],
            env={**os.environ, "PYTHONPATH": paths}, stdin=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "stream 1 of the input does not reach its end in the output: the times of the input jump" in done.stderr
    assert "please report" not in done.stderr
    assert len(read_back(tmp_path / "out.mp4.part").seconds) == 24
