"""Damage that is met after hours costs no finished segment: the same command with --salvage goes on."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from sr_core.errors import BadInput, DamagedMedia
from sr_video.decide.plan import Request
from sr_video.segments import run
from sr_video.segments.job import WorkFolder
from sr_video.segments.run import upscale
from sr_video.segments.terms import Segmenting
from srvid.recipe import EngineRecipe
from tests.video.segments.conftest import Quiet

Clip = Callable[[str], Path]


@pytest.fixture
def broken(clip: Clip, tmp_path: Path) -> Path:
    """Six seconds, of which the last does not decode."""
    content = bytearray(clip("plain.mp4").read_bytes())
    with av.open(str(clip("plain.mp4"))) as file:
        for packet in file.demux(file.streams.video[0]):
            if packet.size and packet.pos is not None and (packet.pts or 0) * packet.time_base >= 5:
                content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    return path


def ask(source: Path, *, salvage: bool) -> Quiet:
    listener = Quiet()
    request = Request(
        source=str(source), target=str(source.with_name("out.mkv")), scale=2, codec="ffv1", salvage=salvage
    )
    upscale(request, EngineRecipe(model="nearest"), listener, Segmenting(seconds=Fraction(1)))
    return listener


def records_of(source: Path) -> list[str]:
    return sorted(path.name for path in WorkFolder.of(source.with_name("out.mkv")).path.glob("0*.json"))


def test_a_job_begun_without_salvage_goes_on_with_it(broken: Path) -> None:
    with pytest.raises(DamagedMedia) as caught:
        ask(broken, salvage=False)
    assert "of 6 segments are kept: with it, they are used" in caught.value.hint
    before = records_of(broken)
    assert before
    assert ask(broken, salvage=True).resumed == [len(before)]
    assert [path.name for path in broken.parent.glob("out.*")] == ["out.mkv"]


def test_what_was_salvaged_is_not_taken_for_whole_by_a_run_without_it(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DamagedMedia):
        ask(broken, salvage=False)
    with monkeypatch.context() as patch:
        patch.setattr(run, "write_joined", lambda *words: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask(broken, salvage=True)
    assert len(records_of(broken)) == 6
    with pytest.raises(DamagedMedia):
        ask(broken, salvage=False)


def test_a_job_begun_with_salvage_is_not_gone_on_with_without_it(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run, "write_joined", lambda *words: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask(broken, salvage=True)
    with pytest.raises(BadInput, match="salvage: was yes, now no"):
        ask(broken, salvage=False)
