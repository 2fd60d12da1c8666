"""A small writer of ONNX graphs: nodes, constants, and a network inlined between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from sr_core.errors import BadModel

IR_VERSION = 10  # the newest that every runtime we drive reads

ONNX_TYPE = {
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.uint16): TensorProto.UINT16,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.float32): TensorProto.FLOAT,
}


class OnnxBuilder:
    """Collects nodes; every `op` returns the name of its output.

    Node names are `<prefix>/<op><n>`. Constants are never shared between nodes: a slope shared by
    two PRelu nodes keeps OpenVINO from fusing either.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self._count = 0

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def constant(self, values: npt.ArrayLike, dtype: Any = np.float32) -> str:
        """A new initializer."""
        name = self._fresh("const")
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(self, prefix: str, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append one node and return its output's name."""
        name = self._fresh(f"{prefix}/{kind}")
        output = output or f"{name}_out"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def conv(
        self,
        prefix: str,
        source: str,
        weights: npt.ArrayLike,
        bias: Sequence[float] | npt.NDArray[np.float64] | None = None,
        **attributes: Any,
    ) -> str:
        """A convolution with float32 weights; `kind` may name ConvTranspose."""
        kind = attributes.pop("kind", "Conv")
        inputs = [source, self.constant(weights)]
        if bias is not None:
            inputs.append(self.constant(bias))
        return self.op(prefix, kind, *inputs, **attributes)

    def pad_edge(self, prefix: str, source: str, *, top: int, left: int, bottom: int, right: int) -> str:
        """Repeat the border samples; returns `source` itself where there is nothing to pad."""
        if not any((top, left, bottom, right)):
            return source
        pads = self.constant([0, 0, top, left, 0, 0, bottom, right], np.int64)
        return self.op(prefix, "Pad", source, pads, mode="edge")

    def inline(self, model: ModelProto, source: str, prefix: str) -> str:
        """Copy the nodes of `model` in, fed from `source`; returns the name of its output.

        Raises:
            BadModel: not exactly one float32 input and one output.
        """
        graph = model.graph
        held = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in held]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise BadModel(f"the model has {len(inputs)} inputs and {len(graph.output)} outputs, expected 1 and 1")
        if inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
            raise BadModel("the model's input is not float32", hint="srkit models import FILE")
        names = {inputs[0].name: source, "": ""}
        for tensor in graph.initializer:
            copy = TensorProto()
            copy.CopyFrom(tensor)
            copy.name = names[tensor.name] = f"{prefix}{tensor.name}"
            self.constants.append(copy)
        for index, node in enumerate(graph.node):
            fresh = NodeProto()
            fresh.CopyFrom(node)
            fresh.name = f"{prefix}{node.name or f'{node.op_type}_{index}'}"
            for output in node.output:
                names[output] = f"{prefix}{output}" if output else ""
            del fresh.input[:], fresh.output[:]
            fresh.input.extend(names[name] for name in node.input)
            fresh.output.extend(names[name] for name in node.output)
            self.nodes.append(fresh)
        return names[graph.output[0].name]

    def model(self, name: str, opset: int) -> ModelProto:
        """The finished model."""
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
