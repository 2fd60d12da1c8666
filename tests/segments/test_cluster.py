"""A real Ray cluster of two nodes on this machine: shared, killed in part, resumed, always the same bytes."""

from __future__ import annotations

import hashlib
import os
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

PROJECT = Path(__file__).resolve().parents[2]
Clip = Callable[[str], Path]
Here = Callable[..., Any]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'srvid[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


class SlowUpscaler(NearestUpscaler):
    """Takes its time, so that there is something to interrupt."""

    def submit(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]:
        time.sleep(0.02)
        return super().submit(planes, fmt, color)


@dataclass(frozen=True)
class Tallied:
    """Notes the node on which it is opened."""

    tally: Path
    gpus: int = 0
    takes_gpu: bool = False
    odd_version: bool = False

    @contextmanager
    def __call__(self, scale: int) -> Iterator[NearestUpscaler]:
        import ray

        with self.tally.open("a") as file:
            file.write(ray.get_runtime_context().get_node_id() + "\n")
        with SlowUpscaler(scale) as engine:
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


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two raylets with one CPU each."""
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    paths = [str(PROJECT), str(PROJECT / "cli"), before or ""]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # inherited by the workers
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    made.add_node(**node)
    yield made
    made.shutdown()
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def run(source: Path, target: Path, choice: Tallied, listener: Any, cluster: Any) -> None:
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    crew = RayCluster(address=cluster.address)
    upscale(request, choice, listener, Segmenting(seconds=Fraction(1), crew=crew))


@needs_ray
def test_two_nodes_share_the_segments_and_make_the_bytes_of_one_process(
    cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=1)
    choice = Tallied(tmp_path / "tally")
    run(clip("plain.mp4"), target, choice, listener, cluster)
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


@needs_ray
def test_a_node_that_does_not_see_the_input_reads_it_over_ray(
    cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=1)
    here = Remembering()
    request = Request(source=str(clip("plain.mp4")), target=str(tmp_path / "o.mkv"), scale=2, codec="ffv1")
    upscale(request, EngineChoice(model="nearest"), listener, Segmenting(seconds=Fraction(1), crew=here))
    ray = connected(cluster.address)

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


@needs_ray
def test_a_worker_with_other_versions_is_refused_by_name(
    cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=1)
    with pytest.raises(NotAvailable, match=r"would make other segments: thing: was 1\.0, now 2\.0"):
        run(clip("plain.mp4"), tmp_path / "o.mkv", Tallied(tmp_path / "t", odd_version=True), listener, cluster)


@needs_ray
def test_a_killed_coordinator_leaves_a_job_that_the_cluster_finishes(
    cluster: Any, clip: Clip, srvid: Here, start_srvid: Here, tmp_path: Path
) -> None:
    alone, target = tmp_path / "alone.mp4", tmp_path / "out.mp4"
    arguments = ("--segment", 1, "--codec", "libx264", "--preset", "slower")
    assert srvid(clip("plain.mp4"), alone, *arguments).returncode == 0
    process = start_srvid(clip("plain.mp4"), target, *arguments, "--ray", cluster.address)
    while not list((tmp_path / "out.mp4.srvid").glob("0*.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = srvid(clip("plain.mp4"), target, *arguments, "--ray", cluster.address)
    assert done.returncode == 0, done.stderr
    assert "going on" in done.stderr
    assert target.read_bytes() == alone.read_bytes()


@needs_ray
def test_segments_of_a_killed_node_are_made_by_the_others(
    cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=1)
    doomed = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    killed: list[bool] = []

    class Killer(type(listener)):  # type: ignore[misc]
        """Kills the node as soon as all three nodes are at work."""

        def progressed(self, progress: object) -> None:
            if not killed and len(choice.nodes()) == 3:
                killed.append(True)
                cluster.remove_node(doomed, allow_graceful=False)

    choice = Tallied(tmp_path / "tally")
    run(clip("plain.mp4"), target, choice, Killer(), cluster)
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
