"""The ways to type one graph in FP16, the leanest first. The gate in `check` takes the first that keeps the picture.

    lean     base conv ─┐                                           all of the network FP16, nothing but the
             last conv ─┴ Add ─ DepthToSpace ─► Cast ─► edges       edges FP32; one shuffle, and the sum is the
                                                                    last convolution's own
    first    the careful one, but for the first convolution, which is FP16
    careful  first convolution, interpolated base and final sum FP32

FP16 has 11 significant bits and the lean form ends in a picture of that many: half a code's step at 10 bits, which the
last rounding hides, and bands in deeper samples. Deeper formats and floats begin with `first`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from sr_core.backend import ComposedGraph
from sr_core.graph.network import first_convolutions, merge_base
from trt_build.fp16 import name_nodes

LEAN, FIRST, CAREFUL = "lean", "first", "careful"
LEAN_DEPTH = 10  # bits of an integer sample; see above


@dataclass(frozen=True, kw_only=True)
class Form:
    """A graph in FP32 whose nodes have names, and which of them stay so."""

    name: str
    model: onnx.ModelProto
    keep_fp32: frozenset[str]


def forms_of(graph: ComposedGraph) -> Iterator[Form]:
    """Each way to type `graph`, the leanest first and the careful one last; none twice."""
    named = name_nodes(graph.model)
    if _ends_in_few_codes(graph):
        merged = name_nodes(merge_base(graph.model))
        edges = frozenset(node.name for node in merged.graph.node if not node.name.startswith("net/"))
        if edges != graph.keep_fp32:
            yield Form(name=LEAN, model=merged, keep_fp32=edges)
    without_first = graph.keep_fp32 - first_convolutions(named)
    if without_first != graph.keep_fp32:
        yield Form(name=FIRST, model=named, keep_fp32=without_first)
    yield Form(name=CAREFUL, model=named, keep_fp32=graph.keep_fp32)


def form_called(name: str, graph: ComposedGraph) -> Form:
    """That form of `graph`, or the careful one where it has none of that name."""
    *_, careful = found = list(forms_of(graph))
    return next((form for form in found if form.name == name), careful)


def _ends_in_few_codes(graph: ComposedGraph) -> bool:
    kinds = {value.type.tensor_type.elem_type for value in graph.model.graph.output}
    return kinds <= {TensorProto.UINT8, TensorProto.UINT16} and graph.depth <= LEAN_DEPTH
