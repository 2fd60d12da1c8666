"""The grid that tiles must begin on, read from a network's graph.

A network that works on a coarser grid inside (strides, pixel-unshuffle) treats pixels by their place in a
cell of it. Cut at a multiple of the cell, a tile computes what the whole frame does; one pixel beside it,
something else, even where the network pads to any size itself.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

COARSEST = 256  # input pixels; a cell beyond that is no grid but a whole picture


def grid_of(model: ModelProto) -> int:
    """Side of the cell in input pixels; 1 where every sample is treated alike."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    pitch: dict[str, Fraction] = {value.name: Fraction(1) for value in model.graph.input if value.name not in constants}
    cell = 1
    for node in model.graph.node:
        sources = [pitch[name] for name in node.input if name in pitch]
        if not sources:
            continue

        def constant(index: int, node: NodeProto = node) -> Any:
            name = node.input[index] if len(node.input) > index else ""
            return numpy_helper.to_array(constants[name]) if name in constants else None

        here = max(sources) * _factor(node, constant)
        for output in node.output:
            pitch[output] = here
        if here.numerator <= COARSEST:
            cell = lcm(cell, here.numerator)
    return cell if cell <= COARSEST else 1


def _factor(node: NodeProto, constant: Any) -> Fraction:
    """Samples of the input for each of the output, along either axis."""
    from onnx import helper

    facts = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    kind = node.op_type
    if kind in ("Conv", "AveragePool", "MaxPool", "LpPool"):
        return Fraction(max(facts.get("strides", [1])))
    if kind == "ConvTranspose":
        return Fraction(1, max(facts.get("strides", [1])))
    if kind == "SpaceToDepth":
        return Fraction(facts["blocksize"])
    if kind == "DepthToSpace":
        return Fraction(1, facts["blocksize"])
    if kind in ("Resize", "Upsample"):
        scales = constant(1 if kind == "Upsample" else 2)
        known = scales is not None and len(scales) == 4 and scales[3] > 0
        return 1 / Fraction(float(scales[3])).limit_denominator(64) if known else Fraction(1)
    if kind == "Slice":
        steps = constant(4)
        return Fraction(max(1, *(abs(int(step)) for step in steps))) if steps is not None else Fraction(1)
    return Fraction(1)
