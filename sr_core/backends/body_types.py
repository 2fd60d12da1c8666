"""An OpenVINO model whose body is typed bf16 or f16: the graph itself says what runs in how many bits.

    features (f32) ─ Convert ─► bf16 [ conv ─ act ─ … ─ conv ] ─ Convert ─► f32 ─ + base ─ round ─ codes

Compiled with the hint f32, the CPU plug-in runs what is typed bf16 in bf16 and leaves everything else alone. The GPU
plug-in turns every type into the hint's, so there is none there but EXECUTION_MODE_HINT=ACCURACY, which keeps types.
Marks on nodes, the other way, get lost where a fusion makes a new node: 281 of 65,535 codes of RGB48 came
out wrong. Constants are rounded here, because constant folding of a Convert does not round to nearest
(2 to 6 dB).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

import numpy as np
import openvino as ov
from openvino import opset8

from sr_core.frame import Array

if TYPE_CHECKING:
    from onnx import ModelProto

Narrow = Literal["bf16", "f16"]
_RESHAPING = ("Reshape", "Unsqueeze")  # between a constant and its use: biases


def type_body(model: ov.Model, composed: ModelProto, body: Collection[str], *, narrow: Narrow = "bf16") -> ov.Model:
    """Give the nodes of `body` the type `narrow`, in place, and return `model`.

    Args:
        model: `composed` as OpenVINO read it.
        body: names of nodes of `composed`, see `sr_core.graph.body`.
    """
    nodes = _body_of(model, composed, body)
    inside = {node.get_friendly_name() for node in nodes}
    narrowed: dict[tuple[str, int], ov.Output] = {}  # one Convert a tensor, whoever reads it
    for node in nodes:
        for entry in node.inputs():
            _narrow(entry, inside, narrowed, narrow)
    for node in nodes:
        _widen(node, inside)
    model.validate_nodes_and_infer_types()
    return model


def nearest_bf16(values: Array) -> Array:
    """float32 with the 8 significant bits of bf16, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded: Array = ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    return rounded


def _body_of(model: ov.Model, composed: ModelProto, body: Collection[str]) -> list[ov.Node]:
    """OpenVINO calls a node by its name or its output's, and a part of it 'name/WithoutBiases'."""
    names = set(body) | {name for node in composed.graph.node if node.name in body for name in node.output}

    def belongs(node: ov.Node) -> bool:
        name = node.get_friendly_name()
        if name not in names and name.rpartition("/")[0] not in names:
            return False
        return bool(node.get_type_name() != "Constant" and node.get_output_element_type(0) == ov.Type.f32)

    return [node for node in model.get_ordered_ops() if belongs(node)]


def _narrow(
    entry: ov.Input, inside: Collection[str], narrowed: dict[tuple[str, int], ov.Output], narrow: Narrow
) -> None:
    source = entry.get_source_output()
    name = source.get_node().get_friendly_name()
    if source.get_element_type() != ov.Type.f32 or name in inside:
        return
    values = _constant_behind(source)
    if values is not None:
        entry.replace_source_output(_constant(values, narrow))
        return
    key = (name, source.get_index())
    if key not in narrowed:
        narrowed[key] = opset8.convert(source, narrow).output(0)
    entry.replace_source_output(narrowed[key])


def _constant(values: Array, narrow: Narrow) -> ov.Output:
    if narrow == "f16":
        return opset8.constant(values.astype(np.float16)).output(0)  # numpy rounds to nearest, ties to even
    return opset8.convert(opset8.constant(nearest_bf16(values)), narrow).output(0)


def _widen(node: ov.Node, inside: Collection[str]) -> None:
    """Hand every result that leaves the body on as f32."""
    for output in node.outputs():
        leaving = [entry for entry in output.get_target_inputs() if entry.get_node().get_friendly_name() not in inside]
        if leaving:
            widened = opset8.convert(output, "f32").output(0)
            for entry in leaving:
                entry.replace_source_output(widened)


def _constant_behind(source: ov.Output) -> Array | None:
    """What `source` always is: a constant, or one in another shape. None: it is computed."""
    node = source.get_node()
    if node.get_type_name() in _RESHAPING:
        node = node.input(0).get_source_output().get_node()
    if node.get_type_name() != "Constant":
        return None
    values: Array = np.ascontiguousarray(node.data).reshape(list(source.get_shape()))
    return values
