"""Graphs on WebGPU against ONNX Runtime's CPU: largest difference in codes, and the nodes that fell back.

    python benchmarks/webgpu_graphs.py                      a sample
    python benchmarks/webgpu_graphs.py --all                every network and four chains, every format (an hour)

Without a GPU, on SwiftShader (Debian: apt-get install chromium libvulkan1):

    VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1

One line of JSON a graph; the first line names the adapter. The last names graphs that have a kind of node which the
sample has not run: none, so what was seen of the sample holds for all. tests/webgpu reads them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from sr_core.backend import ComposedGraph
from sr_core.backends.fidelity import gate_planes, run_once
from sr_core.backends.onnxruntime import OnnxRuntime
from sr_core.backends.webgpu import WebGpu
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.frame import PixelFormat, gray, rgb, yuv
from sr_core.graph.compose import compose
from sr_core.graph.network import merge_base
from sr_core.graph.webgpu_form import for_webgpu
from srvid.front_door import model_names, resolve_model

WIDTH, HEIGHT = 32, 24  # a software adapter takes seconds for a frame
FLOATS = (PixelFormat(family="rgb", depth=16, is_float=True), PixelFormat(family="rgb", depth=32, is_float=True))
FORMATS = (
    yuv("420"), yuv("422"), yuv("444"), yuv("420", semiplanar=True), yuv("420", 10), yuv("420", 10, semiplanar=True),
    yuv("444", 16), gray(), gray(16), rgb(), rgb(16), rgb(packed=True), rgb(16, packed=True), *FLOATS,
)  # fmt: skip
# A kind each of what the rewriting does: bytes, pairs of bytes, shifted pairs, 16 bits, packed, half floats.
SAMPLED = (
    yuv("422"), yuv("420", semiplanar=True), yuv("420", 10), yuv("420", 10, semiplanar=True), yuv("444", 16),
    gray(), rgb(packed=True), FLOATS[0],
)  # fmt: skip
Kind = tuple[str, tuple[int, ...]]
MAIN = "swift-x2"
# Luma alone; a border of its own; another activation; RGB after luma, in one graph; a filter before the network.
OTHERS = ("espcn-x3", "restore-x3", "srcnn-x2", "espcn-x2,swift-x2", "vivid-x4")
CHAINS = ("swift-x2,swift-x2", "restore-x2,clear-x2", "espcn-x2,swift-x2", "fsrcnn-x2,espcn-x2")


def plan(everything: bool) -> Iterator[tuple[str, PixelFormat]]:
    """(network or chain, format) of each graph."""
    if everything:
        yield from ((name, fmt) for name in (*model_names(), *CHAINS) for fmt in FORMATS)
        return
    yield from ((MAIN, fmt) for fmt in SAMPLED)
    yield from ((name, yuv("420", semiplanar=True)) for name in OTHERS)


class Profiled(WebGpu):
    """Writes down where each node ran."""

    folder = Path(tempfile.gettempdir())

    def session_options(self) -> ort.SessionOptions:
        options = super().session_options()
        options.enable_profiling, options.profile_file_prefix = True, str(self.folder / "profile")
        return options


def nodes_on_cpu(profile: Path) -> list[str]:
    """The kinds of nodes that did not run on the GPU, by ONNX Runtime's own profile."""
    events = json.loads(profile.read_text())
    nodes = [event["args"] for event in events if event.get("cat") == "Node" and "provider" in event.get("args", {})]
    assert any(node["provider"] == "WebGpuExecutionProvider" for node in nodes), "the profile names no node of the GPU"
    return sorted({node["op_name"] for node in nodes if node["provider"] != "WebGpuExecutionProvider"})


def never_run(ran: set[Kind]) -> dict[str, list[str]]:
    """Graph -> the kinds of its nodes that no graph of the sample has: every network, and every format at its edges.

    The edges depend on the format, and on whether the network takes luma, RGB or a border; a body does not.
    """
    nv12 = yuv("420", semiplanar=True)
    graphs = [(name, nv12) for name in (*model_names(), *CHAINS)]
    graphs += [(name, fmt) for name in (MAIN, *OTHERS[:2]) for fmt in FORMATS]
    missing = {f"{name} {fmt}": kinds_of(graph_of(name, fmt)) - ran for name, fmt in graphs}
    return {graph: sorted(map(str, kinds)) for graph, kinds in missing.items() if kinds}


def kinds_of(graph: ComposedGraph) -> set[Kind]:
    """What the provider decides by: each node's operator, and the types that it reads and writes."""
    rewritten = onnx.shape_inference.infer_shapes(for_webgpu(merge_base(graph.model))).graph
    types = {entry.name: entry.data_type for entry in rewritten.initializer}
    for value in (*rewritten.value_info, *rewritten.input, *rewritten.output):
        types[value.name] = value.type.tensor_type.elem_type
    return {
        (node.op_type, tuple(types.get(name, 0) for name in (*node.input, *node.output))) for node in rewritten.node
    }


def graph_of(name: str, fmt: PixelFormat) -> ComposedGraph:
    model, spec = resolve_model(name)
    color = FULL_RANGE_RGB if fmt.family == "rgb" else ColorSpec()
    return compose(model, spec, fmt, color, width=WIDTH, height=HEIGHT)


def compared(gpu: Profiled, reference: OnnxRuntime, name: str, fmt: PixelFormat) -> dict[str, object]:
    """What one graph does."""
    graph = graph_of(name, fmt)
    planes = gate_planes(graph)
    session = gpu.open(graph)
    got, wanted = run_once(session, planes, graph), run_once(reference.open(graph), planes, graph)
    pairs = [(a.astype(np.float64), w.astype(np.float64)) for a, w in zip(got, wanted, strict=True)]
    return {
        "model": name,
        "format": str(fmt),
        "is_float": fmt.is_float,
        "depth": fmt.depth,
        "largest": max(float(np.abs(a - w).max()) for a, w in pairs),
        "share": max(float((a != w).mean()) for a, w in pairs),
        "differing": max(int((a != w).sum()) for a, w in pairs),
        "spread": min(float(w.std()) for _, w in pairs),
        "on_cpu": nodes_on_cpu(Path(session.end_profiling())),
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", dest="everything", help="every network in every format")
    parser.add_argument("--first", type=int, metavar="N", help="no more than so many graphs")
    asked = parser.parse_args()
    gpu, reference = Profiled(), OnnxRuntime(threads=1)
    print(json.dumps({"adapter": gpu.device, "version": gpu.version}), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        gpu.folder = Path(folder)
        for name, fmt in islice(plan(asked.everything), asked.first):
            print(json.dumps(compared(gpu, reference, name, fmt)), flush=True)
    if not asked.everything and asked.first is None:
        ran = {kind for name, fmt in plan(False) for kind in kinds_of(graph_of(name, fmt))}
        print(json.dumps({"never_run": never_run(ran)}), flush=True)


if __name__ == "__main__":
    main()
