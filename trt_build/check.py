"""The gate before every FP16 build: does the lowered graph still compute the FP32 one's picture?

    FP32 graph ──ONNX Runtime──────────────────────────► codes ┐
    FP16 graph ──ONNX Runtime, rounded after every node─► codes ┴ PSNR on every plane of every picture
    FP32 graph ──peak |x| of every tensor to be FP16 ───────────  below 3e4?

    form (`forms`)   must reach                          otherwise
    lean, first      what CPUs ask of reduced precision: the next form
                     57.5 dB (8 bits), 63 (10), 65
    careful          50 dB                               layers go back to FP32

Of the careful form a node with a large tensor goes back to FP32 at once, and for PSNR the stretch of
nodes that gains most, then the next, until it passes. See Note [oracle].

Note [oracle]: a CPU has no FP16 arithmetic, so ONNX Runtime computes every FP16 node in FP32 and
removes the pairs of casts between neighbours, which makes FP16 look up to 13 dB better than it is
(measured: 79.0 dB against 66.0 dB in torch's own half precision). An Identity after each node is a
border that those pairs do not cross once optimisation is off: 65.8 dB, within 0.3 dB of torch.
FP32 accumulation with one rounding at the end of a node is also what tensor cores do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from sr_core.backend import ComposedGraph, plane_of
from sr_core.backends.fidelity import least_db
from sr_core.backends.onnxruntime_telemetry import telemetry_off
from sr_core.color import code_scale, ycc_from_rgb
from sr_core.difference import difference
from sr_core.engine_key import Reference
from sr_core.errors import BadModel, EngineError, NotAvailable, VerificationError
from sr_core.frame import Array, unit_from_samples
from trt_build.forms import Form, forms_of
from trt_build.fp16 import fp16_nodes, lower_to_fp16

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

REQUIRED_PSNR_DB = 50.0  # of the output codes; 0.8 codes RMS at 8 bits, invisible and far above any model's error
PEAK_LIMIT = 3e4  # FP16 ends at 65504: half of it is left for pictures brighter than the check's
IDENTICAL_DB = 999.0  # stands for "no sample differs": JSON has no infinity
CHECK_SIDE_PX = 128  # the check runs on a tile of this size where the graph allows another size
_STRETCHES = 12  # into how many pieces a failing network is cut

Feeds = dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class CheckedGraph:
    """An FP16 graph that passed, and the figures it passed with.

    Attributes:
        source: the FP32 graph it was lowered from, in the form that passed.
        form: that form's name; '' where nothing was lowered.
        passed_over: a line for each leaner form that did not pass.
    """

    model: onnx.ModelProto
    source: onnx.ModelProto
    form: str
    passed_over: tuple[str, ...]
    keep_fp32: frozenset[str]
    fp32_layers: tuple[str, ...]  # what the check sent back
    psnr_db: float | None  # None: nothing was lowered, so nothing was checked
    peak_activation: float
    checked_by: str


def lower_and_check(
    graph: ComposedGraph, *, required_psnr_db: float = REQUIRED_PSNR_DB, peak_limit: float = PEAK_LIMIT
) -> CheckedGraph:
    """Lower `graph` to FP16 in the leanest form that passes, sending layers of the careful one back to FP32.

    Raises:
        NotAvailable: onnxruntime, which runs the check, is not installed.
        BadModel: the graph cannot be lowered or run.
    """
    *leaner, careful = forms_of(graph)
    bench = _Bench(graph, careful)
    required_of_lean = max(least_db(graph), required_psnr_db)
    passed_over: list[str] = []
    for form in leaner:
        small = bench.small(form)
        peaks = bench.peaks(small, form.keep_fp32)
        psnr_db = bench.psnr_db(small, form.keep_fp32)
        peak = max(peaks.values(), default=0.0)
        if psnr_db >= required_of_lean and peak < peak_limit:
            return _checked(form, bench, psnr_db, peaks, passed_over=passed_over)
        found = f"{psnr_db:.1f} dB of {required_of_lean:g}" if peak < peak_limit else f"values up to {peak:.2g}"
        passed_over.append(f"{form.name}: {found}")
    return _careful(careful, bench, required_psnr_db, peak_limit, passed_over)


def decibels(graph: ComposedGraph) -> dict[str, float]:
    """Each form's lowest PSNR against FP32, before any layer is sent back."""
    *_, careful = forms = list(forms_of(graph))
    bench = _Bench(graph, careful)
    return {form.name: bench.psnr_db(bench.small(form), form.keep_fp32) for form in forms}


def _careful(
    form: Form, bench: _Bench, required_psnr_db: float, peak_limit: float, passed_over: list[str]
) -> CheckedGraph:
    """The last form, which passes by losing layers."""
    small, keep = bench.small(form), form.keep_fp32
    peaks = bench.peaks(small, keep)
    sent_back = [name for name, peak in peaks.items() if not peak < peak_limit]
    keep |= set(sent_back)
    psnr_db = bench.psnr_db(small, keep)
    if psnr_db < required_psnr_db:
        gains = [(bench.psnr_db(small, keep | set(part)), part) for part in _stretches(small, keep)]
        for _, part in sorted(gains, key=lambda entry: -entry[0]):
            keep |= set(part)
            sent_back += part
            psnr_db = bench.psnr_db(small, keep)
            if psnr_db >= required_psnr_db:
                break
    return _checked(form, bench, psnr_db, peaks, passed_over=passed_over, sent_back=tuple(sent_back))


def _checked(
    form: Form,
    bench: _Bench,
    psnr_db: float,
    peaks: dict[str, float],
    *,
    passed_over: list[str],
    sent_back: tuple[str, ...] = (),
) -> CheckedGraph:
    keep = form.keep_fp32 | set(sent_back)
    return CheckedGraph(
        model=lower_to_fp16(form.model, keep),
        source=form.model,
        form=form.name,
        passed_over=tuple(passed_over),
        keep_fp32=keep,
        fp32_layers=sent_back,
        psnr_db=round(psnr_db, 2) if math.isfinite(psnr_db) else IDENTICAL_DB,
        peak_activation=round(max((p for n, p in peaks.items() if n not in keep), default=0.0), 2),
        checked_by=bench.name,
    )


def reference_of(graph: ComposedGraph) -> Reference:
    """The busiest picture through the FP32 graph at its own tile size, for an engine to be held against."""
    feeds = _feeds_from_picture(graph.model, check_pictures()[-1], graph.depth)
    expected = _run(_session(graph.model), feeds)
    return Reference(
        given=tuple(plane_of(tensor, name) for name, tensor in feeds.items()),
        expected=tuple(plane_of(tensor, name) for name, tensor in zip(graph.output_names, expected, strict=True)),
        peak_code=_peak_code(graph.model, graph.depth),
    )


class _Bench:
    """Runs the forms of one graph on the check's pictures, at the check's size where the graph allows another."""

    def __init__(self, graph: ComposedGraph, plain: Form) -> None:
        self._scale = graph.scale
        self._resizes = True
        small = self.small(plain)
        self._resizes = small is not plain.model
        self.peak_code = _peak_code(small, graph.depth)
        self.feeds = [_feeds_from_picture(small, picture, graph.depth) for picture in gate_pictures()]
        reference = _session(small)
        self.expected = [_run(reference, feeds) for feeds in self.feeds]
        self.name = f"onnxruntime {_ort().__version__} on the CPU, rounded to FP16 after every node"

    def small(self, form: Form) -> onnx.ModelProto:
        """What is run of `form`."""
        resized = _resize(form.model, self._scale) if self._resizes else None
        return form.model if resized is None else resized

    def psnr_db(self, model: onnx.ModelProto, keep: frozenset[str]) -> float:
        """Lowest PSNR of any plane of any picture against FP32, `keep` staying FP32."""
        session = _session(round_after_every_node(lower_to_fp16(model, keep)))
        lowest = math.inf
        for feeds, expected in zip(self.feeds, self.expected, strict=True):
            for actual, wanted in zip(_run(session, feeds), expected, strict=True):
                try:
                    found = difference(actual, wanted, peak=self.peak_code).psnr_db
                except VerificationError:  # NaN: an overflow inside
                    return -math.inf
                lowest = min(lowest, found)
        return lowest

    def peaks(self, model: onnx.ModelProto, keep: frozenset[str]) -> dict[str, float]:
        """Largest |x| in FP32 of each node that is to be FP16, over all pictures."""
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        nodes = set(fp16_nodes(lower_to_fp16(model, keep)))
        made = [(node.name, node.output[0]) for node in model.graph.node if node.name in nodes]
        for _, tensor in made:
            copy.graph.node.append(helper.make_node("Abs", [tensor], [f"{tensor}__abs"]))
            copy.graph.node.append(helper.make_node("ReduceMax", [f"{tensor}__abs"], [f"{tensor}__peak"], keepdims=0))
            copy.graph.output.append(helper.make_tensor_value_info(f"{tensor}__peak", TensorProto.FLOAT, []))
        if not made:
            return {}
        session = _session(copy)
        found = np.zeros(len(made))
        for feeds in self.feeds:
            found = np.maximum(found, [float(value) for value in _run(session, feeds)[-len(made) :]])
        return {name: float(peak) for (name, _), peak in zip(made, found, strict=True)}


def round_after_every_node(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with an Identity behind every FP16 tensor. See Note [oracle]."""
    copy = onnx.shape_inference.infer_shapes(model)
    types = {value.name: value.type.tensor_type.elem_type for value in copy.graph.value_info}
    nodes: list[onnx.NodeProto] = []
    for node in copy.graph.node:
        nodes.append(node)
        for index, name in enumerate(node.output):
            if types.get(name) == TensorProto.FLOAT16:
                node.output[index] = f"{name}__raw"
                nodes.append(helper.make_node("Identity", [f"{name}__raw"], [name], f"{name}__border"))
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:], copy.graph.value_info[:]
    copy.graph.node.extend(ordered)
    return copy


def gate_pictures() -> list[Array]:
    """The photographs, and what photographs lack: noise, a checkerboard of single pixels, saturated primaries.

    These find more than photographs do: clear-x4 in FP16 reads 70.4 dB and more there and 58.9 on the checkerboard.
    """
    rows, columns = np.mgrid[:128, :128]
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    checkerboard = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    corners = np.array(list(np.ndindex(2, 2, 2)), np.uint8) * np.uint8(255)
    primaries = corners[(columns // 16 + rows // 16 * 3) % 8]
    return [*check_pictures(), noise, checkerboard, primaries]


def check_pictures() -> list[Array]:
    """Four real photographs, uint8 [128, 128, 3] (CC0, see NOTICE): dark, pale, saturated, busy."""
    from PIL import Image

    content = (files("trt_build") / "check_images.png").read_bytes()
    with Image.open(BytesIO(content)) as image:
        sheet = np.asarray(image.convert("RGB"))
    return [sheet[y : y + 128, x : x + 128] for y in (0, 128) for x in (0, 128)]


def planes_from_picture(
    picture: Array, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]], depth: int
) -> Feeds:
    """Fill planes of the given tensor shapes and types with `picture`, repeated as often as needed.

    Colours are BT.709, limited range. A 16-bit `uv` plane means P010: codes in the high bits.
    """
    semiplanar_high = "uv" in shapes and depth > 8
    planes: Feeds = {}
    for name, (shape, dtype) in shapes.items():
        rows, columns = (shape[1], shape[2]) if name in ("uv", "rgb") else (shape[-2], shape[-1])
        is_chroma = name in ("u", "v", "uv")
        values = _channels(picture, name, depth, is_float=dtype.kind == "f")
        luma_rows = max(shape[1] if n in ("rgb",) else shape[-2] for n, (shape, _) in shapes.items() if n != "uv")
        step = max(1, round(luma_rows / rows)) if is_chroma else 1
        values = values[::step, ::step]
        repeat = (-(-rows // values.shape[0]), -(-columns // values.shape[1]), 1)
        values = np.tile(values, repeat)[:rows, :columns]
        if dtype.kind != "f":
            values = np.rint(values)
            if semiplanar_high:
                values = values * (1 << (16 - depth))
        planes[name] = values.reshape(shape).astype(dtype)
    return planes


def _channels(picture: Array, name: str, depth: int, *, is_float: bool) -> Array:
    """[H, W, n] samples of plane `name` in codes of `depth` bits (or 0..1 for floats)."""
    rgb01 = unit_from_samples(picture)
    if name == "rgb" or name in ("r", "g", "b"):
        chosen = rgb01 if name == "rgb" else rgb01[..., "rgb".index(name), None]
        return chosen if is_float else chosen * ((1 << depth) - 1)
    ycc = rgb01 @ ycc_from_rgb("bt709").T
    index = {"y": [0], "gray": [0], "u": [1], "v": [2], "uv": [1, 2]}[name]
    values = ycc[..., index]
    if is_float:
        return values
    luma_span, luma_offset, chroma_span, chroma_offset = code_scale(depth=depth, full_range=False)
    span, offset = (luma_span, luma_offset) if index == [0] else (chroma_span, chroma_offset)
    return values * span + offset


def _feeds_from_picture(model: onnx.ModelProto, picture: Array, depth: int) -> Feeds:
    shapes = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_value for dim in tensor.shape.dim)
        shapes[value.name] = (shape, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    return planes_from_picture(picture, shapes, depth)


def _peak_code(model: onnx.ModelProto, depth: int) -> float:
    """What PSNR calls full scale: the largest code as stored."""
    first = model.graph.input[0].type.tensor_type.elem_type
    if first not in (TensorProto.UINT8, TensorProto.UINT16):
        return 1.0
    is_p010 = depth > 8 and any(value.name == "uv" for value in model.graph.input)
    return float(((1 << depth) - 1) << (16 - depth if is_p010 else 0))


def _stretches(model: onnx.ModelProto, keep: frozenset[str]) -> list[list[str]]:
    """The nodes that are FP16 now, in order, in at most `_STRETCHES` pieces."""
    names = fp16_nodes(lower_to_fp16(model, keep))
    size = max(1, math.ceil(len(names) / _STRETCHES))
    return [names[start : start + size] for start in range(0, len(names), size)]


def _resize(model: onnx.ModelProto, scale: int) -> onnx.ModelProto | None:
    """`model` for a tile of CHECK_SIDE_PX, or None where its size is baked in or small already."""
    first = model.graph.input[0].type.tensor_type.shape.dim
    is_packed = model.graph.input[0].name == "rgb"
    height, width = (first[1], first[2]) if is_packed else (first[-2], first[-1])
    new = (min(CHECK_SIDE_PX, height.dim_value), min(CHECK_SIDE_PX, width.dim_value))
    if new == (height.dim_value, width.dim_value):
        return None
    old = (height.dim_value, width.dim_value)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in (*copy.graph.input, *copy.graph.output):
        dims = value.type.tensor_type.shape.dim
        row, column = (dims[1], dims[2]) if value.name.startswith(("uv", "rgb")) else (dims[-2], dims[-1])
        row.dim_value = row.dim_value * new[0] // old[0]
        column.dim_value = column.dim_value * new[1] // old[1]
    del copy.graph.value_info[:]
    try:
        onnx.shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True)
        session = _session(copy)
        _run(session, _feeds_from_picture(copy, check_pictures()[0], 8))
    except (onnx.shape_inference.InferenceError, BadModel, EngineError):
        return None  # a size is written into the graph: the check runs at the full size
    return copy


def _session(model: onnx.ModelProto) -> InferenceSession:
    ort = _ort()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this one
        raise BadModel(f"the check cannot run the graph: {error}") from error


def _run(session: InferenceSession, feeds: Feeds) -> list[Array]:
    try:
        return list(session.run(None, feeds))
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this one
        raise EngineError(f"the check failed while running the graph: {error}") from error


def _ort() -> Any:
    try:
        with telemetry_off():
            import onnxruntime
    except ImportError as error:
        raise NotAvailable(
            "building an FP16 engine needs onnxruntime, which checks it against FP32",
            hint="pip install 'srvid[rtx]' installs it",
        ) from error
    return onnxruntime
