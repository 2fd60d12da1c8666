"""Worker processes: one that dies is replaced, errors that would come again are not tried again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sr_core.errors import BadInput, EngineError, NotAvailable
from sr_video.decide.plan import Request
from sr_video.nearest import NearestUpscaler
from sr_video.segments.run import upscale
from sr_video.segments.terms import Segmenting
from sr_work.processes import Processes
from sr_work.scheduler import TRIES

Clip = Callable[[str], Path]
Here = Callable[..., Any]


@dataclass(frozen=True)
class Deadly:
    """An engine that kills its process until it has done so `times` times: as it is opened, or by its first frame."""

    tally: Path
    times: int
    at_work: bool = False
    gpus: int = 0
    takes_gpu: bool = False

    @contextmanager
    def open(self, scale: int) -> Iterator[NearestUpscaler]:
        if not self.at_work:
            self.die()
        with _DeadlyUpscaler(scale, self) as engine:
            yield engine

    def die(self) -> None:
        if self.deaths() < self.times:
            with self.tally.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)

    def deaths(self) -> int:
        return len(self.tally.read_text()) if self.tally.exists() else 0

    def like(self, identity: dict[str, str]) -> Deadly:
        return self

    def versions(self) -> dict[str, str]:
        return {}


class _DeadlyUpscaler(NearestUpscaler):
    def __init__(self, scale: int, recipe: Deadly) -> None:
        super().__init__(scale)
        self._recipe = recipe

    def submit(self, planes: Any, fmt: Any, color: Any) -> Any:
        if self._recipe.at_work:
            self._recipe.die()
        return super().submit(planes, fmt, color)


@dataclass(frozen=True)
class Seeing(Deadly):
    """Notes which GPUs its process may see, and begins when `together` processes have done so."""

    together: int = 1
    backend: str = "tensorrt"

    @contextmanager
    def open(self, scale: int) -> Iterator[NearestUpscaler]:
        with self.tally.open("a") as file:
            file.write(os.environ["CUDA_VISIBLE_DEVICES"] + "\n")
        with _SeeingUpscaler(scale, self) as engine:
            yield engine

    def seen(self) -> list[str]:
        return sorted(self.tally.read_text().split())


class _SeeingUpscaler(NearestUpscaler):
    def __init__(self, scale: int, recipe: Seeing) -> None:
        super().__init__(scale)
        self._recipe = recipe

    def submit(self, planes: Any, fmt: Any, color: Any) -> Any:
        deadline = time.monotonic() + 600
        while len(self._recipe.seen()) < self._recipe.together:
            assert time.monotonic() < deadline, "the other workers did not begin"
            time.sleep(0.02)
        return super().submit(planes, fmt, color)

    def identity(self, frames: object) -> dict[str, str]:
        return {"model": "nearest", "backend": self._recipe.backend}


def run(source: Path, target: Path, recipe: Deadly, workers: int, listener: Any, devices: tuple[str, ...] = ()) -> None:
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    pool = Processes(workers=workers, devices=devices)
    upscale(request, recipe, listener, Segmenting(seconds=Fraction(2), pool=pool))


def test_segments_of_dead_workers_are_made_by_others(clip: Clip, upscale_here: Here, tmp_path: Path) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=2)
    recipe = Deadly(tmp_path / "tally", times=TRIES - 1)
    run(clip("plain.mp4"), target, recipe, 1, listener)
    assert recipe.deaths() == TRIES - 1
    assert target.read_bytes() == alone.read_bytes()


def test_a_segment_that_kills_every_worker_stops_the_work_with_its_number(
    clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=2)
    recipe = Deadly(tmp_path / "tally", times=1000, at_work=True)
    with pytest.raises(EngineError, match=f"segment 0 failed {TRIES} times, last with: exit code -9"):
        run(clip("plain.mp4"), tmp_path / "out.mkv", recipe, 1, listener)
    assert recipe.deaths() == TRIES
    assert not (tmp_path / "out.mkv").exists()
    assert (tmp_path / "out.mkv.srvid" / "manifest.json").exists()


def test_an_engine_that_kills_every_worker_is_one_error_before_any_work(
    clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=2)
    recipe = Deadly(tmp_path / "tally", times=1000)
    with pytest.raises(EngineError, match="a worker died as it opened its engine: exit code -9"):
        run(clip("plain.mp4"), tmp_path / "out.mkv", recipe, 1, listener)
    assert recipe.deaths() == TRIES
    assert not (tmp_path / "out.mkv.srvid" / "manifest.json").exists()


def test_workers_end_when_their_coordinator_is_killed(clip: Clip, start_srvid: Here, tmp_path: Path) -> None:
    arguments = ("--segment", 1, "--codec", "libx264", "--preset", "slower", "--workers", 2)
    process = start_srvid(clip("plain.mp4"), tmp_path / "out.mp4", *arguments)
    while not list(tmp_path.rglob("*.part")):
        assert process.poll() is None
        time.sleep(0.01)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(workers) >= 2
    process.kill()
    deadline = time.monotonic() + 600
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers outlive their coordinator"
        time.sleep(0.05)


def test_each_worker_sees_one_of_the_named_gpus_alone(clip: Clip, upscale_here: Here, tmp_path: Path) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=2)
    recipe = Seeing(tmp_path / "tally", times=0, together=3)
    run(clip("plain.mp4"), target, recipe, 3, listener, devices=("0", "2", "5"))
    assert recipe.seen() == ["0", "2", "5"]
    assert listener.notes == ["every worker's engine: tensorrt"]
    assert target.read_bytes() == alone.read_bytes()


def test_devices_are_numbered_among_those_that_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under CUDA_VISIBLE_DEVICES=2,GPU-7 the second GPU is GPU-7, not the machine's number 1."""
    from sr_work import processes

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-7")
    assert [processes._as_a_child_counts(device) for device in ("0", "1", "GPU-3")] == ["2", "GPU-7", "GPU-3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert processes._as_a_child_counts("1") == "1"


def test_gpus_that_the_engine_would_not_use_are_an_error(clip: Clip, upscale_here: Here, tmp_path: Path) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=2)
    recipe = Seeing(tmp_path / "tally", times=0, backend="openvino")
    with pytest.raises(NotAvailable, match="devices=0,1 names NVIDIA GPUs, but the engine here is openvino"):
        run(clip("plain.mp4"), tmp_path / "out.mkv", recipe, 2, listener, devices=("0", "1"))
    assert not (tmp_path / "out.mkv.srvid").exists()


def test_no_workers_at_all_is_refused() -> None:
    with pytest.raises(BadInput):
        Processes(workers=0)
