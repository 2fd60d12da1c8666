"""--steady: a frame depends on its neighbours in the file, not on where the work is cut."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sr_core.errors import BadInput
from sr_video.segments import run

Here = Callable[..., Any]
Clip = Callable[[str], Path]
Shown = Callable[[Path], list[tuple[Fraction, int]]]
Run = Callable[..., Any]
KINDS = ["open-gop.mp4", "mpeg2.ts", "interlaced.mkv", "interlaced-intra.mkv", "vfr.mkv"]


@pytest.mark.parametrize("name", KINDS)
def test_segments_hold_the_frames_of_a_straight_run(
    name: str, clip: Clip, upscale_here: Here, shown: Shown, tmp_path: Path
) -> None:
    joined, straight = tmp_path / "joined.mkv", tmp_path / "straight.mkv"
    upscale_here(clip(name), joined, segment=1, steady=True)
    upscale_here(clip(name), straight, segment=None, steady=True)
    assert shown(joined) == shown(straight)


@pytest.mark.parametrize("name", ["plain.mp4", "interlaced.mkv"])
@pytest.mark.parametrize("segment", [None, 1], ids=["straight", "segments"])
def test_a_part_has_the_frames_of_the_whole(
    name: str, segment: int | None, clip: Clip, upscale_here: Here, shown: Shown, tmp_path: Path
) -> None:
    whole, part, plain = (tmp_path / f"{name}.mkv" for name in ("whole", "part", "plain"))
    cut = {"start": Fraction("1.52"), "end": Fraction("4.6")}
    upscale_here(clip(name), whole, segment=None, steady=True)
    upscale_here(clip(name), part, segment=segment, steady=True, **cut)
    upscale_here(clip(name), plain, segment=None, **cut)
    pictures, unsteadied = ([picture for _, picture in shown(path)] for path in (part, plain))
    assert pictures == [picture for time, picture in shown(whole) if cut["start"] <= time < cut["end"]]
    assert pictures[0] != unsteadied[0], "the frame before --start was not used"
    assert pictures[-1] != unsteadied[-1], "the frame after --end was not used"


def test_a_job_goes_on_with_it_alone_and_ends_as_if_it_had_never_stopped(
    clip: Clip, upscale_here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    with monkeypatch.context() as patch:
        patch.setattr(run, "write_joined", lambda *words: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            upscale_here(clip("plain.mp4"), target, segment=1, steady=True)
    (tmp_path / "out.mkv.srvid" / "00002.json").unlink()
    with pytest.raises(BadInput, match="steady: was yes, now nothing"):
        upscale_here(clip("plain.mp4"), target, segment=1)
    assert upscale_here(clip("plain.mp4"), target, segment=1, steady=True).resumed == [5]
    upscale_here(clip("plain.mp4"), whole, segment=1, steady=True)
    assert target.read_bytes() == whole.read_bytes()


def test_two_processes_make_the_bytes_of_one(clip: Clip, srvid: Run, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone.mkv", tmp_path / "shared.mkv"
    arguments = ("--segment", 2, "--steady")
    assert srvid(clip("plain.mp4"), alone, *arguments).returncode == 0
    assert srvid(clip("plain.mp4"), shared, *arguments, "--workers", 2).returncode == 0
    assert alone.read_bytes() == shared.read_bytes()


def test_grain_is_not_laid_to_be_averaged_away(clip: Clip, srvid: Run, tmp_path: Path) -> None:
    done = srvid(clip("tiny.mp4"), tmp_path / "out.mkv", "--steady", "--grain", "0.5")
    assert done.returncode == 1
    assert "--steady would average the grain of --grain 0.5 away" in done.stderr


def test_a_picture_too_small_for_it_is_refused_before_the_work(clip: Clip, upscale_here: Here, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs 8 pixels each way, and the picture is 32x6"):
        upscale_here(clip("low.mkv"), tmp_path / "out.mkv", segment=None, steady=True)
    assert not (tmp_path / "out.mkv").exists()
