"""A float32 graph becomes a strongly typed one: network in FP16, everything that must not lose in FP32.

    planes ─ FP32 edges ─► Cast ─► FP16 network ─► Cast ─► FP32 add, clip, round ─► planes

TensorRT 11 and TensorRT-RTX no longer choose a precision: the types in the graph are the types
that run. Three kinds of nodes stay FP32: those that the form names (`trt_build.forms`), operators that sum
over large maps or whose intermediate values leave FP16 (`KEEP_OPERATORS`), and those that the
check in `trt_build.check` sends back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sr_core.errors import BadModel

RECIPE = "fp16-2"  # part of every EngineKey: change it with anything that changes the result
FP16_LARGEST = 65504.0
_FP16, _FP32 = TensorProto.FLOAT16, TensorProto.FLOAT
# Sums over many elements, and functions that overflow or cancel in 11 bits of significand.
KEEP_OPERATORS = frozenset(
    "ReduceMean ReduceSum ReduceL2 ReduceSumSquare GlobalAveragePool Pow Sqrt Reciprocal Exp Log Softmax "
    "LayerNormalization InstanceNormalization GroupNormalization RMSNormalization BatchNormalization Range "
    "CumSum GridSample".split()
)
# Operands that ONNX wants as float32 whatever the operator's type.
_FP32_OPERANDS = {"Resize": (1, 2), "Upsample": (1,)}


@dataclass(kw_only=True)
class _Conversion:
    """The graph under construction: where each float tensor lives, and which casts exist."""

    types: dict[str, int]
    constants: dict[str, onnx.TensorProto]
    keep_constants: set[str] = field(default_factory=set)
    home: dict[str, int] = field(default_factory=dict)
    made: dict[tuple[str, int], str] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def operand(self, name: str, wanted: int) -> str:
        """The name of tensor `name` in type `wanted`, casting or converting it where needed."""
        if not name:
            return name
        constant = self.constants.get(name)
        if constant is not None:
            return self._constant(name, constant, wanted)
        if self.home.get(name, wanted) == wanted:
            return name
        if (name, wanted) not in self.made:
            target = f"{name}__{'fp16' if wanted == _FP16 else 'fp32'}"
            self.nodes.append(helper.make_node("Cast", [name], [target], f"{target}_cast", to=wanted))
            self.made[name, wanted] = target
        return self.made[name, wanted]

    def _constant(self, name: str, constant: onnx.TensorProto, wanted: int) -> str:
        if constant.data_type != _FP32 or wanted == _FP32:
            self.initializers.setdefault(name, constant)
            return name
        lowered = f"{name}__fp16"
        if lowered not in self.initializers:
            value = numpy_helper.to_array(constant).astype(np.float16)
            self.initializers[lowered] = numpy_helper.from_array(value, lowered)
        return lowered


def lower_to_fp16(model: onnx.ModelProto, keep_fp32: frozenset[str]) -> onnx.ModelProto:
    """Return a strongly typed copy of `model`; its inputs and outputs keep their types.

    Args:
        model: FP32, static or dynamic, without subgraphs. Nodes may be unnamed (see `name_nodes`).
        keep_fp32: names of nodes that stay FP32.

    Raises:
        BadModel: control flow, or a graph ONNX's own checker refuses.
    """
    copy = name_nodes(model)
    try:
        copy = onnx.shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise BadModel(f"the graph is inconsistent: {error}") from error
    graph = copy.graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    work = _Conversion(types=types, constants={entry.name: entry for entry in graph.initializer})
    for plane in graph.input:
        if types[plane.name] in (_FP32, _FP16):
            work.home[plane.name] = types[plane.name]
    for node in graph.node:
        _convert(node, work, keep_fp32)
    _restore_outputs(graph, work)
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(work.nodes)
    graph.initializer.extend(work.initializers.values())
    try:
        onnx.checker.check_model(copy, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BadModel(f"the FP16 graph is inconsistent: {error}") from error
    return copy


def name_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has a name of its own, so that a list of names can mean nodes.

    Raises:
        BadModel: control flow (If, Loop, Scan), which no super-resolution network needs.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    taken: set[str] = set()
    for index, node in enumerate(copy.graph.node):
        if any(entry.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for entry in node.attribute):
            raise BadModel(f"the graph has control flow ({node.op_type}), which cannot be made strongly typed")
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{index}_{node.output[0]}"
        taken.add(node.name)
    return copy


def fp16_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes of a lowered graph that compute in FP16, in order; casts are not counted."""
    inferred = onnx.shape_inference.infer_shapes(model)
    values = (*inferred.graph.value_info, *inferred.graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return [
        node.name
        for node in model.graph.node
        if node.op_type != "Cast" and any(types.get(name) == _FP16 for name in node.output)
    ]


def _convert(original: onnx.NodeProto, work: _Conversion, keep_fp32: frozenset[str]) -> None:
    node = onnx.NodeProto()
    node.CopyFrom(original)
    if node.op_type == "Constant":
        work.constants[node.output[0]] = _constant_value(node)
        return
    floats = [name for name in (*node.input, *node.output) if work.types.get(name) == _FP32 or _is_float(work, name)]
    wanted = _FP32 if not floats or _stays(node, work, keep_fp32) else _FP16
    fixed = _FP32_OPERANDS.get(node.op_type, ())
    for index, name in enumerate(node.input):
        if node.op_type == "Cast":
            continue  # a cast reads what is there
        node.input[index] = work.operand(name, _FP32 if index in fixed else wanted)
    if node.op_type == "Cast":
        node.input[0] = work.operand(node.input[0], work.home.get(node.input[0], _FP32))
    for name in node.output:
        if work.types.get(name) == _FP32:
            work.home[name] = wanted
            _retype(node, wanted)
        elif work.types.get(name) == _FP16:
            work.home[name] = _FP16
    work.nodes.append(node)


def _stays(node: onnx.NodeProto, work: _Conversion, keep_fp32: frozenset[str]) -> bool:
    if node.name in keep_fp32 or node.op_type in KEEP_OPERATORS:
        return True
    for name in node.input:
        constant = work.constants.get(name)
        if constant is not None and constant.data_type == _FP32:
            value = numpy_helper.to_array(constant)
            if np.abs(value[np.isfinite(value)]).max(initial=0.0) > FP16_LARGEST:
                return True
    return False


def _is_float(work: _Conversion, name: str) -> bool:
    constant = work.constants.get(name)
    return constant is not None and constant.data_type == _FP32


def _retype(node: onnx.NodeProto, wanted: int) -> None:
    """Make a node that states its own output type state `wanted`."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to":
            attribute.i = wanted
        if node.op_type == "ConstantOfShape" and attribute.name == "value":
            value = numpy_helper.to_array(attribute.t)
            attribute.t.CopyFrom(numpy_helper.from_array(value.astype(np.float16 if wanted == _FP16 else np.float32)))


def _constant_value(node: onnx.NodeProto) -> onnx.TensorProto:
    attribute = node.attribute[0]
    value = helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
        return tensor
    kind = np.float32 if attribute.name.startswith("value_float") else np.int64
    return numpy_helper.from_array(np.array(value, kind), node.output[0])


def _restore_outputs(graph: onnx.GraphProto, work: _Conversion) -> None:
    """A float output that ended in FP16 gets its public name and type from a last Cast."""
    for plane in graph.output:
        if work.types[plane.name] != _FP32 or work.home.get(plane.name, _FP32) == _FP32:
            continue
        inner = f"{plane.name}__inner"
        for node in work.nodes:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == plane.name:
                        names[index] = inner
        work.nodes.append(helper.make_node("Cast", [inner], [plane.name], f"{inner}_cast", to=_FP32))
