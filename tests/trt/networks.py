"""Small networks with fixed random weights, and graphs composed around them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sr_core.backend import ComposedGraph
from sr_core.color import ColorSpec
from sr_core.frame import PixelFormat, rgb, yuv
from sr_core.graph.compose import compose
from sr_core.model_spec import ColorSpace, ModelSpec, with_spec

YUV420P8 = yuv("420")
NV12 = yuv("420", semiplanar=True)
P010 = yuv("420", 10, semiplanar=True)
RGB24 = rgb(packed=True)


def network(
    *, scale: int = 2, color_space: ColorSpace = "rgb", features: int = 16, depth: int = 3, gain: float = 1.0
) -> tuple[onnx.ModelProto, ModelSpec]:
    """Convolutions with PReLU and a bilinear base; `gain` scales what is inside and divides it out."""
    random = np.random.default_rng(7)
    channels = 3 if color_space == "rgb" else 1
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def constant(value: object) -> str:
        name = f"w{len(weights)}"
        weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def convolution(source: str, inputs: int, outputs: int, factor: float) -> str:
        kernel = random.standard_normal((outputs, inputs, 3, 3)) * factor * np.sqrt(1.6 / (inputs * 9))
        output = f"t{len(nodes)}"
        bias = constant(random.standard_normal(outputs) * 0.01)
        nodes.append(helper.make_node("Conv", [source, constant(kernel), bias], [output], pads=[1] * 4))
        return output

    def node(kind: str, *inputs: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [f"t{len(nodes)}"], **attributes))
        return f"t{len(nodes) - 1}"

    value = convolution("lr", channels, features, 1.0)
    for index in range(depth):
        value = node("PRelu", value, constant(np.full((features, 1, 1), 0.2)))
        value = convolution(value, features, features, gain if index == 0 else 1.0)
    value = convolution(value, features, channels * scale * scale, 0.1 / gain)
    value = node("DepthToSpace", value, blocksize=scale, mode="CRD")
    base = node(
        "Resize",
        "lr",
        "",
        constant([1, 1, scale, scale]),
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    nodes.append(helper.make_node("Add", [value, base], ["sr"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("lr", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        [helper.make_tensor_value_info("sr", TensorProto.FLOAT, ["n", channels, "H", "W"])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    spec = ModelSpec(name=f"small-x{scale}", scale=scale, color_space=color_space, halo_px=depth + 2)
    return with_spec(model, spec), spec


def composed(
    fmt: PixelFormat = YUV420P8,
    *,
    width: int = 64,
    height: int = 48,
    color: ColorSpec | None = None,
    gain: float = 1.0,
    color_space: ColorSpace = "rgb",
    depth: int = 3,
) -> ComposedGraph:
    """A small network inside the colour edges of `fmt`."""
    model, spec = network(color_space=color_space, gain=gain, depth=depth)
    return compose(model, spec, fmt, color or ColorSpec(), width=width, height=height)


def identity(fmt: PixelFormat, *, width: int = 64, height: int = 48) -> ComposedGraph:
    """A network of scale 1 that returns what it is given."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["lr"], ["sr"])],
        "identity",
        [helper.make_tensor_value_info("lr", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("sr", TensorProto.FLOAT, ["n", 3, "h", "w"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    spec = ModelSpec(name="identity", scale=1, halo_px=0)
    return compose(with_spec(model, spec), spec, fmt, ColorSpec(), width=width, height=height)
