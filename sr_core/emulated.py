"""bf16 arithmetic on any CPU: a graph whose body is rounded to bf16 step by step, run by ONNX Runtime in FP32.

Slow, for tests and benchmarks: what a CPU with native bf16 would give can be measured on one without. A kernel
that fuses convolution, sum and activation rounds once, behind the last of them; so does this.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from sr_core.backend import ComposedGraph, plane_of
from sr_core.frame import Array
from sr_core.graph.body import CONVOLUTIONS, body_nodes
from sr_core.graph.network import merge_base
from sr_core.packing import PackedGraph, copy_piece

_FUSED = frozenset({"Add", "PRelu", "LeakyRelu", "Relu", "Tanh", "Sigmoid"})  # behind a convolution


def emulate_bf16(composed: ModelProto, body: Collection[str]) -> ModelProto:
    """`composed` with the nodes of `body` rounded to bf16: constants, what enters, and what a kernel writes."""
    copy = ModelProto()
    copy.CopyFrom(composed)
    nodes = list(copy.graph.node)
    users: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    constants = {tensor.name: tensor for tensor in copy.graph.initializer}
    made_inside = {name for node in nodes if node.name in body for name in node.output}
    rounded: dict[str, str] = {}
    result: list[NodeProto] = []
    for node in nodes:
        if node.name not in body:
            result.append(node)
            continue
        for place, name in enumerate(node.input):
            if name in made_inside or not _is_float(name, constants):
                continue
            if name not in rounded:
                rounded[name] = f"{name}_bf16"
                result += _rounding(name, rounded[name])
            node.input[place] = rounded[name]
        after = users.get(node.output[0], [])
        is_fused = len(after) == 1 and after[0].name in body and after[0].op_type in _FUSED
        if not (is_fused and node.op_type in CONVOLUTIONS | {"Add"}):
            exact = f"{node.output[0]}_exact"
            result += [node, *_rounding(exact, node.output[0])]
            node.output[0] = exact
        else:
            result.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(result)
    return copy


def _rounding(source: str, target: str) -> list[NodeProto]:
    """Casts there and back; ONNX Runtime rounds to nearest even."""
    narrow = f"{target}_narrow"
    return [
        helper.make_node("Cast", [source], [narrow], name=narrow, to=TensorProto.BFLOAT16),
        helper.make_node("Cast", [narrow], [target], name=f"{target}_wide", to=TensorProto.FLOAT),
    ]


def _is_float(name: str, constants: dict[str, TensorProto]) -> bool:
    return bool(name) and (name not in constants or numpy_helper.to_array(constants[name]).dtype == np.float32)


class EmulatedSession:
    """A composed graph in ONNX Runtime, in the form (packed or not) and with the body that OpenVINO would run."""

    contexts = 1

    def __init__(self, graph: ComposedGraph, *, is_bf16: bool) -> None:
        import onnxruntime as ort

        self.precision = "bf16+f32" if is_bf16 else "f32"
        self._packed: PackedGraph | None = graph.packed()
        model = self._packed.model if self._packed else merge_base(graph.model)
        if is_bf16:
            model = emulate_bf16(model, body_nodes(model))
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._graph = graph

    def run_into(self, planes: Sequence[Array], targets: Sequence[Array], corners: Sequence[tuple[int, int]]) -> None:
        """See `sr_core.backend.DirectSession`; whole planes only."""
        feeds = {}
        for value, plane in zip(self._session.get_inputs(), planes, strict=True):
            feeds[value.name] = np.ascontiguousarray(plane).reshape(value.shape)
        names = [value.name for value in self._session.get_outputs()]
        outputs = dict(zip(names, self._session.run(names, feeds), strict=True))
        if self._packed is None:
            for name, target in zip(self._graph.output_names, targets, strict=True):
                np.copyto(target, plane_of(outputs[name], name))
            return
        for piece in self._packed.pieces:
            row, column = corners[piece.plane]
            copy_piece(piece, outputs[piece.tensor][0], targets[piece.plane], row=row, column=column)
