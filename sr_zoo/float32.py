"""A graph whose weights and tensors are FP16 or BF16, as the same graph in FP32.

    FP16 initializer, constant, Cast ─► FP32      (also inside the graphs of If and Loop)

Every backend then chooses its own precision, and checks it: a graph that is FP16 in itself leaves it none.
The weights' values are exact; only what the network computes between them becomes more precise.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_TYPE_ATTRIBUTES = ("to", "dtype")  # of Cast, EyeLike, RandomNormal and their like


def uses_half(model: ModelProto) -> bool:
    """Whether any weight, input or output is FP16 or BF16."""
    graph = model.graph
    kinds = [tensor.data_type for tensor in graph.initializer]
    kinds += [value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)]
    kinds += [attribute.t.data_type for node in graph.node for attribute in node.attribute]
    return any(kind in HALVES for kind in kinds)


def to_float32(model: ModelProto) -> ModelProto:
    """A copy of `model` without FP16 and BF16."""
    copy = ModelProto()
    copy.CopyFrom(model)
    _convert(copy.graph)
    _fold_casts(copy.graph)
    return copy


def _fold_casts(graph: GraphProto) -> None:
    """Weights behind a Cast to FP32, which have just become FP32 themselves."""
    held = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        is_cast = node.op_type == "Cast" and node.input[0] in held and node.attribute[0].i == TensorProto.FLOAT
        if is_cast and held[node.input[0]].data_type == TensorProto.FLOAT:
            copy = graph.initializer.add()
            copy.CopyFrom(held[node.input[0]])
            copy.name = node.output[0]
            graph.node.remove(node)


def _convert(graph: GraphProto) -> None:
    for tensor in graph.initializer:
        _widen(tensor)
    _retype((*graph.input, *graph.output))
    del graph.value_info[:]
    for node in graph.node:
        _convert_node(node)


def _convert_node(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            _widen(attribute.t)
        elif attribute.type == AttributeProto.GRAPH:
            _convert(attribute.g)
        elif attribute.name in _TYPE_ATTRIBUTES and attribute.i in HALVES:
            attribute.i = TensorProto.FLOAT
        for graph in attribute.graphs:
            _convert(graph)


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type in HALVES:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def _retype(values: Iterable[ValueInfoProto]) -> None:
    for value in values:
        if value.type.tensor_type.elem_type in HALVES:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
