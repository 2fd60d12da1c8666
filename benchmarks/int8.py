"""INT8 beside FP32: how fast, how close, the same bytes under every instruction set, and sheets to look at.

    python benchmarks/int8.py [--models clear-x4,swift-x4] [--masks AVX2,DEFAULT] [--photos FOLDER] [--sheet OUT.png]
                              [--nodes]

CPU milliseconds a frame of 480x270 YUV420P8, one thread, minima of interleaved rounds, for each mask
(ONEDNN_MAX_CPU_ISA lets this CPU stand for one with fewer instructions; one it lacks changes nothing).
With --photos: dB and worst difference against FP32 over eight photographs, luma and chroma pooled, and whether the
bytes are those of the first mask. --nodes shows instead where each way spends its time, as the runtime has it: a line
for each node that takes 2 % or more, with the kernel that runs it; these are wall milliseconds, for an idle machine.
--sheet puts crops side by side: FP32, INT8, and their difference 16 times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sr_core.backends.fidelity import output_shapes, run_once
from sr_core.backends.openvino import OpenVino
from sr_core.backends.openvino_devices import CPU, config_for
from sr_core.backends.openvino_session import OpenVinoSession
from sr_core.backends.openvino_ways import model_of
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.errors import EngineError
from sr_core.frame import Array, rgb, yuv
from sr_core.graph.compose import compose
from sr_core.testing import planes_from_rgb
from srvid.front_door import resolve_model

SIZE, ROUNDS, PHOTOS, AMPLIFIED = (480, 270), 7, 8, 16
WAYS = ("f32", "bf16+f32", "int8+f32")


def photographs(folder: Path, width: int, height: int) -> list[Array]:
    """Crops [height, width, 3] of 0..1 from the middle of each."""
    found = []
    for path in sorted(entry for entry in folder.iterdir() if entry.suffix in (".png", ".jpg"))[:PHOTOS]:
        pixels = np.asarray(Image.open(path).convert("RGB")) / 255
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        found.append(pixels[top : top + height, left : left + width])
    return found


def sessions_of(name: str, size: tuple[int, int]) -> tuple[Any, dict[str, OpenVinoSession]]:
    """The graph of a model, and a session for each way that this CPU has."""
    model, spec = resolve_model(name)
    graph = compose(model, spec, yuv("420"), ColorSpec(), width=size[0], height=size[1])
    backend, found = OpenVino(threads=1), {}
    for way in WAYS:
        if way == "bf16+f32" and "BF16" not in backend.capabilities:
            continue
        try:
            found[way] = backend.open(graph, precision=way)  # type: ignore[arg-type]
        except EngineError as error:
            print(f"{name}: {error.message}", file=sys.stderr)
    return graph, found


def measured(name: str, photos: Path | None) -> dict[str, Any]:
    """What one process finds under the mask it was started with."""
    graph, sessions = sessions_of(name, SIZE)
    planes = yuv("420").empty(*SIZE)
    for plane in planes:
        plane[:] = np.random.default_rng(0).integers(60, 190, plane.shape)
    targets = [np.empty(shape, np.uint8) for shape in output_shapes(planes, graph)]
    best: dict[str, float] = {}
    for number in range(ROUNDS):
        for way, session in sessions.items():
            run = partial(session.run_into, planes, targets, [(0, 0)] * 3)
            start = time.process_time()
            run()
            if number:
                best[way] = min(best.get(way, 9e9), (time.process_time() - start) * 1000)
    result: dict[str, Any] = {"ms": best}
    if photos is not None and "int8+f32" in sessions:
        width, height = 160, 144
        graph, sessions = sessions_of(name, (width, height))
        errors, digest = [], hashlib.sha256()
        for picture in photographs(photos, width, height):
            planes = planes_from_rgb(picture, yuv("420"), ColorSpec())
            exact, narrow = (run_once(sessions[way], planes, graph) for way in ("f32", "int8+f32"))
            for a, b in zip(exact, narrow, strict=True):
                errors.append((a.astype(float) - b).ravel())
                digest.update(b.tobytes())
        gap = np.concatenate(errors)
        result |= {"db": 20 * np.log10(255 / np.sqrt(np.mean(gap**2))), "worst": float(np.abs(gap).max())}
        result["bytes"] = digest.hexdigest()
    return result


def show_nodes(name: str) -> None:
    """Milliseconds of each node, minima of some runs under this process's own mask."""
    graph, backend = compose(*resolve_model(name), yuv("420"), ColorSpec(), width=SIZE[0], height=SIZE[1]), OpenVino()
    for way in WAYS:
        model, _ = model_of(backend._core, graph, way)
        compiled = backend._core.compile_model(model, CPU, config_for(CPU, way, 1) | {"PERF_COUNT": True})
        request, best = compiled.create_infer_request(), dict[tuple[str, str], float]()
        for _ in range(ROUNDS):
            request.infer()
            for node in request.profiling_info:
                key, ms = (node.exec_type, node.node_name), node.cpu_time.total_seconds() * 1000
                best[key] = min(best.get(key, 9e9), ms)
        total = sum(best.values())
        print(f"{name} {way}: {total:.1f} ms in all nodes")
        for (kernel, node_name), ms in best.items():
            if ms >= total / 50:
                print(f"  {ms:6.2f}  {kernel:26} {node_name}")


def write_sheet(names: list[str], photos: Path, target: Path) -> None:
    """One row a model and photograph."""
    rows = []
    for name in names:
        model, spec = resolve_model(name)
        graph = compose(model, spec, rgb(packed=True), FULL_RANGE_RGB, width=96, height=96)
        backend = OpenVino(threads=1)
        exact, narrow = (backend.open(graph, precision=way) for way in ("f32", "int8+f32"))
        for picture in photographs(photos, 96, 96)[:4]:
            planes = planes_from_rgb(picture, rgb(packed=True), FULL_RANGE_RGB)
            (a,), (b,) = run_once(exact, planes, graph), run_once(narrow, planes, graph)
            gap = 128 + AMPLIFIED * (b.astype(int) - a)
            rows.append(np.concatenate([a, b, np.clip(gap, 0, 255).astype(np.uint8)], axis=1))
    widest = max(row.shape[1] for row in rows)
    Image.fromarray(np.concatenate([np.pad(row, ((0, 4), (0, widest - row.shape[1]), (0, 0))) for row in rows])).save(
        target
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="clear-x4,clear-x2,swift-x4,swift-x2")
    parser.add_argument("--masks", default="AVX2,AVX2_VNNI,AVX512_CORE,AVX512_CORE_VNNI,DEFAULT")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--nodes", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    names = args.models.split(",")
    if args.one:
        print(json.dumps({name: measured(name, args.photos) for name in names}))
        return
    if args.nodes:
        for name in names:
            show_nodes(name)
        return
    if args.sheet:
        write_sheet(names, args.photos, args.sheet)
        return
    print(f"{OpenVino(threads=1).device}; ms of CPU a frame, ratio to f32; dB and worst against f32; bytes")
    first: dict[str, str] = {}
    command = [sys.executable, __file__, "--one", "--models", args.models]
    command += ["--photos", str(args.photos)] if args.photos else []
    for mask in args.masks.split(","):
        done = subprocess.run(
            command, env=os.environ | {"ONEDNN_MAX_CPU_ISA": mask}, stdout=subprocess.PIPE, text=True, check=True
        )
        for name, found in json.loads(done.stdout).items():
            times = ", ".join(f"{way} {ms:.0f} ({ms / found['ms']['f32']:.2f})" for way, ms in found["ms"].items())
            same = ""
            if "bytes" in found:
                is_same = first.setdefault(name, found["bytes"]) == found["bytes"]
                same = f"; {found['db']:.1f} dB, worst {found['worst']:.0f}; {'same' if is_same else 'OTHER'} bytes"
            print(f"{mask:18} {name:10} {times}{same}", flush=True)


if __name__ == "__main__":
    main()
