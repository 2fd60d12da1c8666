"""A real Ray cluster of two nodes on this machine: shared, killed in part, resumed, always the same bytes."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sr_core.color import ColorSpec
from sr_core.errors import NotAvailable
from sr_core.file_stamp import FileStamp
from sr_core.frame import PixelFormat, Planes
from sr_video.decide.plan import Request
from sr_video.nearest import NearestUpscaler
from sr_video.segments.job import Record
from sr_video.segments.maker import SegmentItem, work_of
from sr_video.segments.run import upscale
from sr_video.segments.terms import Segmenting
from sr_work.connect import connect
from sr_work.files import FileServer, unpack_file
from sr_work.here import Here as ThisProcess
from sr_work.ray_cluster import MakerActor, RayCluster
from sr_work.scheduler import Workers
from sr_work.work import Work
from srvid.recipe import EngineRecipe
from tests.conftest import wait_for_nodes

Clip = Callable[[str], Path]
Here = Callable[..., Any]
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


class SlowUpscaler(NearestUpscaler):
    """Waits until enough nodes are at work, then takes its time: there is something to interrupt."""

    def __init__(self, scale: int, recipe: Tallied) -> None:
        super().__init__(scale)
        self._recipe = recipe

    def submit(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]:
        time.sleep(0.02)
        wait_for_nodes(self._recipe.nodes, self._recipe.together)
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
    def open(self, scale: int) -> Iterator[NearestUpscaler]:
        import ray

        with self.tally.open("a") as file:
            file.write(ray.get_runtime_context().get_node_id() + "\n")
        with SlowUpscaler(scale, self) as engine:
            yield engine

    def nodes(self) -> set[str]:
        return set(self.tally.read_text().split()) if self.tally.exists() else set()

    def like(self, identity: dict[str, str]) -> Tallied:
        return self

    def versions(self) -> dict[str, str]:
        import ray

        on_a_worker = ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None
        return {"thing": "2.0" if self.odd_version and on_a_worker else "1.0"}


def run(source: Path, target: Path, recipe: Tallied, listener: Any, ray_cluster: Any) -> None:
    request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
    pool = RayCluster(address=ray_cluster.address)
    upscale(request, recipe, listener, Segmenting(seconds=Fraction(1), pool=pool))


def test_two_nodes_share_the_segments_and_make_the_bytes_of_one_process(
    ray_cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    alone, target = tmp_path / "alone.mkv", tmp_path / "out.mkv"
    listener = upscale_here(clip("plain.mp4"), alone, segment=1)
    recipe = Tallied(tmp_path / "tally", together=2)
    run(clip("plain.mp4"), target, recipe, listener, ray_cluster)
    assert len(recipe.nodes()) == 2
    assert target.read_bytes() == alone.read_bytes()
    assert not (tmp_path / "out.mkv.srvid").exists()


class Noting(Workers):
    """Notes what was asked of it, and what came of it."""

    items: list[SegmentItem]
    records: dict[int, Record]

    def results(self, items: Iterable[Any], report: Any, **handlers: Any) -> Any:
        self.items, self.records = list(items), {}
        for record in super().results(self.items, report, **handlers):
            self.records[record.number] = record
            yield record


@dataclass(frozen=True)
class Remembering(ThisProcess):
    """This process, whose workers note what they were asked."""

    opened: list[Noting] = field(default_factory=list)

    def open(self, work: Work) -> Workers:
        self.opened.append(Noting(super().open(work)._transport))
        return self.opened[-1]


def test_a_node_that_does_not_see_the_input_reads_it_over_ray(
    ray_cluster: Any, clip: Clip, upscale_here: Here, tmp_path: Path
) -> None:
    listener = upscale_here(clip("plain.mp4"), tmp_path / "alone.mkv", segment=1)
    here = Remembering()
    request = Request(source=str(clip("plain.mp4")), target=str(tmp_path / "o.mkv"), scale=2, codec="ffv1")
    recipe = EngineRecipe(model="nearest")
    upscale(request, recipe, listener, Segmenting(seconds=Fraction(1), pool=here))
    ray = connect(ray_cluster.address)

    class Elsewhere(FileServer):
        def read(self, path: str, stamp: FileStamp, offset: int, size: int) -> bytes:
            return super().read(path.replace("/nowhere", str(clip("plain.mp4").parent)), stamp, offset, size)

    server = ray.remote(num_cpus=0)(Elsewhere).remote()
    (noted,) = here.opened
    item = replace(noted.items[2], task=replace(noted.items[2].task, source="/nowhere/plain.mp4"))
    work = work_of(recipe, 2, item.task.facts, here)
    maker = ray.remote(num_cpus=1)(MakerActor).remote(work, server)
    record, object_refs = ray.get(maker.make.remote(item))
    content = b"".join(unpack_file(ray, object_refs))
    ray.shutdown()
    assert record == noted.records[2]
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
            if not killed and len(recipe.nodes()) == 3:
                killed.append(True)
                ray_cluster.remove_node(doomed, allow_graceful=False)

    recipe = Tallied(tmp_path / "tally", together=3)
    run(clip("plain.mp4"), target, recipe, Killer(), ray_cluster)
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
