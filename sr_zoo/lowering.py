"""Operators of com.microsoft as standard ones, where they are shorthand: then every backend runs them.

    QuickGelu  x * sigmoid(alpha x)      FusedConv    Conv, then its activation
    Gelu, BiasGelu, FastGelu             FusedMatMul  transposes, MatMul, times alpha

ONNX Runtime's optimizer writes these into files it saves. What is not here stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from sr_core.graph.onnx_builder import OnnxBuilder

DOMAIN = "com.microsoft"
_Facts = dict[str, Any]


def lower(model: ModelProto) -> ModelProto:
    """A copy of `model` in which the shorthands are written out; itself where there are none."""
    if not any(node.domain == DOMAIN and node.op_type in _LOWERINGS for node in model.graph.node):
        return model
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    for index, node in enumerate(model.graph.node):
        lowering = _LOWERINGS.get(node.op_type) if node.domain == DOMAIN else None
        build = OnnxBuilder(f"lowered{index}_")
        facts = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        made = None if lowering is None else lowering(build, list(node.input), facts)
        if made is None:
            copy.graph.node.append(node)
            continue
        build.op("lowered", "Identity", made, output=node.output[0])
        copy.graph.node.extend(build.nodes)
        copy.graph.initializer.extend(build.constants)
    return copy


def _quick_gelu(build: OnnxBuilder, inputs: list[str], facts: _Facts) -> str:
    scaled = build.op("q", "Mul", inputs[0], build.constant(facts.get("alpha", 1.702)))
    return build.op("q", "Mul", inputs[0], build.op("q", "Sigmoid", scaled))


def _gelu(build: OnnxBuilder, inputs: list[str], facts: _Facts) -> str:
    value = build.op("g", "Add", inputs[0], inputs[1]) if len(inputs) > 1 and inputs[1] else inputs[0]
    inner = build.op("g", "Erf", build.op("g", "Mul", value, build.constant(2**-0.5)))
    half = build.op("g", "Mul", value, build.constant(0.5))
    return build.op("g", "Mul", half, build.op("g", "Add", inner, build.constant(1.0)))


def _fast_gelu(build: OnnxBuilder, inputs: list[str], facts: _Facts) -> str:
    value = build.op("f", "Add", inputs[0], inputs[1]) if len(inputs) > 1 and inputs[1] else inputs[0]
    cube = build.op(
        "f", "Mul", build.op("f", "Mul", value, value), build.op("f", "Mul", value, build.constant(0.044715))
    )
    inner = build.op("f", "Mul", build.op("f", "Add", value, cube), build.constant((2 / np.pi) ** 0.5))
    half = build.op("f", "Mul", value, build.constant(0.5))
    return build.op("f", "Mul", half, build.op("f", "Add", build.op("f", "Tanh", inner), build.constant(1.0)))


def _fused_conv(build: OnnxBuilder, inputs: list[str], facts: _Facts) -> str:
    activation = facts.pop("activation", b"").decode()
    values = facts.pop("activation_params", [])
    names = {"Relu": (), "Sigmoid": (), "Tanh": (), "LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}
    value = build.op("c", "Conv", *inputs[:3], **facts)
    if len(inputs) > 3 and inputs[3]:
        value = build.op("c", "Add", value, inputs[3])
    if activation == "Clip":
        return build.op("c", "Clip", value, *(build.constant(limit) for limit in values))
    if not activation:
        return value
    given = dict(zip(names.get(activation, ()), values, strict=False))
    return build.op("c", activation, value, **given)


def _fused_matmul(build: OnnxBuilder, inputs: list[str], facts: _Facts) -> str | None:
    if any(facts.get(name) for name in ("transBatchA", "transBatchB", "transA", "transB")):
        return None  # needs the rank; OpenVINO and ONNX Runtime run it as it is
    return build.op("m", "Mul", build.op("m", "MatMul", *inputs[:2]), build.constant(facts.get("alpha", 1.0)))


_LOWERINGS: dict[str, Callable[[OnnxBuilder, list[str], _Facts], str | None]] = {
    "QuickGelu": _quick_gelu,
    "Gelu": _gelu,
    "BiasGelu": _gelu,
    "FastGelu": _fast_gelu,
    "FusedConv": _fused_conv,
    "FusedMatMul": _fused_matmul,
}
