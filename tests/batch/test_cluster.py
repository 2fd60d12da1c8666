"""srbatch on a real Ray cluster of two nodes: the same files, whatever happens to a node or an image."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sr_core.color import ColorSpec
from sr_core.errors import NotAvailable
from sr_core.file_stamp import FileStamp
from sr_core.frame import PixelFormat, Planes
from sr_image.enlarge import EnlargeOptions
from sr_video.nearest import NearestUpscaler
from sr_work.connect import connect
from sr_work.files import FileServer, unpack_file
from sr_work.ray_cluster import MakerActor, RayCluster
from srvid.recipe import EngineRecipe
from srvid_cli.batch.collect import collect
from srvid_cli.batch.maker import versions_of
from srvid_cli.batch.manifest import Manifest
from srvid_cli.batch.plan import BatchPlan, Naming, plan_batch
from srvid_cli.batch.run import Result, RunOptions, _Batch, _work, run_batch
from tests.batch.conftest import Run, command, environment, picture, tree
from tests.conftest import wait_for_nodes

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


class Slow(NearestUpscaler):
    """Waits until enough nodes are at work, takes its time, and dies of one picture."""

    def __init__(self, scale: int, recipe: Tallied) -> None:
        super().__init__(scale)
        self._recipe = recipe

    def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Planes:
        time.sleep(0.1)
        wait_for_nodes(self._recipe.nodes, self._recipe.together)
        if planes[0].shape[1] == self._recipe.deadly_width:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().planes(planes, fmt, color)


@dataclass(frozen=True, kw_only=True)
class Tallied(EngineRecipe):
    """Notes the node on which it is opened."""

    model: str = "nearest"
    tally: Path
    together: int = 1
    deadly_width: int = 0
    odd_version: bool = False

    @contextmanager
    def open(self, scale: int) -> Iterator[Any]:
        import ray

        with self.tally.open("a") as file:
            file.write(ray.get_runtime_context().get_node_id() + "\n")
        with Slow(scale, self) as engine:
            yield engine

    def nodes(self) -> list[str]:
        return self.tally.read_text().split() if self.tally.exists() else []

    def versions(self) -> dict[str, str]:
        import ray

        on_a_worker = ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None
        return {"thing": "2.0" if self.odd_version and on_a_worker else "1.0"}


class Listening:
    """Remembers, and may act on, what ends."""

    def __init__(self, on_finished: Callable[[Result], None] = lambda result: None) -> None:
        self.total = 0
        self._on_finished = on_finished

    def pixels(self, done: int) -> None:
        self.total += done

    def finished(self, result: Result) -> None:
        self._on_finished(result)


def folder_of_pictures(folder: Path, count: int) -> Path:
    for index in range(count):
        picture(folder / f"{index:02}.png", seed=index)
    return folder


def run_on(cluster: Any, source: Path, out: Path, recipe: Tallied, listener: Listening) -> list[Result]:
    plan = planned(source, out)
    options = RunOptions(
        enlarge=EnlargeOptions(),
        settings="same",
        jobs=2,
        memory_bytes=1 << 30,
        pool=RayCluster(address=cluster.address),
    )
    return run_batch(plan.jobs, recipe, 2, options, manifest=Manifest(out), listener=listener)


def planned(source: Path, out: Path) -> BatchPlan:
    out.mkdir(exist_ok=True)
    return plan_batch(collect([str(source)], out), out, EnlargeOptions(), Naming(scale=2))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in tree(folder)}


def test_the_files_are_those_of_a_local_run_and_a_bad_one_fails_alone(
    ray_cluster: Any, srbatch: Run, tmp_path: Path
) -> None:
    names = ["a.png", "deep/er/b.jpg", "deep/ünï cödé 図.webp", "c.tif"]
    for index, name in enumerate(names):
        picture(tmp_path / "in" / name, seed=index)
    good = (tmp_path / "in/a.png").read_bytes()
    (tmp_path / "in/bad.png").write_bytes(good[: len(good) // 2])
    local = srbatch("in", "local", "--json")
    shared = srbatch("in", "shared", "--json", "--ray", ray_cluster.address)
    assert (local.code, shared.code) == (1, 1), shared.err
    assert contents(tmp_path / "shared") == contents(tmp_path / "local")
    assert tree(tmp_path / "shared") == sorted(names)
    ended = {event["source"]: event["event"] for event in shared.events if "source" in event}
    assert ended == {f"in/{name}": "done" for name in names} | {"in/bad.png": "failed"}
    again = srbatch("in", "shared")  # without a cluster: the same journal
    assert "0 done, 4 up to date, 1 failed" in again.err


def test_both_nodes_take_part_and_every_pixel_is_told_once(ray_cluster: Any, tmp_path: Path) -> None:
    source = folder_of_pictures(tmp_path / "in", 12)
    recipe, listener = Tallied(tally=tmp_path / "tally", together=2), Listening()
    results = run_on(ray_cluster, source, tmp_path / "out", recipe, listener)
    assert [result.state for result in results] == ["done"] * 12
    assert len(set(recipe.nodes())) == len(recipe.nodes()) == 2, "one engine a node"
    assert listener.total == 12 * 24 * 16


def test_images_of_a_killed_node_are_made_by_the_others(ray_cluster: Any, tmp_path: Path) -> None:
    source = folder_of_pictures(tmp_path / "in", 16)
    doomed = ray_cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    recipe = Tallied(tally=tmp_path / "tally", together=3)
    killed: list[bool] = []

    def kill(result: Result) -> None:
        if not killed:
            killed.append(True)
            ray_cluster.remove_node(doomed, allow_graceful=False)

    results = run_on(ray_cluster, source, tmp_path / "out", recipe, Listening(kill))
    assert killed
    assert [result.state for result in results] == ["done"] * 16
    assert tree(tmp_path / "out") == [f"{index:02}.png" for index in range(16)]


def test_an_image_that_kills_its_worker_fails_and_the_others_beside_it_do_not(ray_cluster: Any, tmp_path: Path) -> None:
    source = folder_of_pictures(tmp_path / "in", 6)
    picture(source / "deadly.png", (31, 16))
    recipe = Tallied(tally=tmp_path / "tally", deadly_width=31)
    results = run_on(ray_cluster, source, tmp_path / "out", recipe, Listening())
    failed = [result for result in results if result.state == "failed"]
    assert [result.source.name for result in failed] == ["deadly.png"]
    assert "image 6 failed 3 times" in str(failed[0].error)
    assert len(tree(tmp_path / "out")) == 6


def test_a_worker_with_other_versions_is_refused_by_name(ray_cluster: Any, tmp_path: Path) -> None:
    source = folder_of_pictures(tmp_path / "in", 2)
    with pytest.raises(NotAvailable, match=r"would make other images: thing: was 1\.0, now 2\.0"):
        run_on(ray_cluster, source, tmp_path / "out", Tallied(tally=tmp_path / "t", odd_version=True), Listening())
    assert tree(tmp_path / "out") == []


def test_a_node_that_does_not_see_the_image_reads_it_over_ray(ray_cluster: Any, srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg", (300, 200))
    assert srbatch("in", "out").code == 0
    recipe = EngineRecipe(model="nearest", shared_tiles=True)
    ray = connect(ray_cluster.address)

    class Elsewhere(FileServer):
        def read(self, path: str, stamp: FileStamp, offset: int, size: int) -> bytes:
            return super().read(path.replace("/nowhere", str(tmp_path / "in")), stamp, offset, size)

    options = RunOptions(enlarge=EnlargeOptions(), settings="", jobs=1, memory_bytes=1 << 30)
    (item,) = _Batch(
        planned(tmp_path / "in", tmp_path / "other").jobs, options, None, Listening(), versions_of(recipe)
    ).items()
    server = ray.remote(num_cpus=0)(Elsewhere).remote()
    maker = ray.remote(num_cpus=1)(MakerActor).remote(_work(recipe, 2, options), server)
    seen_elsewhere = replace(item, source="/nowhere/a.jpg", engine={"model": "nearest"})
    made = ray.get(maker.make.remote(seen_elsewhere))
    content = b"".join(unpack_file(ray, made.sent))
    ray.shutdown()
    assert content == (tmp_path / "out/a.jpg").read_bytes()


def test_ctrl_c_stops_the_nodes_and_the_same_command_goes_on(ray_cluster: Any, srbatch: Run, tmp_path: Path) -> None:
    for index in range(12):
        picture(tmp_path / f"in/{index:02}.png", (500, 400), seed=index)
    arguments = ("in", "out", "--jobs", "1", "--ray", ray_cluster.address)
    process = subprocess.Popen(command(*arguments), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "out").glob("*.png")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    made = tree(tmp_path / "out")
    assert 0 < len(made) < 12
    assert not [name for name in made if name.startswith(".")]
    for name in made:
        with Image.open(tmp_path / "out" / name) as image:
            image.load()
    ended = srbatch(*arguments)
    assert ended.code == 0, ended.err
    assert f"{12 - len(made)} done, {len(made)} up to date" in ended.err


def test_no_cluster_is_an_error_with_a_hint_and_not_asked_for_where_all_is_done(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    ended = srbatch("in", "out", "--ray", "127.0.0.1:1")
    assert ended.code == 1
    assert "hint: " in ended.err
    assert "Traceback" not in ended.err
    assert srbatch("in", "out").code == 0
    ended = srbatch("in", "out", "--ray", "127.0.0.1:1")
    assert "0 done, 1 up to date" in ended.err
