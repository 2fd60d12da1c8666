"""What a model costs: parameters, and multiply-adds per output pixel, counted from its graph."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from sr_core.errors import BadModel
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
    """Multiply-adds for one output pixel, of what `sr_core.graph.multiplications` counts.

    Raises:
        BadModel: the graph leaves open how large something is.
    """
    from sr_core.graph.multiplications import multiplications_of
    from sr_core.graph.static_shapes import at_shape, shapes_of

    side = -(-max(SIDE, spec.smallest) // spec.size_multiple) * spec.size_multiple
    width, height = spec.fixed_size or (side, side)
    sized = at_shape(_in_floats(model), (1, spec.channels, height, width))
    for dim, size in zip(
        sized.graph.input[0].type.tensor_type.shape.dim, (1, spec.channels, height, width), strict=True
    ):
        dim.dim_value = size
    sized.graph.output[0].type.tensor_type.ClearField("shape")
    del sized.graph.value_info[:]  # their symbolic sizes would win
    shapes = shapes_of(sized)
    try:
        total = sum(multiplications_of(node, shapes) for node in sized.graph.node)
    except KeyError as error:
        raise BadModel(f"{spec.name} leaves open how large {error} is") from error
    return total / (width * height * spec.scale**2)


def _in_floats(model: ModelProto) -> ModelProto:
    from sr_core.graph.quantized import remove_quantizers

    copy = type(model)()
    copy.CopyFrom(model)
    remove_quantizers(copy)
    return copy
