"""Files that are not srvid's stay as they are, whatever name they have."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from sr_core.errors import BadInput, SrError, StorageError
from sr_video.decide.plan import Request
from sr_video.segments.run import upscale
from sr_video.segments.terms import Segmenting
from srvid.recipe import EngineRecipe
from tests.video.conftest import Clip, Heard, upscaled

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of another kind")
KEYS = {"codec": "libx264", "options": {"g": "2", "preset": "ultrafast"}, "frames": 8}


class Told(Heard):
    """A listener that is also told of segments."""

    def indexing(self, share: float) -> None: ...

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None: ...

    def noted(self, text: str) -> None: ...


def in_segments(source: Path, target: Path, *, restart: bool = False) -> None:
    """Upscale in segments of a tenth of a second."""
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    segmenting = Segmenting(seconds=Fraction(1, 10), restart=restart)
    upscale(request, EngineRecipe(model="nearest"), Told(), segmenting)


def test_a_link_named_as_the_part_is_replaced_and_its_target_untouched(clip: Clip, tmp_path: Path) -> None:
    victim, target = tmp_path / "victim.txt", tmp_path / "out.mkv"
    victim.write_text("precious")
    (tmp_path / "out.mkv.part").symlink_to(victim)
    upscaled(clip(), target)
    assert victim.read_text() == "precious"
    assert target.is_file()
    assert not target.is_symlink()


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_pipe_or_a_folder_named_as_the_part_is_refused_in_a_line(kind: str, clip: Clip, tmp_path: Path) -> None:
    part = tmp_path / "out.mkv.part"
    os.mkfifo(part) if kind == "pipe" else part.mkdir()
    with pytest.raises(StorageError, match=rf"out\.mkv\.part is a .*{kind}"):
        upscaled(clip(), tmp_path / "out.mkv")
    assert sorted(os.listdir(tmp_path)) == ["in.mkv", "out.mkv.part"]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_work_folder_that_is_not_ours_is_left_as_it_is(kind: str, restart: bool, clip: Clip, tmp_path: Path) -> None:
    target, work, precious = tmp_path / "out.mkv", tmp_path / "out.mkv.srvid", tmp_path / "precious"
    (precious if kind == "link" else work).mkdir()
    if kind == "link":
        work.symlink_to(precious)
    for name in ("keep.txt", "1.part", ".hidden", "00001.json"):
        (work / name).write_text("precious")
    with pytest.raises(SrError, match="is a link" if kind == "link" else "did not make"):
        in_segments(clip(**KEYS), target, restart=restart)
    assert sorted(os.listdir(work)) == [".hidden", "00001.json", "1.part", "keep.txt"]


@pytest.mark.parametrize("name", ["sub", "1.part", "00001.json", "00001.7.part", "manifest.json"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_folder_inside_the_work_folder_is_refused_in_a_line(
    name: str, restart: bool, clip: Clip, tmp_path: Path
) -> None:
    inside = tmp_path / "out.mkv.srvid" / name
    inside.mkdir(parents=True)
    with pytest.raises(StorageError, match=f"did not make: {name}"):
        in_segments(clip(**KEYS), tmp_path / "out.mkv", restart=restart)
    assert inside.is_dir()


def test_a_work_folder_with_leftovers_of_dead_runs_is_ours(clip: Clip, tmp_path: Path) -> None:
    work = tmp_path / "out.mkv.srvid"
    work.mkdir()
    for name in ("lock", "00001.7.part", "00000.nut", ".manifest.json.0123abcd", ".00000.json.0123abcd"):
        (work / name).write_text("old")
    in_segments(clip(**KEYS), tmp_path / "out.mkv")
    assert sorted(os.listdir(tmp_path)) == ["in.mkv", "out.mkv"]


def test_an_output_folder_that_vanishes_is_named(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work folder goes too; cleaning it up must not hide why the work ended."""
    from sr_video.segments import maker

    def vanish(*_: object, **__: object) -> None:
        for path in sorted((tmp_path / "gone").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (tmp_path / "gone").rmdir()
        raise StorageError("cannot write gone/out.mkv: No such file or directory")

    (tmp_path / "gone").mkdir()
    monkeypatch.setattr(maker, "make_segment", vanish)
    with pytest.raises(StorageError, match="No such file"):
        in_segments(clip(**KEYS), tmp_path / "gone/out.mkv")


@pytest.mark.parametrize("name", ["out.mkv.part", "out.mkv.srvid/00000.nut"])
@pytest.mark.parametrize("seconds", [None, Fraction(1)])
def test_an_input_with_the_name_of_the_unfinished_output_is_refused_and_stays(
    name: str, seconds: Fraction | None, clip: Clip, tmp_path: Path
) -> None:
    """A browser calls a download film.mkv.part."""
    source, target = tmp_path / name, tmp_path / "out.mkv"
    source.parent.mkdir(exist_ok=True)
    clip().rename(source)
    before = source.read_bytes()
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    with pytest.raises(BadInput, match="it would be removed"):
        upscale(request, EngineRecipe(model="nearest"), Told(), Segmenting(seconds=seconds, restart=True))
    assert source.read_bytes() == before


@pytest.mark.parametrize("letters", [248, 260])
@pytest.mark.parametrize("seconds", [None, Fraction(1)])
def test_a_name_too_long_for_what_lies_beside_it_is_told_in_words(
    letters: int, seconds: Fraction | None, clip: Clip, tmp_path: Path
) -> None:
    request = Request(source=str(clip()), target=str(tmp_path / f"{'a' * letters}.mkv"), scale=2, codec="ffv1")
    with pytest.raises(StorageError, match="too long"):
        upscale(request, EngineRecipe(model="nearest"), Told(), Segmenting(seconds=seconds))
