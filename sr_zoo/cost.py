"""What a model costs: parameters, and multiply-adds per output pixel, counted from its graph."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from sr_core.model_spec import ModelSpec

if TYPE_CHECKING:
    from onnx import ModelProto

SIDE = 64  # input pixels a side for the count; padding makes it exact only in the limit of large images


def parameter_count(model: ModelProto) -> int:
    """Numbers in the weights, the fixed kernels of an interpolated base and the scales of INT8 left out."""
    model = _in_floats(model)
    fixed = {name for node in model.graph.node if node.name.startswith("base/") for name in node.input}
    return sum(prod(tensor.dims) for tensor in model.graph.initializer if tensor.name not in fixed)


def macs_per_output_pixel(model: ModelProto, spec: ModelSpec) -> float:
    """Multiply-adds of the convolutions for one output pixel."""
    import onnx

    sized = _in_floats(model)
    side = -(-SIDE // spec.size_multiple) * spec.size_multiple
    for value, pixels in ((sized.graph.input[0], side), (sized.graph.output[0], side * spec.scale)):
        for axis, size in ((0, 1), (2, pixels), (3, pixels)):
            value.type.tensor_type.shape.dim[axis].dim_value = size
    del sized.graph.value_info[:]  # their symbolic sizes would win
    sized = onnx.shape_inference.infer_shapes(sized, strict_mode=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*sized.graph.value_info, *sized.graph.input, *sized.graph.output)
    }
    weights = {tensor.name: prod(tensor.dims) for tensor in sized.graph.initializer}
    total = 0
    for node in sized.graph.node:
        if node.op_type == "Conv":
            total += weights[node.input[1]] * prod(shapes[node.output[0]][2:])
        elif node.op_type == "ConvTranspose":
            total += weights[node.input[1]] * prod(shapes[node.input[0]][2:])
    return total / (side * spec.scale) ** 2


def _in_floats(model: ModelProto) -> ModelProto:
    from sr_core.graph.quantized import remove_quantizers

    copy = type(model)()
    copy.CopyFrom(model)
    remove_quantizers(copy)
    return copy
