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
from sr_core.media.facts import VideoFacts
from sr_core.media.nearest import NearestUpscaler
from sr_core.media.plan import Request
from sr_core.retrying import TRIES
from sr_core.segments.processes import Processes
from sr_core.segments.run import Segmenting, upscale

Clip = Callable[[str], Path]
Here = Callable[..., Any]


@dataclass(frozen=True)
class Deadly:
    """An engine that kills its process each time it is opened, until it has done so `times` times."""

    tally: Path
    times: int

    @contextmanager
    def __call__(self, scale: int) -> Iterator[NearestUpscaler]:
        if self.deaths() < self.times:
            with self.tally.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        with NearestUpscaler(scale) as engine:
            yield engine

    def deaths(self) -> int:
        return len(self.tally.read_text()) if self.tally.exists() else 0

    def identity(self, scale: int, facts: VideoFacts) -> dict[str, str]:
        return {"model": "nearest"}

    def like(self, identity: dict[str, str]) -> Deadly:
        return self

    def versions(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class Seeing(Deadly):
    """Notes which GPUs its process may see, and begins when `together` processes have done so."""

    together: int = 1
    backend: str = "tensorrt"

    @contextmanager
    def __call__(self, scale: int) -> Iterator[NearestUpscaler]:
        with self.tally.open("a") as file:
            file.write(os.environ["CUDA_VISIBLE_DEVICES"] + "\n")
        deadline = time.monotonic() + 60
        while len(self.seen()) < self.together:
            assert time.monotonic() < deadline, "the other workers did not begin"
            time.sleep(0.02)
        with NearestUpscaler(scale) as engine:
            yield engine

    def seen(self) -> list[str]:
        return sorted(self.tally.read_text().split())

    def identity(self, scale: int, facts: VideoFacts) -> dict[str, str]:
        return {"model": "nearest", "backend": self.backend}


def run(source: Path, target: Path, choice: Deadly, workers: int, listener: Any, devices: tuple[str, ...] = ()) -> None:
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    crew = Processes(workers=workers, devices=devices)
    upscale(request, choice, listener, Segmenting(seconds=Fraction(2), crew=crew))


def test_segments_of_dead_workers_are_made_by_others(clip: Clip, upscale_here: Here, tmp_path: Path) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=2)
    choice = Deadly(tmp_path / "tally", times=TRIES - 1)
    run(clip("plain.mp4"), target, choice, 1, listener)
    assert choice.deaths() == TRIES - 1
    assert target.read_bytes() == alone.read_bytes()


def test_a_segment_that_kills_every_worker_stops_the_work_with_its_number(
    clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=2)
    choice = Deadly(tmp_path / "tally", times=1000)
    with pytest.raises(EngineError, match=f"segment 0 failed {TRIES} times, last with: exit code -9"):
        run(clip("plain.mp4"), tmp_path / "out.mkv", choice, 1, listener)
    assert choice.deaths() == TRIES
    assert not (tmp_path / "out.mkv").exists()
    assert (tmp_path / "out.mkv.srvid" / "manifest.json").exists()


def test_workers_end_when_their_coordinator_is_killed(clip: Clip, start_srvid: Here, tmp_path: Path) -> None:
    arguments = ("--segment", 1, "--codec", "libx264", "--preset", "slower", "--workers", 2)
    process = start_srvid(clip("plain.mp4"), tmp_path / "out.mp4", *arguments)
    while len(parts := list(tmp_path.rglob("*.part"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    workers = {int(part.name.split(".")[1]) for part in parts}
    process.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers outlive their coordinator"
        time.sleep(0.05)


def test_each_worker_sees_one_of_the_named_gpus_alone(clip: Clip, upscale_here: Here, tmp_path: Path) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=2)
    choice = Seeing(tmp_path / "tally", times=0, together=3)
    run(clip("plain.mp4"), target, choice, 3, listener, devices=("0", "2", "5"))
    assert choice.seen() == ["0", "2", "5"]
    assert listener.notes == ["every worker's engine: tensorrt"]
    assert target.read_bytes() == alone.read_bytes()


def test_gpus_that_the_engine_would_not_use_are_an_error(clip: Clip, upscale_here: Here, tmp_path: Path) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=2)
    choice = Seeing(tmp_path / "tally", times=0, backend="openvino")
    with pytest.raises(NotAvailable, match="--devices 0,1 names NVIDIA GPUs, but the engine here is openvino"):
        run(clip("plain.mp4"), tmp_path / "out.mkv", choice, 2, listener, devices=("0", "1"))
    assert not (tmp_path / "out.mkv.srvid").exists()


def test_no_workers_at_all_is_refused() -> None:
    with pytest.raises(BadInput):
        Processes(workers=0)
