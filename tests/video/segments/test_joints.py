"""The joined file holds what a straight run holds, and the same bytes however it was made."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import onnx
import pytest

from sr_core.testing import nearest_model
from srvid.recipe import EngineRecipe

Run = Callable[..., subprocess.CompletedProcess[str]]
Here = Callable[..., Any]
Clip = Callable[[str], Path]
Shown = Callable[[Path], list[tuple[Fraction, int]]]
KINDS = (
    "plain.mp4 b-pyramid.mp4 open-gop.mp4 intra-refresh.mp4 one-key.mkv hevc.mp4 mpeg2.ts h264.ts "
    "interlaced.mkv vfr.mkv edited.mp4 late.mkv"
).split()


@pytest.mark.parametrize("name", KINDS)
def test_no_frame_is_lost_doubled_moved_or_changed(
    name: str, clip: Clip, upscale_here: Here, shown: Shown, complaints: Callable[[Path], str], tmp_path: Path
) -> None:
    joined, straight = tmp_path / "joined.mkv", tmp_path / "straight.mkv"
    assert upscale_here(clip(name), joined, segment=1).notes == []
    upscale_here(clip(name), straight, segment=None)
    assert shown(joined) == shown(straight)
    assert complaints(joined) == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["joined.mkv", "straight.mkv"]


@pytest.mark.parametrize(
    ("codec", "ending"),
    [("libx264", "mp4"), ("libx265", "mp4"), ("libsvtav1", "mkv"), ("ffv1", "mkv"), ("prores", "mov")],
)
def test_one_process_or_three_make_the_same_bytes(
    codec: str, ending: str, clip: Clip, srvid: Run, complaints: Callable[[Path], str], tmp_path: Path
) -> None:
    alone, shared = tmp_path / f"alone.{ending}", tmp_path / f"shared.{ending}"
    arguments = ("--codec", codec, "--segment", 1)
    done = srvid(clip("vfr.mkv"), alone, *arguments)
    assert done.returncode == 0, done.stderr
    done = srvid(clip("vfr.mkv"), shared, *arguments, "--workers", 3)
    assert done.returncode == 0, done.stderr
    assert alone.read_bytes() == shared.read_bytes()
    assert complaints(alone) == ""


def test_sound_is_copied_packet_by_packet_and_decoding_times_rise(clip: Clip, srvid: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    assert srvid(clip("plain.mp4"), target, "--segment", 1, "--preset", "medium").returncode == 0
    with av.open(str(clip("plain.mp4"))) as before, av.open(str(target)) as after:
        sound = [[(p.pts, bytes(p)) for p in file.demux(file.streams.audio[0]) if p.size] for file in (before, after)]
    assert sound[0] == sound[1]
    with av.open(str(target)) as after:
        packets = [packet for packet in after.demux(after.streams.video[0]) if packet.size]
    decoding = [packet.dts for packet in packets]
    assert all(first < second for first, second in itertools.pairwise(decoding))  # type: ignore[operator]
    assert all(packet.dts <= packet.pts for packet in packets)  # type: ignore[operator]
    assert sum(packet.is_keyframe for packet in packets) >= 6


def test_a_cut_out_part_is_the_same_in_segments(clip: Clip, upscale_here: Here, shown: Shown, tmp_path: Path) -> None:
    joined, straight = tmp_path / "joined.mkv", tmp_path / "straight.mkv"
    cut = {"start": Fraction("1.5"), "end": Fraction("4.7")}
    upscale_here(clip("plain.mp4"), joined, segment=1, **cut)
    upscale_here(clip("plain.mp4"), straight, segment=None, **cut)
    assert shown(joined) == shown(straight)
    assert len(shown(joined)) == 80


@pytest.mark.parametrize("name", ["vfr.mkv", "interlaced.mkv"])
def test_a_frame_has_the_same_grain_in_segments_and_in_a_part(
    name: str, clip: Clip, upscale_here: Here, shown: Shown, tmp_path: Path
) -> None:
    onnx.save(nearest_model(2), str(tmp_path / "repeats-x2.onnx"))
    recipe = EngineRecipe(
        model=str(tmp_path / "repeats-x2.onnx"), backend="openvino", precision="exact", tile=64, grain=0.5
    )
    runs: dict[str, dict[str, Any]] = {
        "plain": {"recipe": replace(recipe, grain=0.0), "segment": None},
        "straight": {"recipe": recipe, "segment": None},
        "joined": {"recipe": recipe, "segment": 1},
        "part": {"recipe": recipe, "segment": None, "start": Fraction("1.5"), "end": Fraction("3.5")},
    }
    found = {}
    for run, options in runs.items():
        upscale_here(clip(name), tmp_path / f"{run}.mkv", **options)
        found[run] = shown(tmp_path / f"{run}.mkv")
    assert found["joined"] == found["straight"]
    pictures = [picture for _, picture in found["straight"]]
    assert not set(pictures) & {picture for _, picture in found["plain"]}
    assert len(found["part"]) >= 25
    assert {picture for _, picture in found["part"]} <= set(pictures)


def test_a_video_shorter_than_a_segment_is_streamed(clip: Clip, upscale_here: Here, tmp_path: Path) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    upscale_here(clip("plain.mp4"), first, segment=20, codec="libx264")
    upscale_here(clip("plain.mp4"), second, segment=None, codec="libx264")
    assert first.read_bytes() == second.read_bytes()


def test_a_video_without_presentation_times_is_streamed_and_says_so(
    clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    source = tmp_path / "old.avi"
    subprocess.run(["ffmpeg", "-v", "error", "-i", clip("plain.mp4"), "-c", "copy", str(source)], check=True)
    notes = upscale_here(source, tmp_path / "out.mkv", segment=1).notes
    assert notes == ["no segments, so this run cannot be resumed: avi stores no presentation times"]


def test_a_segment_of_which_nothing_decodes_is_left_out_of_a_salvaged_video(
    clip: Clip, srvid: Run, shown: Shown, tmp_path: Path
) -> None:
    broken, target = tmp_path / "broken.mp4", tmp_path / "out.mkv"
    content = bytearray(clip("plain.mp4").read_bytes())
    with av.open(str(clip("plain.mp4"))) as file:
        lost = [p for p in file.demux(file.streams.video[0]) if p.size and 2 <= (p.pts or 0) * p.time_base < 4]
        for packet in lost:
            assert packet.pos is not None
            content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    broken.write_bytes(content)
    arguments = (broken, target, "--segment", 1, "--codec", "ffv1")
    refused = srvid(*arguments)
    assert refused.returncode == 1
    assert "--salvage keeps what can be decoded" in refused.stderr
    assert "segments are kept: with it, they are used" in refused.stderr
    done = srvid(*arguments, "--salvage")
    assert done.returncode == 0, done.stderr
    assert "salvaged: " in done.stderr
    whole = {time for time, _ in shown(clip("plain.mp4"))}
    left = {time for time, _ in shown(target)}
    assert left <= whole
    assert {time for time in whole if time < 2 or time >= 4} <= left
