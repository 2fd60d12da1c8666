"""A small writer of ONNX graphs: nodes, constants, and a network inlined between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

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

    def __init__(self, stem: str = "") -> None:
        self._stem = stem  # of the names of constants, where they will lie beside others
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self.domains: dict[str, int] = {}  # of operators beside ONNX's own, with their versions
        self._count = 0

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def constant(self, values: npt.ArrayLike, dtype: Any = np.float32) -> str:
        """A new initializer."""
        name = self._fresh(f"{self._stem}const")
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(self, prefix: str, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append one node and return its output's name."""
        name = self._fresh(f"{prefix}/{kind}")
        output = output or f"{self._stem}{name}_out"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def conv(
        self,
        prefix: str,
        source: str,
        weights: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
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
            BadModel: not exactly one input and one output, or a graph that is not in order.
        """
        graph = model.graph
        held = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in held]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise BadModel(f"the model has {len(inputs)} inputs and {len(graph.output)} outputs, expected 1 and 1")
        names = {inputs[0].name: source, "": ""}
        for tensor in graph.initializer:
            copy = TensorProto()
            copy.CopyFrom(tensor)
            copy.name = names[tensor.name] = f"{prefix}{tensor.name}"
            self.constants.append(copy)
        for index, node in enumerate(graph.node):
            fresh = _prefix(node, names, prefix)
            fresh.name = f"{prefix}{node.name or f'{node.op_type}_{index}'}"
            self.nodes.append(fresh)
        for entry in model.opset_import:
            if entry.domain not in ("", "ai.onnx"):
                self.domains[entry.domain] = max(entry.version, self.domains.get(entry.domain, 0))
        if graph.output[0].name not in names:
            raise BadModel(f"nothing in the model makes its output {graph.output[0].name!r}")
        return names[graph.output[0].name]

    def model(self, name: str, opset: int) -> ModelProto:
        """The finished model."""
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in {"": opset, **self.domains}.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _prefix(node: NodeProto, names: dict[str, str], prefix: str) -> NodeProto:
    """A copy of `node` with its tensors renamed, those inside the graphs of `If` and `Loop` too.

    Args:
        names: old name → new name of what is known here; the node's outputs are added.
    """
    fresh = NodeProto()
    fresh.CopyFrom(node)
    del fresh.input[:], fresh.output[:]
    for name in node.input:
        if name not in names:
            raise BadModel(
                f"the model's node {node.name or node.op_type} reads {name!r}, which nothing before it makes"
            )
        fresh.input.append(names[name])
    for attribute in fresh.attribute:
        for graph in [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs:
            _prefix_graph(graph, dict(names), prefix)
    for output in node.output:
        names[output] = f"{prefix}{output}" if output else ""
        fresh.output.append(names[output])
    return fresh


def _prefix_graph(graph: GraphProto, names: dict[str, str], prefix: str) -> None:
    """Rename in place what a subgraph makes and what it reads from the graph around it."""
    for value in (*graph.input, *graph.initializer):
        names[value.name] = f"{prefix}{value.name}"
        value.name = names[value.name]
    for index, node in enumerate(graph.node):
        fresh = _prefix(node, names, prefix)
        fresh.name = f"{prefix}{node.name or f'{node.op_type}_{index}'}"
        node.CopyFrom(fresh)
    del graph.value_info[:]
    for value in graph.output:
        value.name = names.get(value.name, value.name)
