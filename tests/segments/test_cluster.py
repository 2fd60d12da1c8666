"""A real Ray cluster of two nodes on this machine: shared, killed in part, resumed, always the same bytes."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sr_core.cluster.connect import connected
from sr_core.cluster.files import FileServer, unpacked
from sr_core.color import ColorSpec
from sr_core.errors import NotAvailable
from sr_core.file_stamp import FileStamp
from sr_core.frame import PixelFormat, Planes
from sr_core.media.facts import VideoFacts
from sr_core.media.nearest import NearestUpscaler
from sr_core.media.plan import Request
from sr_core.segments.cluster import RayCluster, _Maker
from sr_core.segments.crew import Report, ThisProcess
from sr_core.segments.cut import Segment
from sr_core.segments.job import Record
from sr_core.segments.run import Segmenting, upscale
from sr_core.segments.segment import Task
from srvid.engine_choice import EngineChoice
from tests.conftest import wait_for_nodes

Clip = Callable[[str], Path]
Here = Callable[..., Any]
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


class SlowUpscaler(NearestUpscaler):
    """Waits until enough nodes are at work, then takes its time: there is something to interrupt."""

    def __init__(self, scale: int, choice: Tallied) -> None:
        super().__init__(scale)
        self._choice = choice

    def submit(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]:
        time.sleep(0.02)
        wait_for_nodes(self._choice.nodes, self._choice.together)
        return super().submit(planes, fmt, color)


@dataclass(frozen=True)
class Tallied:
    """Notes the node on which it is opened."""

    tally: Path
    together: int = 1
    gpus: int = 0
    takes_gpu: bool = False
    odd_version: bool = False

    @contextmanager
    def __call__(self, scale: int) -> Iterator[NearestUpscaler]:
        import ray

        with self.tally.open("a") as file:
            file.write(ray.get_runtime_context().get_node_id() + "\n")
        with SlowUpscaler(scale, self) as engine:
            yield engine

    def nodes(self) -> set[str]:
        return set(self.tally.read_text().split()) if self.tally.exists() else set()

    def identity(self, scale: int, facts: VideoFacts) -> dict[str, str]:
        return {"model": "nearest"}

    def like(self, identity: dict[str, str]) -> Tallied:
        return self

    def versions(self) -> dict[str, str]:
        import ray

        on_a_worker = ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None
        return {"thing": "2.0" if self.odd_version and on_a_worker else "1.0"}


def run(source: Path, target: Path, choice: Tallied, listener: Any, ray_cluster: Any) -> None:
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    crew = RayCluster(address=ray_cluster.address)
    upscale(request, choice, listener, Segmenting(seconds=Fraction(1), crew=crew))


def test_two_nodes_share_the_segments_and_make_the_bytes_of_one_process(
    ray_cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=1)
    choice = Tallied(tmp_path / "tally", together=2)
    run(clip("plain.mp4"), target, choice, listener, ray_cluster)
    assert len(choice.nodes()) == 2
    assert target.read_bytes() == alone.read_bytes()
    assert not (tmp_path / "out.mkv.srvid").exists()


class Remembering(ThisProcess):
    """This process, noting what it was asked."""

    def make(self, task: Task, segments: Sequence[Segment], choice: Any, report: Report) -> Iterator[Record]:
        self.task, self.segments, self.records = task, segments, []
        for record in super().make(task, segments, choice, report):
            self.records.append(record)
            yield record


def test_a_node_that_does_not_see_the_input_reads_it_over_ray(
    ray_cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=1)
    here = Remembering()
    request = Request(source=str(clip("plain.mp4")), target=str(tmp_path / "o.mkv"), scale=2, codec="ffv1")
    upscale(request, EngineChoice(model="nearest"), listener, Segmenting(seconds=Fraction(1), crew=here))
    ray = connected(ray_cluster.address)

    class Elsewhere(FileServer):
        def read(self, path: str, stamp: FileStamp, offset: int, size: int) -> bytes:
            return super().read(path.replace("/nowhere", str(clip("plain.mp4").parent)), stamp, offset, size)

    server = ray.remote(num_cpus=0)(Elsewhere).remote()
    task = replace(here.task, source="/nowhere/plain.mp4")
    maker = ray.remote(num_cpus=1)(_Maker).remote(task, EngineChoice(model="nearest"), server)
    record, parcel = ray.get(maker.make.remote(here.segments[2]))
    content = b"".join(unpacked(ray, parcel))
    ray.shutdown()
    assert record == here.records[2]
    assert hashlib.sha256(content).hexdigest() == record.digest


def test_a_worker_with_other_versions_is_refused_by_name(
    ray_cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=1)
    with pytest.raises(NotAvailable, match=r"would make other segments: thing: was 1\.0, now 2\.0"):
        run(clip("plain.mp4"), tmp_path / "o.mkv", Tallied(tmp_path / "t", odd_version=True), listener, ray_cluster)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_stopped_coordinator_leaves_a_job_that_the_cluster_finishes(
    stop: signal.Signals, code: int, ray_cluster: Any, clip: Clip, srvid: Here, start_srvid: Here, tmp_path: Path
) -> None:
    alone, target = tmp_path / "alone.mp4", tmp_path / "out.mp4"
    arguments = ("--segment", 1, "--codec", "libx264", "--preset", "slower")
    assert srvid(clip("plain.mp4"), alone, *arguments).returncode == 0
    process = start_srvid(clip("plain.mp4"), target, *arguments, "--ray", ray_cluster.address)
    while not list((tmp_path / "out.mp4.srvid").glob("0*.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(stop)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == code, printed
    assert not target.exists()
    done = srvid(clip("plain.mp4"), target, *arguments, "--ray", ray_cluster.address)
    assert done.returncode == 0, done.stderr
    assert "going on" in done.stderr
    assert target.read_bytes() == alone.read_bytes()


def test_segments_of_a_killed_node_are_made_by_the_others(
    ray_cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=1)
    doomed = ray_cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    killed: list[bool] = []

    class Killer(type(listener)):  # type: ignore[misc]
        """Kills the node as soon as all three are at work."""

        def progressed(self, progress: object) -> None:
            if not killed and len(choice.nodes()) == 3:
                killed.append(True)
                ray_cluster.remove_node(doomed, allow_graceful=False)

    choice = Tallied(tmp_path / "tally", together=3)
    run(clip("plain.mp4"), target, choice, Killer(), ray_cluster)
    assert killed
    assert target.read_bytes() == alone.read_bytes()


def test_no_cluster_is_an_error_with_a_hint(clip: Clip, srvid: Here, tmp_path: Path) -> None:
    done = srvid(clip("plain.mp4"), tmp_path / "out.mp4", "--segment", 1, "--ray", "127.0.0.1:1")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if find_spec("ray") is None:
        assert "pip install 'srvid[ray]'" in done.stderr
    else:
        assert "ray start --head" in done.stderr
