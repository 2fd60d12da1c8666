"""The ways a graph runs on a device of OpenVINO, as models for it.

    f32         everything in f32
    bf16+f32    the network's body in bf16, its edges in f32, by types; CPUs
    f16+f32     the same in f16; Intel's GPUs, and NPUs, which run the edges in f16 too
    int8+f32    the convolutions that the file has quantizers for in INT8; CPUs, frames of 8 bits only

On a CPU each is in the packed form where the network has one (`sr_core.graph.packed_exit`).
"""

from __future__ import annotations

from collections.abc import Collection

import openvino as ov

from sr_core.backend import ComposedGraph, Precision
from sr_core.backends.body_types import Narrow, type_body
from sr_core.backends.fidelity import least_db
from sr_core.backends.openvino_devices import CPU
from sr_core.errors import EngineError
from sr_core.graph.body import body_nodes
from sr_core.graph.network import merge_base
from sr_core.packing import PackedGraph
from sr_core.wording import option

WAYS = ("f32", "bf16+f32", "f16+f32", "int8+f32")  # the most faithful first
_NARROW: dict[str, Narrow] = {"bf16+f32": "bf16", "f16+f32": "f16"}
INT8_LOSS_DB = 0.02  # against ground truth, on each set it was measured on: what `auto` accepts
INT8_LEAST_DB = 40.0  # against f32, on the gate's picture; 47 to 55 measured. Less is not rounding but a fault


def ways_for(
    graph: ComposedGraph, capabilities: Collection[str], precision: Precision, *, device: str = CPU
) -> tuple[str, ...]:
    """Those that may pay here.

    Args:
        capabilities: the plug-in's OPTIMIZATION_CAPABILITIES.
        precision: 'auto' takes INT8 only where it costs next to nothing, 'fast' takes it anyway.
        device: OpenVINO's name.

    Raises:
        EngineError: exactly, on a device that has no f32.
    """
    if device.startswith("NPU"):
        if precision == "exact":
            raise EngineError(
                "an NPU computes in f16 only", hint=f"leave {option('precision')} or {option('device')} out"
            )
        return ("f16+f32",)
    if device != CPU and precision != "exact":
        return ("f32", "f16+f32") if "FP16" in capabilities else ("f32",)
    if precision == "exact":
        return ("f32",)
    ways = ["f32"]
    if "BF16" in capabilities:
        ways.append("bf16+f32")
    is_close = graph.int8_loss_db is not None and graph.int8_loss_db <= INT8_LOSS_DB
    if (precision == "fast" or is_close) and graph.has_int8:
        ways.append("int8+f32")
    return tuple(ways)


def needed_db(graph: ComposedGraph, way: str) -> float:
    """What `way` must reach against f32. What INT8 costs was measured against ground truth instead."""
    return INT8_LEAST_DB if way == "int8+f32" else least_db(graph)


def model_of(
    core: ov.Core, graph: ComposedGraph, way: str, *, packs: bool = True
) -> tuple[ov.Model, PackedGraph | None]:
    """The model to compile (`openvino_devices.config_for`), and how its outputs are packed.

    Args:
        packs: take the packed form where there is one.

    Raises:
        EngineError: OpenVINO cannot read the graph, it has no body, or no quantizers.
    """
    source = graph.int8() if way == "int8+f32" else graph
    if source is None:
        raise EngineError(
            "INT8 is for frames of 8 bits and models with quantizers", hint="srkit quantize writes them into a model"
        )
    packed = source.packed() if packs else None
    composed = packed.model if packed else merge_base(source.model)
    narrow = _NARROW.get(way)
    body = body_nodes(composed) if narrow else frozenset[str]()
    if narrow and not body:
        raise EngineError("the network has no body: what is not an edge is empty")
    try:
        model = core.read_model(composed.SerializeToString())
        return (type_body(model, composed, body, narrow=narrow) if narrow else model), packed
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot read the graph: {error}") from error
