"""OpenVINO on the CPU: the embedded default.

Precision is always set and named, because the CPU plugin silently runs bf16 where it can
(facts/openvino.md §0): `exact` is f32 throughout; `auto` runs the network in bf16 with the colour
edges, base, final add and first convolution in f32 where the CPU has native bf16, and f32
elsewhere; `fast` is bf16 throughout, for 8 bits only. A mixed graph is compared with f32 after
compiling and dropped for f32 where the runtime ignored the marks.
"""

from __future__ import annotations

import logging
import queue
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sr_core.backend import ComposedGraph, Deliver, Precision, Progress, plane_of, usable_cpus
from sr_core.backends.openvino_telemetry import telemetry_off
from sr_core.difference import difference
from sr_core.errors import EngineError, NotAvailable
from sr_core.frame import Array
from sr_core.network import merged_base
from sr_core.packing import PackedGraph, copy_piece
from sr_core.wording import counted

with telemetry_off():
    import openvino as ov

MIXED_PSNR_DB = 58.0  # least fidelity of bf16 with f32 edges, in codes; measured 62 to 75 (facts §1)
log = logging.getLogger(__name__)


class OpenVino:
    """The CPU plugin, one stream of one thread per context."""

    name = "openvino"
    tunes_tiles = True
    plane_device = None

    def __init__(self, *, threads: int | None = None, device_index: int | None = None) -> None:
        if device_index is not None:
            raise NotAvailable(
                f"openvino computes on the CPU here, not on GPU {device_index}",
                hint="leave --device out, or choose another --backend",
            )
        self._core = ov.Core()
        self.contexts = threads or usable_cpus()
        self.device = (
            f"{self._core.get_property('CPU', 'FULL_DEVICE_NAME').strip()}, {counted(self.contexts, 'thread')}"
        )
        self.version = str(ov.get_version())
        self.has_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def open(
        self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None
    ) -> OpenVinoSession:
        """Compile `graph`; a second or less for compact networks."""
        del progress
        exact = self._exact(graph)
        if precision == "exact" or not self.has_bf16:
            return exact
        if precision == "fast" and graph.depth == 8:
            model = self._read(merged_base(graph.model).SerializeToString())
            return OpenVinoSession(self._compile(model, "bf16"), graph, self.contexts, "bf16")
        try:
            compiled = self._compile(self._marked(graph), "bf16")
            mixed = OpenVinoSession(compiled, graph, self.contexts, "bf16+f32")
            psnr_db = _fidelity_db(mixed, exact, graph)
        except (EngineError, RuntimeError) as error:
            log.warning("bf16 with f32 edges did not compile, running f32: %s", error)
            return exact
        if psnr_db < MIXED_PSNR_DB:
            log.warning("bf16 with f32 edges reached only %.1f dB against f32, running f32", psnr_db)
            return exact
        exact.close()
        return mixed

    def _exact(self, graph: ComposedGraph) -> OpenVinoSession:
        packed = graph.packed()
        model = self._read((packed.model if packed else merged_base(graph.model)).SerializeToString())
        return OpenVinoSession(self._compile(model, "f32"), graph, self.contexts, "f32", packed)

    def _read(self, serialized: bytes) -> ov.Model:
        try:
            return self._core.read_model(serialized)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot read the graph: {error}") from error

    def _compile(self, model: ov.Model, precision: str) -> ov.CompiledModel:
        config = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": self.contexts,
            "INFERENCE_NUM_THREADS": self.contexts,
            "ENABLE_CPU_PINNING": False,  # pinned, every process takes the same first cores
        }
        try:
            return self._core.compile_model(model, "CPU", config)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot compile the graph in {precision}: {error}") from error

    def _marked(self, graph: ComposedGraph) -> ov.Model:
        """The graph with `keep_fp32` marked in OpenVINO's own format.

        The mark is an attribute of the IR file that no public call sets, and the plugin drops it
        from operators it replaces (Pad-12), so those are rebuilt first (facts/openvino.md §1).
        """
        model = self._read(graph.model.SerializeToString())
        keep = set(graph.keep_fp32)
        for node in graph.model.graph.node:
            if node.name in keep:
                keep.update(node.output)
        _replace_new_pads(model)
        with tempfile.TemporaryDirectory() as folder:
            xml, weights = Path(folder, "graph.xml"), Path(folder, "graph.bin")
            ov.serialize(model, str(xml), str(weights))
            root = ET.parse(xml).getroot()
            for layer in root.iterfind("layers/layer"):
                name = str(layer.get("name"))
                if layer.get("type") in ("Const", "Parameter", "Result"):
                    continue
                if name in keep or name.rpartition("/")[0] in keep:  # 'c1' and its part 'c1/WithoutBiases'
                    info = layer.find("rt_info")
                    info = ET.SubElement(layer, "rt_info") if info is None else info
                    mark = {"name": "DisablePrecisionConversion", "version": "0", "value": "dynamic:f16"}
                    ET.SubElement(info, "attribute", mark)
            return self._core.read_model(ET.tostring(root), weights.read_bytes())


def _replace_new_pads(model: ov.Model) -> None:
    """Pad-12 → Pad-1, which keeps its marks."""
    from openvino.utils.node_factory import NodeFactory

    factory = NodeFactory("opset1")
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Pad" and node.get_type_info().version_id == "opset12":
            inputs = [node.input(index).get_source_output() for index in range(node.get_input_size())]
            fresh = factory.create("Pad", inputs, {"pad_mode": node.get_attributes()["pad_mode"]})
            fresh.set_friendly_name(node.get_friendly_name())
            for target in list(node.output(0).get_target_inputs()):
                target.replace_source_output(fresh.output(0))


def _fidelity_db(session: OpenVinoSession, reference: OpenVinoSession, graph: ComposedGraph) -> float:
    """Lowest PSNR over the planes, on noise around smooth ramps (every code level occurs)."""
    random = np.random.default_rng(0)
    is_float, step = np.issubdtype(session.dtype, np.floating), 1 << graph.shift
    peak = 1.0 if is_float else float((1 << graph.depth) - 1)
    planes = []
    for value in graph.model.graph.input:
        shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        ramp = np.linspace(0.15, 0.85, int(np.prod(shape))).reshape(shape)
        noisy = (ramp + random.normal(0, 0.05, shape)).clip(0.05, 0.95) * peak
        planes.append(plane_of(noisy.astype(session.dtype) * step, value.name))
    actual, expected = (_run_once(entry, planes) for entry in (session, reference))
    return min(difference(a, b, peak=peak * step).psnr_db for a, b in zip(actual, expected, strict=True))


def _run_once(session: OpenVinoSession, planes: Sequence[Array]) -> list[Array]:
    kept: list[Array] = []

    def deliver(outputs: Sequence[Array]) -> None:
        kept.extend(plane.copy() for plane in outputs)

    session.run(planes, deliver)
    return kept


class OpenVinoSession:
    """A compiled graph and a pool of infer requests; inputs and outputs live in the requests."""

    def __init__(
        self,
        compiled: ov.CompiledModel,
        graph: ComposedGraph,
        contexts: int,
        precision: str,
        packed: PackedGraph | None = None,
    ) -> None:
        self.contexts = contexts
        self.precision = precision
        self.compiled = compiled
        self._inputs, self._outputs, self._packed = graph.input_names, graph.output_names, packed
        self._requests: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()
        for _ in range(contexts):
            self._requests.put(compiled.create_infer_request())
        self.dtype = compiled.input(0).get_element_type().to_dtype()

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        """See `sr_core.backend.Session.run`."""
        if self._packed is not None:
            outputs = [np.empty(shape, self.dtype) for shape in self._packed.shapes]
            self.run_into(planes, outputs, [(0, 0)] * len(outputs))
            deliver(outputs)
            return
        with self._finished(planes) as request:
            deliver([plane_of(request.get_tensor(name).data, name) for name in self._outputs])

    def run_into(self, planes: Sequence[Array], targets: Sequence[Array], corners: Sequence[tuple[int, int]]) -> None:
        """See `sr_core.backend.DirectSession`."""
        with self._finished(planes) as request:
            if self._packed is None:
                for name, target, (row, column) in zip(self._outputs, targets, corners, strict=True):
                    plane = plane_of(request.get_tensor(name).data, name)
                    np.copyto(target, plane[row : row + target.shape[0], column : column + target.shape[1]])
                return
            for piece in self._packed.pieces:
                row, column = corners[piece.plane]
                tensor = request.get_tensor(piece.tensor).data[0]
                copy_piece(piece, tensor, targets[piece.plane], row=row, column=column)

    @contextmanager
    def _finished(self, planes: Sequence[Array]) -> Iterator[ov.InferRequest]:
        """A request that has run on `planes`; others may use it afterwards."""
        request = self._requests.get()
        try:
            for name, plane in zip(self._inputs, planes, strict=True):
                np.copyto(plane_of(request.get_tensor(name).data, name), plane)
            try:
                request.infer(share_outputs=True)  # or it would return copies
            except RuntimeError as error:
                raise EngineError(f"OpenVINO failed while running: {error}") from error
            yield request
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """Free every request."""
        for _ in range(self.contexts):
            self._requests.get()
