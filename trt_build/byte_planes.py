"""16-bit integer planes become byte pairs, because TensorRT has no UINT16.

    y  UINT16 [1, 1, H, W] ──Cast──► FLOAT          before
    y  UINT8  [1, 1, H, W, 2] ──Cast──► lo + 256 hi ──► FLOAT [1, 1, H, W]      after

The bytes in memory are the same (little endian), so the host hands over the same buffer. Sums
stay below 2^16 and FP32 counts to 2^24: exact. This is the one place that knows of it; a session
reads the last dimension and dtype of an engine's planes.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sr_core.errors import BadModel

_PREFIX = "bytes_"


def with_byte_planes(model: onnx.ModelProto) -> tuple[onnx.ModelProto, frozenset[str]]:
    """Return (a copy of `model` without UINT16 planes, names of the nodes put in, all FP32).

    Raises:
        BadModel: a UINT16 plane that is not simply cast from or to FLOAT.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    added: list[str] = []
    for value in graph.input:
        if value.type.tensor_type.elem_type == TensorProto.UINT16:
            _split_input(graph, value, added)
    for value in graph.output:
        if value.type.tensor_type.elem_type == TensorProto.UINT16:
            _split_output(graph, value, added)
    return copy, frozenset(added)


def _split_input(graph: onnx.GraphProto, plane: onnx.ValueInfoProto, added: list[str]) -> None:
    users = [node for node in graph.node if plane.name in node.input]
    if not users or any(not _is_cast(node, TensorProto.FLOAT) for node in users):
        raise BadModel(f"the 16-bit plane {plane.name!r} is not cast to FLOAT first, so TensorRT cannot read it")
    axis = len(plane.type.tensor_type.shape.dim)
    prefix = f"{_PREFIX}{plane.name}"
    nodes = [helper.make_node("Cast", [plane.name], [f"{prefix}_f"], f"{prefix}_cast", to=TensorProto.FLOAT)]
    for name, start in (("lo", 0), ("hi", 1)):
        bounds = [
            _constant(graph, f"{prefix}_{name}_start", np.array([start], np.int64)),
            _constant(graph, f"{prefix}_{name}_end", np.array([start + 1], np.int64)),
            _constant(graph, f"{prefix}_axis", np.array([axis], np.int64)),
        ]
        nodes.append(
            helper.make_node("Slice", [f"{prefix}_f", *bounds], [f"{prefix}_{name}"], f"{prefix}_{name}_slice")
        )
    base = _constant(graph, f"{_PREFIX}256", np.array(256.0, np.float32))
    axes = _constant(graph, f"{prefix}_axis", np.array([axis], np.int64))
    nodes += [
        helper.make_node("Mul", [f"{prefix}_hi", base], [f"{prefix}_hi256"], f"{prefix}_mul"),
        helper.make_node("Add", [f"{prefix}_lo", f"{prefix}_hi256"], [f"{prefix}_pair"], f"{prefix}_add"),
        helper.make_node("Squeeze", [f"{prefix}_pair", axes], [f"{prefix}_code"], f"{prefix}_squeeze"),
    ]
    first = min(index for index, node in enumerate(graph.node) if plane.name in node.input)
    renamed = {user.output[0]: f"{prefix}_code" for user in users}
    kept = [node for node in graph.node if node not in users]
    for node in kept:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    before = [node for node in graph.node[:first] if node not in users]
    _replace(graph, [*before, *nodes, *kept[len(before) :]])
    _become_bytes(plane)
    added += [node.name for node in nodes]


def _split_output(graph: onnx.GraphProto, plane: onnx.ValueInfoProto, added: list[str]) -> None:
    index, maker = next((i, node) for i, node in enumerate(graph.node) if plane.name in node.output)
    if not _is_cast(maker, TensorProto.UINT16):
        raise BadModel(f"the 16-bit plane {plane.name!r} is not the output of a Cast")
    axis = len(plane.type.tensor_type.shape.dim)
    prefix = f"{_PREFIX}{plane.name}"
    code = maker.input[0]
    base = _constant(graph, f"{_PREFIX}256", np.array(256.0, np.float32))
    axes = _constant(graph, f"{prefix}_axis", np.array([axis], np.int64))
    nodes = [
        helper.make_node("Div", [code, base], [f"{prefix}_share"], f"{prefix}_div"),
        helper.make_node("Floor", [f"{prefix}_share"], [f"{prefix}_hi"], f"{prefix}_floor"),
        helper.make_node("Mul", [f"{prefix}_hi", base], [f"{prefix}_hi256"], f"{prefix}_mul"),
        helper.make_node("Sub", [code, f"{prefix}_hi256"], [f"{prefix}_lo"], f"{prefix}_sub"),
        helper.make_node("Unsqueeze", [f"{prefix}_lo", axes], [f"{prefix}_lo1"], f"{prefix}_lo_unsqueeze"),
        helper.make_node("Unsqueeze", [f"{prefix}_hi", axes], [f"{prefix}_hi1"], f"{prefix}_hi_unsqueeze"),
        helper.make_node(
            "Concat", [f"{prefix}_lo1", f"{prefix}_hi1"], [f"{prefix}_pair"], f"{prefix}_concat", axis=axis
        ),
        helper.make_node("Cast", [f"{prefix}_pair"], [plane.name], f"{prefix}_cast", to=TensorProto.UINT8),
    ]
    _replace(graph, [*graph.node[:index], *nodes, *graph.node[index + 1 :]])
    _become_bytes(plane)
    added += [node.name for node in nodes]


def _is_cast(node: onnx.NodeProto, to: int) -> bool:
    return node.op_type == "Cast" and any(entry.name == "to" and entry.i == to for entry in node.attribute)


def _constant(graph: onnx.GraphProto, name: str, value: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    if all(entry.name != name for entry in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)


def _become_bytes(plane: onnx.ValueInfoProto) -> None:
    plane.type.tensor_type.elem_type = TensorProto.UINT8
    plane.type.tensor_type.shape.dim.add().dim_value = 2
