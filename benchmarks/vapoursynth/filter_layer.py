"""What the filter itself costs: CPU milliseconds per frame, 1080p to 4K.

    python benchmarks/vapoursynth/filter_layer.py [--frames 60]

    copy      ModifyFrame that copies ready planes into new 4K frames: the floor set by memory
    layer     upscale() with a session that computes nothing: views, tiles, threads, both copies
    nearest   upscale() with a nearest-neighbour network: the layer and the colour edges of the graph
    point     core.resize.Point, VapourSynth's own nearest neighbour (no colour conversion)

CPU time is user + system of the whole process, best of three rounds, all measured side by side.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import vapoursynth as vs

from sr_core.backend import BACKENDS, ComposedGraph, Deliver, Precision, Progress
from sr_core.frame import Array
from sr_core.testing import nearest_model
from vapoursynth_filter import upscale

FORMATS = (vs.YUV420P8, vs.YUV420P10, vs.RGB24, vs.RGBH, vs.RGBS)
WIDTH, HEIGHT, SCALE = 1920, 1080, 2
ROUNDS = 3


class NullSession:
    """Takes its input as a real session does, and delivers the same planes every time."""

    precision = "none"

    def __init__(self, graph: ComposedGraph, contexts: int) -> None:
        self.contexts = contexts
        self._inputs = [_plane(value) for value in graph.model.graph.input]
        self._outputs = [_plane(value) for value in graph.model.graph.output]

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        for staging, plane in zip(self._inputs, planes, strict=True):
            np.copyto(staging, plane)
        deliver(self._outputs)

    def close(self) -> None:
        self._inputs, self._outputs = [], []


class NullBackend:
    """A backend of the table, for the time of this benchmark."""

    name, device, on_cpu, plane_device = "null", "nothing", False, None

    def __init__(self, *, threads: int | None = None, device_index: int | None = None) -> None:
        self.contexts = threads or 2

    def open(
        self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None
    ) -> NullSession:
        del precision, progress
        return NullSession(graph, self.contexts)


def _plane(value: onnx.ValueInfoProto) -> Array:
    tensor = value.type.tensor_type
    shape = [dim.dim_value for dim in tensor.shape.dim]
    return np.zeros(shape[-2:], onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def copied(clip: vs.VideoNode) -> vs.VideoNode:
    """`clip` at `SCALE` times the size, every plane copied from memory."""
    core = vs.core.core
    blank = core.std.BlankClip(clip, width=clip.width * SCALE, height=clip.height * SCALE, keep=True)
    ready = [np.array(plane) for plane in blank.get_frame(0)]

    def copy(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        result = core.create_video_frame(f.format, f.width * SCALE, f.height * SCALE)
        for index, plane in enumerate(ready):
            np.copyto(np.asarray(result[index]), plane)
        return result

    return core.std.CopyFrameProps(core.std.ModifyFrame(blank, [clip], copy), clip)


def cpu_ms_per_frame(build: Callable[[vs.VideoNode], vs.VideoNode], clip: vs.VideoNode) -> float:
    """Best of `ROUNDS`, each on new nodes, because VapourSynth caches frames."""
    compiled = build(clip)  # shares its upscaler with the rounds
    compiled.get_frame(0)
    best = float("inf")
    for _ in range(ROUNDS):
        node = build(clip)
        start = time.process_time()
        for _frame in node.frames(close=True):
            pass
        best = min(best, time.process_time() - start)
    return best / int(clip.num_frames) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=40)
    frames = parser.parse_args().frames
    vs.core.max_cache_size = 512  # MB; more would only be touched for the first time
    BACKENDS["null"] = (f"{__name__}:NullBackend", "numpy", "")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "nearest.onnx")
        onnx.save(nearest_model(SCALE), model)

        def engine(backend: str, tile: int | None) -> Callable[[vs.VideoNode], vs.VideoNode]:
            return lambda clip: upscale(clip, SCALE, model, backend, tile=tile, reuse=False)

        print(f"{os.cpu_count()} CPUs, VapourSynth {vs.__version__.release_major}, {frames} frames")
        print(f"{'CPU ms/frame':12s} {'copy':>8s} {'layer':>8s} {'nearest':>8s} {'point':>8s} {'layer/copy':>11s}")
        for video_format in FORMATS:
            clip = vs.core.std.BlankClip(format=video_format, width=WIDTH, height=HEIGHT, length=frames, keep=True)
            if clip.format.color_family == vs.YUV:
                clip = clip.std.SetFrameProps(_Matrix=1, _Range=0, _ChromaLocation=0)
            copy, layer, nearest, point = (
                cpu_ms_per_frame(build, clip)
                for build in (
                    copied,
                    engine("null", WIDTH),
                    engine("openvino", None),
                    lambda clip: clip.resize.Point(clip.width * SCALE, clip.height * SCALE),
                )
            )
            print(f"{clip.format.name:12s} {copy:8.2f} {layer:8.2f} {nearest:8.2f} {point:8.2f} {layer / copy:11.2f}")


if __name__ == "__main__":
    main()
