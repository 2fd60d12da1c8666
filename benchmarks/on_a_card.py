"""Everything that only a graphics card can tell, in one command; prints a table to send back.

    python benchmarks/on_a_card.py                 on a machine with a GPU of any make: 5 to 20 minutes
    python benchmarks/on_a_card.py --dry           anywhere: the same steps, with stand-ins where no card is

doctor     what is found here
tensorrt   numbers, speed and memory of FP16 engines, lean and careful (benchmarks/trt_gpu.py)
nvenc      a video decoded by NVDEC and encoded by NVENC without leaving the card, against the same through memory
webgpu     every kind of graph against the CPU, and nodes that fell back (benchmarks/webgpu_graphs.py)
openvino   each Intel GPU and NPU against the CPU in FP32, and seconds a frame
encoders   each encoder that opens here: a video through it
auto       which device `--backend auto` measures to be the fastest

Stand-ins of --dry: the fakes of tests/trt for a card, libx264 for NVENC, OpenVINO's CPU for a device, and for WebGPU
SwiftShader where docs/gpu.md's two variables are set. What they print proves that the step runs, nothing more.
Each step is a process of its own: one that fails or crashes is a row that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
SRVID = (sys.executable, "-m", "srvid_cli.srvid")
SRKIT = (sys.executable, "-c", "from srvid_cli.srkit import main; main()")
STEP_SECONDS = 1200
LEAST_DB = 45.0  # between two encodes of one picture; another picture gives 10 to 25
Row = tuple[str, str, str]  # check, result, figures


class NotHere(Exception):
    """A step that this machine has nothing for; the words say what is missing."""


@dataclass(frozen=True)
class Here:
    """Where the steps work, and whether stand-ins take the card's place."""

    folder: Path
    dry: bool

    def run(self, *command: object, **variables: str) -> str:
        """What a process printed on stdout and stderr.

        Raises:
            RuntimeError: it failed; the last line it said.
        """
        paths = os.pathsep.join((str(ROOT), str(ROOT / "cli")))
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, "PYTHONPATH": paths, **variables},
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        said = done.stdout + done.stderr
        if done.returncode:
            raise RuntimeError(f"exit {done.returncode}: {(said.strip().splitlines() or ['no words'])[-1][:160]}")
        return said


def doctor(here: Here) -> Iterator[Row]:
    said = here.run(*SRKIT, "doctor")
    (here.folder / "doctor.txt").write_text(said)
    yield "doctor", "ran", f"{len(said.splitlines())} lines, at the end of this"


def tensorrt(here: Here) -> Iterator[Row]:
    from sr_core.backends.cuda import find_gpus
    from sr_core.errors import NotAvailable

    if not here.dry:
        try:
            find_gpus()
        except NotAvailable as error:
            raise NotHere(error.message) from error
    small = ("--fakes", "--tile", "64", "--formats", "nv12,p010") if here.dry else ()
    rates = {}
    for form in ("lean", "careful"):
        out = here.folder / form
        only = ("--careful",) if form == "careful" else ()
        script = ROOT / "benchmarks" / "trt_gpu.py"
        here.run(sys.executable, script, "--out", out, *small, *only, SRVID_CACHE=str(out / "cache"))
        found = json.loads(next(out.glob("*.json")).read_text())
        rates[form] = found["tiles_a_second"]["3 callers"]
        yield f"tensorrt, {form}", f"{found['card']}, {found['library']}", json.dumps(found["tiles_a_second"])
        numerics = found["numerics"].values()
        agree = "ten runs agree" if all(entry["ten_runs_identical"] for entry in numerics) else "RUNS DIFFER"
        yield f"tensorrt, {form}, numbers", agree, f"least {min(entry['psnr_db'] for entry in numerics)} dB from FP32"
        yield f"tensorrt, {form}, memory", "MiB", json.dumps(found["memory_mib"])
    yield "tensorrt", "lean / careful", f"{rates['lean'] / rates['careful']:.3f} times the tiles a second"


def nvenc(here: Here) -> Iterator[Row]:
    """Frames that stay on the card must be the frames that go through memory."""
    from sr_video.decide.hardware_encoders import HARDWARE_ENCODERS, why_not_here

    names = [name for name in HARDWARE_ENCODERS if name.endswith("_nvenc")]
    if not here.dry and (why := why_not_here(HARDWARE_ENCODERS[names[0]])):
        raise NotHere(why)
    clip = write_clip(here.folder / "nvenc.mp4", frames=24 if here.dry else 600)
    for name in ("libx264",) if here.dry else names:
        road, memory = here.folder / f"{name}-card.mp4", here.folder / f"{name}-memory.mp4"
        common = (*SRVID, clip, "--model", "swift-x2", "--codec", name, "--overwrite")
        said = here.run(*common, road, *(() if here.dry else ("--hwaccel", "cuda")))
        here.run(*common, memory)
        stayed = "stayed" if here.dry or "download" not in said else "WERE DOWNLOADED"
        yield f"{name}, card against memory", f"frames {stayed}", same_picture(road, memory)


def webgpu(here: Here) -> Iterator[Row]:
    if "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER" not in os.environ:
        try:
            from sr_core.backends.webgpu import WebGpu
            from sr_core.errors import NotAvailable
        except ModuleNotFoundError as error:
            raise NotHere(f"{error.name} is not installed: pip install 'srvid[gpu]'") from error
        try:
            WebGpu()
        except NotAvailable as error:
            raise NotHere(error.message) from error
    some = ("--first", "1") if here.dry else ()
    lines = here.run(sys.executable, ROOT / "benchmarks" / "webgpu_graphs.py", *some).splitlines()
    adapter, *graphs = [json.loads(line) for line in lines if line.startswith("{")]
    fell_back = sorted({kind for graph in graphs for kind in graph["on_cpu"]})
    figures = f"{len(graphs)} graphs, largest difference {max(graph['largest'] for graph in graphs):g}"
    yield f"webgpu, {adapter['adapter']}", f"on the CPU: {', '.join(fell_back) or 'nothing'}", figures


def openvino(here: Here) -> Iterator[Row]:
    from time import perf_counter

    from sr_core.backends.fidelity import fidelity_db, gate_planes, run_once
    from sr_core.backends.openvino_devices import named_accelerators
    from sr_core.color import ColorSpec
    from sr_core.errors import SrError
    from sr_core.frame import yuv
    from sr_core.graph.compose import compose
    from srvid.backend_choice import open_named
    from srvid.front_door import resolve_model

    devices = [("CPU", "the CPU")] if here.dry else list(named_accelerators())
    if not devices:
        raise NotHere("OpenVINO finds only the CPU")
    model, spec = resolve_model("swift-x2")
    for device, called in devices:
        for fmt in (yuv("420"), yuv("420", 10)):
            graph = compose(model, spec, fmt, ColorSpec(), width=256, height=144)
            try:
                reference = open_named("openvino").open(graph, precision="exact")
                session = open_named("openvino", device=device).open(graph)
                planes, began = gate_planes(graph), perf_counter()
                reached = fidelity_db(session, reference, graph)
                began = perf_counter()
                run_once(session, planes, graph)
            except SrError as error:
                yield f"openvino {device}, {fmt}", "REFUSED", error.message
                continue
            seconds = perf_counter() - began
            yield f"openvino {device}, {called}, {fmt}", session.precision, f"{reached:.1f} dB, {seconds * 1e3:.1f} ms"


def encoders(here: Here) -> Iterator[Row]:
    from sr_video.decide.hardware_encoders import HARDWARE_ENCODERS, why_not_here

    found = ["libx264"] if here.dry else [name for name, row in HARDWARE_ENCODERS.items() if not why_not_here(row)]
    if not found:
        raise NotHere("no encoder of a graphics card opens")
    clip, plain = write_clip(here.folder / "encoders.mp4", frames=24), here.folder / "plain.mp4"
    here.run(*SRVID, clip, plain, "--model", "swift-x2", "--crf", "10", "--overwrite")
    for name in found:
        out = here.folder / f"{name}.mp4"
        here.run(*SRVID, clip, out, "--model", "swift-x2", "--codec", name, "--overwrite")
        yield f"encoder {name}", "against libx264", same_picture(out, plain, least_db=30.0)


def auto(here: Here) -> Iterator[Row]:
    clip = write_clip(here.folder / "auto.mp4", frames=4)
    said = here.run(*SRVID, clip, here.folder / "auto-out.mp4", "--model", "swift-x2", "--overwrite")
    lines = [line for line in said.splitlines() if "measured against" in line or " on " in line]
    yield "auto", "took", (lines or ["it does not say"])[0].strip()[:160]


STEPS: dict[str, Callable[[Here], Iterator[Row]]] = {
    "doctor": doctor, "tensorrt": tensorrt, "nvenc": nvenc, "webgpu": webgpu, "openvino": openvino,
    "encoders": encoders, "auto": auto,
}  # fmt: skip


def write_clip(path: Path, *, frames: int, size: tuple[int, int] = (320, 180)) -> Path:
    """H.264 of moving gradients with an edge; no file of anybody's is needed."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            picture = np.stack([columns + 3 * index, rows * 2 - index, (columns + rows) // 2], axis=-1) % 256
            picture[40:80, (4 * index) % 200 : (4 * index) % 200 + 60] = (230, 40, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def same_picture(first: Path, second: Path, *, least_db: float = LEAST_DB) -> str:
    """The worst frame's PSNR of luma between two videos; in capitals where it, or their length, is wrong."""
    pictures = [luma_of(first), luma_of(second)]
    if len(pictures[0]) != len(pictures[1]):
        return f"{len(pictures[0])} FRAMES OF {len(pictures[1])}"
    errors = [float(((a.astype(float) - b) ** 2).mean()) for a, b in zip(*pictures, strict=True)]
    worst_db = 10 * float(np.log10(255**2 / max(*errors, 1e-9)))
    return f"{len(errors)} frames, {'worst' if worst_db >= least_db else 'ONLY'} {worst_db:.1f} dB"


def luma_of(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [
            frame.reformat(format="gray").to_ndarray().astype(np.uint8, copy=False)
            for frame in container.decode(video=0)
        ]


def rows_of(name: str, here: Here) -> Iterator[Row]:
    """A step's rows; what goes wrong is one, too."""
    try:
        yield from STEPS[name](here)
    except NotHere as missing:
        yield name, "not here", str(missing)
    except Exception as error:  # the other steps are to run
        yield name, "FAILED", f"{type(error).__name__}: {error}"[:300]


def main() -> int:
    """See the module; exits with 1 if a step failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="stand-ins for what is not here")
    parser.add_argument("--only", default=",".join(STEPS), help="steps, with commas")
    asked = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}{', DRY: stand-ins' if asked.dry else ''}\n")
    print("| check | result | figures |\n|---|---|---|", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        here = Here(Path(folder), asked.dry)
        for name in asked.only.split(","):
            for row in rows_of(name, here):
                failed |= row[1] == "FAILED"
                print("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in row) + " |", flush=True)
        if (here.folder / "doctor.txt").exists():
            print("\n```text\n" + (here.folder / "doctor.txt").read_text().rstrip() + "\n```")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
