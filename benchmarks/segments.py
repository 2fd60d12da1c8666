"""What segments cost and how they scale.

    python benchmarks/segments.py scaling            local processes, and Ray where it is installed
    python benchmarks/segments.py real               two processes of one thread against one of two
    python benchmarks/segments.py crashes --kills 50 frames made twice; bytes and folder checked
    python benchmarks/segments.py overhead           CPU-seconds against a straight run, 10 minutes
    python benchmarks/segments.py bitrate [VIDEO]    size and SSIM against a straight run, per codec

Scaling uses an engine that sleeps, so that two cores can play eight.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "cli"), str(PROJECT / "benchmarks")]
os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:3], os.environ.get("PYTHONPATH", "")])

from sr_core.color import ColorSpec  # noqa: E402
from sr_core.frame import GivenPlanes, PixelFormat, Planes  # noqa: E402
from sr_video.decide.plan import Plan, Request  # noqa: E402
from sr_video.nearest import NearestUpscaler  # noqa: E402
from sr_video.read.source import Source  # noqa: E402
from sr_video.segments.run import upscale  # noqa: E402
from sr_video.segments.terms import Segmenting  # noqa: E402
from sr_video.transcode import Progress  # noqa: E402
from sr_work.here import Here  # noqa: E402
from sr_work.processes import Processes  # noqa: E402
from sr_work.ray_cluster import RayCluster  # noqa: E402
from sr_work.work import Pool  # noqa: E402
from srvid.recipe import EngineRecipe  # noqa: E402

FRAME_SECONDS = 0.1


class Sleeper(NearestUpscaler):
    """Repeats pixels, after a while."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        self._clock = ThreadPoolExecutor(1)

    def submit(self, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]:
        def slowly() -> Planes:
            time.sleep(FRAME_SECONDS)
            return self.planes(planes, fmt, color)

        return self._clock.submit(slowly)


@dataclass(frozen=True)
class Recipe:
    """An engine of this file."""

    sleeps: bool = False
    gpus: int = 0
    takes_gpu: bool = False

    @contextmanager
    def open(self, scale: int) -> Iterator[NearestUpscaler]:
        with Sleeper(scale) if self.sleeps else NearestUpscaler(scale) as engine:
            yield engine

    def like(self, identity: dict[str, str]) -> Recipe:
        return self

    def versions(self) -> dict[str, str]:
        return {}


class Clock:
    """A listener that notes when the first and the last frame were seen."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int]] = []

    def reading(self) -> None: ...

    def planned(self, source: Source, plan: Plan) -> None: ...

    def progressed(self, progress: Progress) -> None:
        self.samples.append((time.monotonic(), progress.frames))

    def verifying(self, progress: Progress) -> None:
        self.samples.append((time.monotonic(), progress.frames))

    def indexing(self, share: float) -> None: ...

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None: ...

    def noted(self, text: str) -> None:
        print("note:", text)

    def frames_per_second(self) -> float:
        """Between the first tenth and the last: starting processes and the ragged end left out."""
        total = self.samples[-1][1]
        first = next(sample for sample in self.samples if sample[1] >= 0.1 * total)
        last = next(sample for sample in self.samples if sample[1] >= 0.9 * total)
        return (last[1] - first[1]) / (last[0] - first[0])


def clip(folder: Path, *, seconds: int, size: str, rate: int) -> Path:
    path = folder / f"{seconds}s-{size}.mp4"
    source = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]
    coded = ["-c:v", "libx264", "-g", str(rate), "-crf", "23", "-threads", "1"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *source, *coded, str(path)], check=True)
    return path


def run(
    source: Path,
    target: Path,
    pool: Pool,
    *,
    seconds: float | None,
    recipe: Recipe | EngineRecipe | None = None,
    **more: str,
) -> Clock:
    target.unlink(missing_ok=True)
    clock = Clock()
    request = Request(source=str(source), target=str(target), scale=2, **more)  # type: ignore[arg-type]
    length = None if seconds is None else Fraction(str(seconds))
    upscale(request, recipe or Recipe(), clock, Segmenting(seconds=length, pool=pool))
    return clock


def scaling(folder: Path) -> None:
    source = clip(folder, seconds=160, size="64x48", rate=5)
    sleeper = Recipe(sleeps=True)
    alone = run(source, folder / "alone.mp4", Here(), seconds=5, recipe=sleeper).frames_per_second()
    print(f"this process     {alone:6.2f} fps")
    one = 0.0
    for workers in (1, 2, 4, 8):
        fps = run(source, folder / "o.mp4", Processes(workers=workers), seconds=5, recipe=sleeper).frames_per_second()
        one = one or fps
        print(f"{workers} processes      {fps:6.2f} fps   {fps / (workers * one):.3f} of {workers} x one", flush=True)
    if find_spec("ray") is None:
        print("Ray: not installed")
        return
    from ray.cluster_utils import Cluster

    one = 0.0
    for nodes in (1, 2, 4, 8):
        arguments = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=arguments)
        for _ in range(nodes - 1):
            cluster.add_node(**arguments)
        pool = RayCluster(address=cluster.address)
        fps = run(source, folder / "o.mp4", pool, seconds=5, recipe=sleeper).frames_per_second()
        one = one or fps
        print(f"{nodes} Ray nodes      {fps:6.2f} fps   {fps / (nodes * one):.3f} of {nodes} x one", flush=True)
        cluster.shutdown()


def real(folder: Path) -> None:
    """The shipped network; a process that fills the machine against two that share it, in turn."""
    source = clip(folder, seconds=24, size="320x180", rate=10)
    ratios: list[float] = []
    for _ in range(3):
        fps = []
        for workers, threads in ((1, 2), (2, 1)):
            recipe = EngineRecipe(model="clear", backend="openvino", tile=96, threads=threads)
            clock = run(source, folder / "o.mp4", Processes(workers=workers), seconds=2, recipe=recipe)
            fps.append(clock.frames_per_second())
        ratios.append(fps[1] / fps[0])
        print(f"1 process x 2 threads {fps[0]:6.2f} fps   2 processes x 1 thread {fps[1]:6.2f} fps", flush=True)
    print(f"two processes against one: {sorted(ratios)[1]:.3f}, the middle of {len(ratios)}")


def crashes(folder: Path, kills: int) -> None:
    """Kill -9 at random moments; each run gets a little further, and the last one finishes."""
    source = clip(folder, seconds=120, size="64x48", rate=25)
    frames = 120 * 25
    undisturbed, target, work = folder / "undisturbed.mp4", folder / "out.mp4", folder / "out.mp4.srvid"
    main = "from srvid_cli.srvid import main; main()"
    base = [sys.executable, "-c", main, str(source)]
    options = ["--scale", "2", "--model", "nearest", "--segment", "4", "--preset", "slow", "--json"]
    subprocess.run([*base, str(undisturbed), *options], check=True, capture_output=True)
    chance = random.Random(1)
    killed = finished = wrong = lost = 0
    while killed < kills:
        events = folder / "events.jsonl"
        with events.open("w") as file:
            process = subprocess.Popen([*base, str(target), *options], stdout=file, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 0.7 + 2.5 * chance.random()
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        if target.exists() and not (work / "manifest.json").exists():  # done, perhaps killed at its very end
            finished += 1
            wrong += target.read_bytes() != undisturbed.read_bytes()
            target.unlink()
            continue
        if code != -signal.SIGKILL:
            sys.exit(f"ended with {code}: {events.read_text()[-500:]}")
        killed += 1
        seen = re.findall(r'"event": "progress", "frames": (\d+)', events.read_text())
        kept = sum(len(json.loads(record.read_bytes())["ticks"]) for record in work.glob("0*.json"))
        lost += max(0, int(seen[-1]) - kept) if seen else 0
    subprocess.run([*base, str(target), *options], check=True, capture_output=True)
    finished += 1
    wrong += target.read_bytes() != undisturbed.read_bytes() or work.exists()
    print(f"{killed} kills, {finished} finished files, {wrong} of them wrong or with something left behind")
    print(f"frames seen done and made again: {lost} of {finished * frames} ({lost / (finished * frames):.1%})")
    print(f"{lost / killed:.0f} a kill, in segments of 100 frames, two of them under way")


def overhead(folder: Path) -> None:
    source = clip(folder, seconds=600, size="160x90", rate=15)
    base = 0.0
    for name, seconds in (("straight", None), ("20 s segments", 20.0)):
        before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        run(source, folder / "o.mp4", Here(), seconds=seconds)
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before
        base = base or used
        print(f"{name:<14} {used:7.2f} CPU-s   {used / base:.3f}", flush=True)
    print("without a network: decoding, encoding and segments only; a network makes the share smaller")


def bitrate(folder: Path, video: Path | None) -> None:
    source = video or clip(folder, seconds=65, size="320x180", rate=25)
    for codec, ending in (("libx264", "mp4"), ("libx265", "mp4"), ("libsvtav1", "mp4")):
        sizes, scores = [], []
        for seconds in (None, 20.0):
            target = folder / f"o.{ending}"
            run(source, target, Here(), seconds=seconds, codec=codec)
            sizes.append(target.stat().st_size)
            scores.append(_ssim(target, source))
        cost = sizes[1] / sizes[0] - 1
        print(f"{codec:<10} size {cost:+.2%}   SSIM {scores[0]:.6f} -> {scores[1]:.6f}", flush=True)


def _ssim(target: Path, source: Path) -> float:
    """Against the input, enlarged as the engine does it."""
    graph = "[1:v]scale=2*iw:2*ih:flags=neighbor[r];[0:v][r]ssim"
    call = ["ffmpeg", "-i", str(target), "-i", str(source), "-lavfi", graph, "-f", "null", "-"]
    log = subprocess.run(call, capture_output=True, text=True, check=True).stderr
    return float(re.findall(r"All:([\d.]+)", log)[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", nargs="?", choices=("scaling", "real", "crashes", "overhead", "bitrate"), default="overhead"
    )
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    arguments = parser.parse_args()
    os.environ.setdefault("SVT_LOG", "1")
    if shutil.which("ffmpeg") is None:
        sys.exit("needs ffmpeg to make its clips")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.what == "scaling":
            scaling(folder)
        elif arguments.what == "real":
            real(folder)
        elif arguments.what == "crashes":
            crashes(folder, arguments.kills)
        elif arguments.what == "overhead":
            overhead(folder)
        else:
            bitrate(folder, arguments.video)


if __name__ == "__main__":
    main()
