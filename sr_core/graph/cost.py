"""What a graph costs a GPU, read off its shapes: memory of its activations, and multiplications.

An estimate before anything is built. TensorRT's builder states 268 to 315 bytes a pixel for clear-x2 in FP16 at
1024x1024 and 512x512 (docs/tensorrt.md); this says 239. What fuses takes less and what keeps workspaces more: callers
leave room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from sr_core.backend import ComposedGraph
from sr_core.graph.multiplications import multiplications_of

_REDUCED, _FULL = 2, 4  # bytes of a sample in the network's body, and at the edges that stay FP32


@dataclass(frozen=True, kw_only=True)
class GraphCost:
    """For one pixel of the input, whatever the size; halos are read with it."""

    activation_bytes: float
    multiplications: float


def cost_of(graph: ComposedGraph) -> GraphCost | None:
    """What `graph` costs a pixel, its body in 16 bits; None where its shapes are not known.

    The activations are the most that is alive at once when nodes run in order and nothing is fused.
    """
    inferred = onnx.shape_inference.infer_shapes(graph.model, data_prop=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    constants = {entry.name: list(entry.dims) for entry in inferred.initializer}
    shapes |= constants
    weights = set(constants) | {name for node in inferred.node if not any(node.input) for name in node.output}
    last_use = {name: index for index, node in enumerate(inferred.node) for name in node.input}
    alive: dict[str, int] = {}
    peak = multiplications = 0
    for index, node in enumerate(inferred.node):
        itemsize = _FULL if node.name in graph.keep_fp32 else _REDUCED
        for name in node.output:
            if name in weights or not name:
                continue
            shape = shapes.get(name)
            if shape is None or 0 in shape:
                return None
            alive[name] = math.prod(shape) * itemsize
        try:
            multiplications += multiplications_of(node, shapes)
        except KeyError:
            return None
        peak = max(peak, sum(alive.values()))
        for name in node.input:
            if last_use.get(name) == index:
                alive.pop(name, None)
    pixels = graph.width * graph.height
    return GraphCost(activation_bytes=peak / pixels, multiplications=multiplications / pixels)
