"""On a machine with an NVIDIA card: are the numbers right, and how fast is it?

    python benchmarks/trt_gpu.py [--model clear-x2] [--tile 512] [--out benchmarks/results] [--careful]
    python benchmarks/on_a_card.py                            this and everything else that only a card can tell

numerics   worst difference and PSNR of each format against FP32 in ONNX Runtime on this CPU,
           and whether ten runs of one tile are bit-identical
throughput tiles a second with 1, 2 and 3 callers (do the three streams overlap?), 'auto' ÷ 'exact',
           planes from the host ÷ planes already on the card
memory     what CUDA takes before an engine is open, and what an open one takes: --vram's reserve
start      seconds to open an engine that is in the cache, the first time and the second

Writes one JSON file with card, driver and versions. Its authors ran it on fakes alone: they had no card.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import helper

from sr_core.backend import ComposedGraph, plane_of
from sr_core.backends.cuda import Cuda
from sr_core.backends.dlpack import DevicePlane
from sr_core.backends.tensorrt import TensorRt, TensorRtRtx
from sr_core.backends.tensorrt_session import TensorRtSession
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.difference import difference
from sr_core.errors import NotAvailable
from sr_core.frame import Array
from sr_core.graph.compose import compose
from sr_core.model_spec import load_model, spec_of
from sr_zoo.models import find_model, shipped_names
from srvid.backend_choice import NVIDIA, choose, open_named
from trt_build import check
from trt_build.ahead import FORMATS
from trt_build.check import check_pictures, planes_from_picture

TILES = 60  # per throughput figure, after as many to warm up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default=shipped_names()[0])
    parser.add_argument("--backend", choices=NVIDIA)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--formats", default=",".join(FORMATS), help="FFmpeg's names, with commas, nv12 among them")
    parser.add_argument("--careful", action="store_true", help="type the network the careful way; in an empty cache")
    parser.add_argument("--fakes", action="store_true", help="on the fakes of tests/trt: does this script run?")
    options = parser.parse_args()
    if options.careful:  # nothing leaner reaches that
        vars(check)["least_db"] = lambda graph: float("inf")
    if options.fakes:
        measure_fakes(options)
        return
    try:
        backend = open_named(options.backend) if options.backend else choose().backend
    except NotAvailable as error:
        sys.exit(str(error))
    if not isinstance(backend, TensorRt):
        print(f"no TensorRT on this machine: {choose().line}; nothing is measured")
        return
    write(backend, options)


def measure_fakes(options: argparse.Namespace) -> None:
    """The same on a card that is none, from the tests, with a call or two of each kind."""
    global TILES
    import pytest

    from tests.trt.conftest import fake_machine

    TILES = 2
    with pytest.MonkeyPatch.context() as patch, fake_machine(options.out, patch, sys.modules[__name__]) as machine:
        write(TensorRtRtx(ensure_engine=machine.ensure), options)


def write(backend: TensorRt, options: argparse.Namespace) -> None:
    """Measure, and print what is written."""
    results = measured(backend, options.model, options.tile, options.formats.split(","))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"trt-{backend.gpu.name.replace(' ', '-')}-{options.model}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1), f"written to {path}", sep="\n")


def measured(backend: TensorRt, model_name: str, tile: int, formats: Sequence[str]) -> dict[str, Any]:
    """Everything in the module's docstring, as JSON."""
    numerics = {name: _numerics(backend, _composed(model_name, name, tile)) for name in formats}
    nv12 = _composed(model_name, "nv12", tile)
    cuda = Cuda()
    cuda.cudaSetDevice(backend.gpu.index)
    free_bytes, total_bytes = cuda.cudaMemGetInfo()
    began = time.perf_counter()
    session = backend.open(nv12)
    first_open = time.perf_counter() - began
    free_with_engine_bytes = cuda.cudaMemGetInfo()[0]
    planes = _planes(nv12)
    throughput = {f"{callers} callers": _rate(session, planes, callers) for callers in (1, 2, 3)}
    throughput["planes on the card, 3 callers"] = _rate(session, _on_card(session, planes), 3)
    session.close()
    began = time.perf_counter()
    backend.open(nv12).close()
    exact = backend.open(nv12, precision="exact")
    throughput["exact, 3 callers"] = _rate(exact, planes, 3)
    exact.close()
    return {
        "card": backend.gpu.name,
        "compute_capability": backend.gpu.target,
        "driver": backend.gpu.driver,
        "library": f"{backend.name} {backend.version}",
        "model": model_name,
        "tile": f"{tile}x{tile}",
        "memory_mib": {
            "taken before an engine is open, other programs included": (total_bytes - free_bytes) >> 20,
            "taken by an open engine": (free_bytes - free_with_engine_bytes) >> 20,
        },
        "numerics": numerics,
        "tiles_a_second": throughput,
        "overlap_3_to_1": round(throughput["3 callers"] / throughput["1 callers"], 3),
        "fp16_to_exact": round(throughput["3 callers"] / throughput["exact, 3 callers"], 3),
        "open_seconds": {"cached engine, first": round(first_open, 3), "second": round(time.perf_counter() - began, 3)},
    }


def _composed(model_name: str, format_name: str, tile: int) -> ComposedGraph:
    model = load_model(find_model(model_name))
    spec, fmt = spec_of(model), FORMATS[format_name]
    assert spec is not None
    color = FULL_RANGE_RGB if fmt.family == "rgb" else ColorSpec()
    return compose(model, spec, fmt, color, width=tile, height=tile)


def _feeds(graph: ComposedGraph) -> dict[str, Array]:
    shapes = {}
    for value in graph.model.graph.input:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_value for dim in tensor.shape.dim)
        shapes[value.name] = (shape, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    return planes_from_picture(check_pictures()[3], shapes, graph.depth)


def _planes(graph: ComposedGraph) -> list[Array]:
    return [np.ascontiguousarray(plane_of(tensor, name)) for name, tensor in _feeds(graph).items()]


def _run(session: TensorRtSession, planes: list[Any]) -> list[Array]:
    got: list[Array] = []
    session.run(planes, lambda outputs: got.extend(plane.copy() for plane in outputs))
    return got


def _numerics(backend: TensorRt, graph: ComposedGraph) -> dict[str, Any]:
    reference = ort.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = [
        plane_of(tensor, name)
        for name, tensor in zip(graph.output_names, reference.run(None, _feeds(graph)), strict=True)
    ]
    session, planes = backend.open(graph), _planes(graph)
    runs = [_run(session, planes) for _ in range(10)]
    session.close()
    peak = float(np.iinfo(expected[0].dtype).max)
    found = [difference(got, wanted, peak=peak) for got, wanted in zip(runs[0], expected, strict=True)]
    return {
        "worst_code": max(entry.worst for entry in found),
        "psnr_db": round(min(min(entry.psnr_db for entry in found), 999.0), 2),
        "ten_runs_identical": all(np.array_equal(a, b) for run in runs[1:] for a, b in zip(run, runs[0], strict=True)),
    }


def _rate(session: TensorRtSession, planes: list[Any], callers: int) -> float:
    """Tiles a second from `callers` threads."""

    def one(work: TensorRtSession) -> None:
        work.run(planes, lambda outputs: None)

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(one, repeat(session, TILES)))
        began = time.perf_counter()
        list(pool.map(one, repeat(session, TILES)))
        return round(TILES / (time.perf_counter() - began), 2)


def _on_card(session: TensorRtSession, planes: list[Array]) -> list[DevicePlane]:
    """Copies of `planes` in device memory, never freed: the process ends soon."""
    cuda = session.cuda
    copies = []
    for plane in planes:
        pointer, pinned = int(cuda.cudaMalloc(plane.nbytes)), int(cuda.cudaHostAlloc(plane.nbytes, 0))
        ctypes.memmove(pinned, plane.ctypes.data, plane.nbytes)
        cuda.cudaMemcpyAsync(pointer, pinned, plane.nbytes, cuda.host_to_device, stream := cuda.stream())
        cuda.cudaStreamSynchronize(stream)
        copies.append(DevicePlane(pointer, plane.shape, plane.dtype, device=(2, session.device_index)))
    return copies


if __name__ == "__main__":
    main()
