"""Tiles that became smaller because memory ran out: every segment is made with one size, and the job keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sr_core.errors import Cancelled
from sr_video.decide.plan import Request
from sr_video.nearest import NearestUpscaler
from sr_video.segments import maker
from sr_video.segments import run as run_module
from sr_video.segments.job import Record, WorkFolder
from sr_video.segments.run import upscale
from sr_video.segments.terms import Segmenting
from tests.video.segments.conftest import Quiet

Clip = Callable[[str], Path]
LARGE, SMALL = "64x48", "32x24"


@dataclass
class Tiled:
    """A recipe whose engine makes other bytes with other tiles, and whose memory runs out at one frame."""

    runs_out_at: int | None = None
    tile: str = LARGE
    first: str = LARGE
    opened: list[str] = field(default_factory=list)
    gpus, takes_gpu = 0, False

    @contextmanager
    def open(self, scale: int) -> Iterator[TiledUpscaler]:
        self.opened.append(self.tile)
        with TiledUpscaler(scale, self) as engine:
            yield engine

    def like(self, identity: dict[str, str]) -> Tiled:
        return replace(self, first=identity["tile"], tile=identity.get("tile now", identity["tile"]))

    def versions(self) -> dict[str, str]:
        return {}


class TiledUpscaler(NearestUpscaler):
    def __init__(self, scale: int, recipe: Tiled) -> None:
        super().__init__(scale)
        self.recipe, self.tile, self.frames = recipe, recipe.tile, 0

    def submit(self, planes: Any, fmt: Any, color: Any) -> Future[Any]:
        if self.frames == self.recipe.runs_out_at:
            self.tile = SMALL
        self.frames += 1
        tile = self.tile

        def enlarge() -> Any:
            made = self.planes(planes, fmt, color)
            return tuple(plane ^ (tile == SMALL) for plane in made)

        return self._pool.submit(enlarge)

    def identity(self, frames: object) -> dict[str, str]:
        return {"model": "nearest", "backend": "tiled", "tile": self.recipe.first}

    def tile_now(self, frames: object) -> str:
        return self.tile


def run(source: Path, target: Path, recipe: Tiled) -> Quiet:
    listener = Quiet()
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    upscale(request, recipe, listener, Segmenting(seconds=Fraction(2)))
    return listener


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two threads, either may be the first: frame 60 is to be one of segment 1."""
    monkeypatch.setattr(maker, "_SLOTS_HERE", 1)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Of every segment that counted, as it was finished."""
    kept: list[Record] = []
    write = WorkFolder.write_record

    def keep(folder: WorkFolder, record: Record) -> None:
        kept.append(record)
        write(folder, record)

    monkeypatch.setattr(WorkFolder, "write_record", keep)
    return kept


def test_a_job_goes_on_with_the_tiles_that_memory_left_and_gives_the_same_bytes(
    clip: Clip, tmp_path: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, target = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    run(clip("plain.mp4"), whole, Tiled(runs_out_at=60))
    assert {record.number: record.tile for record in records} == {0: LARGE, 1: SMALL, 2: SMALL}
    assert len(records) == 3  # what was made with two sizes never counted
    work = WorkFolder.of(target)

    def die(*_: object) -> None:
        raise Cancelled("the machine died")

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "write_joined", die)
        with pytest.raises(Cancelled):
            run(clip("plain.mp4"), target, Tiled(runs_out_at=60))
    work.forget(2)  # it had not come so far
    again = Tiled()  # somebody gave the memory back
    assert run(clip("plain.mp4"), target, again).resumed == [2]
    assert again.opened == [SMALL]
    assert target.read_bytes() == whole.read_bytes()


def test_what_was_made_with_two_sizes_is_made_again_with_the_smaller(
    clip: Clip, tmp_path: Path, records: list[Record]
) -> None:
    run(clip("plain.mp4"), tmp_path / "mixed.mkv", Tiled(runs_out_at=60))
    run(clip("plain.mp4"), tmp_path / "small.mkv", Tiled(tile=SMALL, first=SMALL))
    digests = {(record.number, record.tile): record.digest for record in records}
    by_number = [record for record in records if (record.number, record.tile) in ((1, SMALL), (2, SMALL))]
    assert len(by_number) == 4
    assert len({record.digest for record in by_number}) == 2
    assert digests[0, LARGE] != digests[0, SMALL]


def test_workers_that_open_later_are_told_of_the_smaller_tiles(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_work.scheduler import Workers

    told: list[str] = []
    bind = Workers.bind

    def keep(workers: Workers, work: Any) -> None:
        told.append(work.open_maker.args[0].tile)
        bind(workers, work)

    monkeypatch.setattr(Workers, "bind", keep)
    run(clip("plain.mp4"), tmp_path / "out.mkv", Tiled(runs_out_at=60))
    assert told == [LARGE, SMALL]
