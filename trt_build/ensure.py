"""Find the engine of a graph, or build it: lower, check, compile, keep.

ComposedGraph ─ key ─► in the store? ─ yes ─► BuiltEngine
                             └ no ─ lock ─ form, FP16 + check ─ byte planes ─ compile ─ store ─┘
                                           └ or what an engine of the same graph was checked to be
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import onnx
from onnx import helper

from sr_core.backend import ComposedGraph, Precision, Progress
from sr_core.backends.fidelity import LEAST_DB, LEAST_DEEPER_DB
from sr_core.backends.tensorrt_library import TensorRtLibrary, load_library
from sr_core.engine_key import BuildOptions, BuiltEngine, EngineFacts, EngineKey, GpuFacts
from trt_build.build import SerializedEngine, serialize_engine
from trt_build.byte_planes import with_byte_planes
from trt_build.check import REQUIRED_PSNR_DB, CheckedGraph, lower_and_check, reference_of
from trt_build.forms import form_called
from trt_build.fp16 import RECIPE, fp16_nodes, lower_to_fp16, name_nodes
from trt_build.store import EngineStore

_CHECK_SHARE = 0.2  # of the progress bar: the check took 0.3 to 0.8 s beside builds of 0.1 to 13 s


def ensure_engine(
    graph: ComposedGraph,
    *,
    library: str,
    gpu: GpuFacts,
    precision: Precision = "auto",
    progress: Progress | None = None,
    options: BuildOptions | None = None,
    store: EngineStore | None = None,
) -> BuiltEngine:
    """The engine that runs `graph` on `gpu`, from the store or built now.

    An engine for exactly this compute capability is preferred; a portable one is used where
    that is all there is. Two processes that need the same engine build it once.

    Raises:
        NotAvailable: the library is not installed or does not support the GPU.
        BadModel, EngineError: the graph or the builder failed.
        Cancelled: Ctrl-C during the build.
    """
    native = load_library(library)
    store = store or EngineStore()
    targets = native.targets_that_run_on(gpu)
    keys = [
        engine_key(graph, native, target=target, gpu=gpu, precision=precision, options=options) for target in targets
    ]
    for key in keys:
        found, _ = store.find(key, graph.model.graph.name)
        if found is not None:
            break
    else:
        found = build_engine(
            graph,
            native,
            target=targets[0],
            gpu=gpu,
            precision=precision,
            progress=progress,
            options=options,
            store=store,
        )
    return replace(found, reference=lambda: reference_of(graph))


def is_built(
    graph: ComposedGraph,
    *,
    library: str,
    gpu: GpuFacts,
    precision: Precision = "auto",
    store: EngineStore | None = None,
) -> bool:
    """Whether `ensure_engine` would return at once."""
    native = load_library(library)
    store = store or EngineStore()
    return any(
        store.find(engine_key(graph, native, target=target, gpu=gpu, precision=precision), graph.model.graph.name)[0]
        for target in native.targets_that_run_on(gpu)
    )


def build_engine(
    graph: ComposedGraph,
    native: TensorRtLibrary,
    *,
    target: str,
    gpu: GpuFacts | None = None,
    precision: Precision = "auto",
    progress: Progress | None = None,
    options: BuildOptions | None = None,
    store: EngineStore | None = None,
) -> BuiltEngine:
    """Build for `target` unless the store has it; `notes` says why the nearest one there was not used."""
    native.check_target(target)
    store = store or EngineStore()
    label = graph.model.graph.name
    key = engine_key(graph, native, target=target, gpu=gpu, precision=precision, options=options)
    with store.lock(key):
        found, problem = store.find(key, label)
        if found is not None:
            return found
        note = f"rebuilt: {problem}" if problem else store.nearest(key, label)
        checked = _final_graph(graph, precision, progress, known=store.checked_before(key))
        onnx_bytes = checked.model.SerializeToString(deterministic=True)
        engine = serialize_engine(
            native, onnx_bytes, target=target, options=key.options, gpu=gpu, progress=_later_share(progress)
        )
        facts = _facts(graph, key, checked, engine, onnx_bytes)
        store.put(engine.content, facts)
    notes = [note] if note else []
    if checked.fp32_layers:
        count, total = len(checked.fp32_layers), len(checked.fp32_layers) + len(fp16_nodes(checked.model))
        notes.append(f"{count} of {total} layers run in FP32: in FP16 they fail the check against it")
    return BuiltEngine(content=engine.content, facts=facts, notes=tuple(notes))


def engine_key(
    graph: ComposedGraph,
    native: TensorRtLibrary,
    *,
    target: str,
    gpu: GpuFacts | None,
    precision: Precision = "auto",
    options: BuildOptions | None = None,
) -> EngineKey:
    """The key of `graph` for a target (and, for `tensorrt`, a GPU)."""
    options = options or BuildOptions()
    return EngineKey(
        graph_sha256=graph_hash(graph),
        recipe=recipe(),
        precision="fp32" if precision == "exact" else "fp16+fp32",
        library=native.name,
        library_version=native.version,
        target=target,
        options=options,
        **native.key_fields(gpu, options),
    )


def recipe() -> str:
    """Version and thresholds of the FP16 conversion, as EngineKey has it."""
    lean = "/".join(f"{db:g}" for db in (*(db for _, db in LEAST_DB), LEAST_DEEPER_DB))
    return f"{RECIPE} psnr>={REQUIRED_PSNR_DB:g} lean>={lean}"


def graph_hash(graph: ComposedGraph) -> str:
    """sha256 of what is computed: nodes, weights, sizes, and which nodes stay FP32; no remarks."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph.model)
    copy.producer_name = copy.producer_version = copy.doc_string = ""
    copy.graph.doc_string = ""
    del copy.metadata_props[:], copy.graph.value_info[:]
    for node in copy.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    digest = hashlib.sha256(copy.SerializeToString(deterministic=True))
    digest.update("\n".join(sorted(graph.keep_fp32)).encode())
    return digest.hexdigest()


def final_graph(graph: ComposedGraph, precision: Precision = "auto") -> CheckedGraph:
    """The graph the builder parses: checked FP16 (or FP32 for 'exact') with byte planes."""
    return _final_graph(graph, precision, None, known=None)


def _final_graph(
    graph: ComposedGraph, precision: Precision, progress: Progress | None, *, known: EngineFacts | None
) -> CheckedGraph:
    if precision == "exact":
        return _exact(graph)
    if known is None:
        if progress is not None:
            progress("checking FP16 against FP32", 0.0)
        checked = lower_and_check(graph)
    else:
        checked = _as_checked_before(graph, known)
    with_bytes, added = with_byte_planes(checked.source)
    return replace(checked, model=lower_to_fp16(with_bytes, checked.keep_fp32 | added))


def _exact(graph: ComposedGraph) -> CheckedGraph:
    source = name_nodes(graph.model)
    with_bytes, _ = with_byte_planes(source)
    everything = frozenset(node.name for node in with_bytes.graph.node)
    return CheckedGraph(
        model=lower_to_fp16(with_bytes, everything),
        source=source,
        form="",
        passed_over=(),
        keep_fp32=everything,
        fp32_layers=(),
        psnr_db=None,
        peak_activation=0.0,
        checked_by="",
    )


def _as_checked_before(graph: ComposedGraph, known: EngineFacts) -> CheckedGraph:
    """What the check found of this very graph when it was built for another target."""
    form = form_called(known.form, graph)
    return CheckedGraph(
        model=form.model,
        source=form.model,
        form=form.name,
        passed_over=known.passed_over,
        keep_fp32=form.keep_fp32 | set(known.fp32_layers),
        fp32_layers=known.fp32_layers,
        psnr_db=known.psnr_db,
        peak_activation=known.peak_activation,
        checked_by=known.checked_by,
    )


def _later_share(progress: Progress | None) -> Progress | None:
    if progress is None:
        return None

    def report(phase: str, share: float) -> None:
        progress(phase, _CHECK_SHARE + (1 - _CHECK_SHARE) * share)

    return report


def _facts(
    graph: ComposedGraph, key: EngineKey, checked: CheckedGraph, engine: SerializedEngine, onnx_bytes: bytes
) -> EngineFacts:
    values = (*checked.model.graph.input, *checked.model.graph.output)
    planes = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        planes.append((value.name, dtype, tuple(dim.dim_value for dim in tensor.shape.dim)))
    return EngineFacts(
        key=key,
        label=graph.model.graph.name,
        scale=graph.scale,
        width=graph.width,
        height=graph.height,
        depth=graph.depth,
        planes=tuple(planes),
        engine_sha256=hashlib.sha256(engine.content).hexdigest(),
        engine_bytes=len(engine.content),
        activation_bytes=engine.activation_bytes,
        weights_bytes=engine.weights_bytes,
        build_seconds=engine.seconds,
        final_onnx_sha256=hashlib.sha256(onnx_bytes).hexdigest(),
        form=checked.form,
        passed_over=checked.passed_over,
        fp32_layers=checked.fp32_layers,
        psnr_db=checked.psnr_db,
        peak_activation=checked.peak_activation,
        checked_by=checked.checked_by,
        built_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
