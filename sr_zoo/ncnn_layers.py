"""ncnn's layers as ONNX nodes: one function a kind, in `LAYERS`.

Each takes (layer, weights, graph, its inputs) and returns its outputs. Parameter numbers are ncnn's own
(its operators document); blobs [C, H, W] are tensors [N, C, H, W] here, and a vector [C] is [N, C, 1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sr_core.errors import BadModel
from sr_core.graph.onnx_builder import OnnxBuilder

if TYPE_CHECKING:
    from sr_zoo.ncnn import Layer, WeightFile

Function = Callable[["Layer", "WeightFile", OnnxBuilder, list[str]], list[str]]
_REST = -233  # "as much as there is" in sizes and ends


def _op(build: OnnxBuilder, kind: str, *inputs: str, **facts: Any) -> str:
    return build.op("ncnn", kind, *inputs, **facts)


def _numbers(build: OnnxBuilder, *values: int) -> str:
    return build.constant(list(values), np.int64)


def _activate(layer: Layer, build: OnnxBuilder, value: str) -> str:
    """The activation that ncnn's optimizer fuses into a layer: parameters 9 and 10."""
    kind, given = layer.number(9, 0), layer.array(10)
    if kind == 0:
        return value
    if kind == 1:
        return _op(build, "Relu", value)
    if kind == 2:
        return _op(build, "LeakyRelu", value, alpha=given[0])
    if kind == 3:
        return _op(build, "Clip", value, build.constant(given[0]), build.constant(given[1]))
    if kind == 4:
        return _op(build, "Sigmoid", value)
    if kind == 5:
        return _op(build, "Mish", value)
    if kind == 6:
        return _op(build, "Mul", value, _op(build, "HardSigmoid", value, alpha=given[0], beta=given[1]))
    raise BadModel(f"layer {layer.name} has an activation ({kind}) that is not read here")


def _window(layer: Layer) -> tuple[int, int, list[int], list[int], list[int]]:
    """(kernel height, width, strides, dilations, pads) in ONNX's order."""
    width = layer.number(1, 0)
    height = layer.number(11, width)
    dilation, stride = layer.number(2, 1), layer.number(3, 1)
    left = layer.number(4, 0)
    top, right = layer.number(14, left), layer.number(15, left)
    bottom = layer.number(16, top)
    if min(left, top, right, bottom) < 0:
        raise BadModel(f"layer {layer.name} pads by a rule of its own ({left})")
    return (
        height,
        width,
        [layer.number(13, stride), stride],
        [layer.number(12, dilation), dilation],
        [top, left, bottom, right],
    )


def _convolution(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    outputs, group = layer.number(0, 0), layer.number(7, 1)
    height, width, strides, dilations, pads = _window(layer)
    kernel = weights.tagged(layer.number(6, 0)).reshape(outputs, -1, height, width)
    bias = weights.plain(outputs) if layer.number(5, 0) else None
    if layer.real(18, 0.0) != 0.0:
        raise BadModel(f"layer {layer.name} pads with {layer.real(18, 0.0)}")
    value = build.conv("ncnn", inputs[0], kernel, bias, strides=strides, dilations=dilations, pads=pads, group=group)
    return [_activate(layer, build, value)]


def _deconvolution(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    outputs, group = layer.number(0, 0), layer.number(7, 1)
    height, width, strides, dilations, pads = _window(layer)
    if layer.number(20, 0) or layer.number(21, 0):
        raise BadModel(f"layer {layer.name} enlarges to one fixed size")
    kernel = weights.tagged(layer.number(6, 0)).reshape(group, outputs // group, -1, height, width)
    bias = weights.plain(outputs) if layer.number(5, 0) else None
    by_input = kernel.transpose(0, 2, 1, 3, 4).reshape(-1, outputs // group, height, width)
    added = layer.number(18, 0)
    value = build.conv(
        "ncnn", inputs[0], by_input, bias, kind="ConvTranspose", strides=strides, dilations=dilations, pads=pads,
        group=group, output_padding=[layer.number(19, added), added],
    )  # fmt: skip
    return [_activate(layer, build, value)]


def _inner_product(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    """On a vector, which is [N, C, 1, 1] here: a 1x1 convolution."""
    outputs = layer.number(0, 0)
    kernel = weights.tagged(layer.number(2, 0)).reshape(outputs, -1, 1, 1)
    bias = weights.plain(outputs) if layer.number(1, 0) else None
    return [_activate(layer, build, build.conv("ncnn", inputs[0], kernel, bias))]


def _prelu(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    slope = weights.plain(layer.number(0, 0)).reshape(-1, 1, 1)
    return [_op(build, "PRelu", inputs[0], build.constant(slope))]


def _relu(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    slope = layer.real(0, 0.0)
    return [_op(build, "LeakyRelu", inputs[0], alpha=slope) if slope else _op(build, "Relu", inputs[0])]


def _batch_norm(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    channels = layer.number(0, 0)
    slope, mean, variance, bias = (weights.plain(channels) for _ in range(4))
    gain = slope / np.sqrt(variance + layer.real(1, 0.0))
    scaled = _op(build, "Mul", inputs[0], build.constant(gain.reshape(-1, 1, 1)))
    return [_op(build, "Add", scaled, build.constant((bias - mean * gain).reshape(-1, 1, 1)))]


def _scale(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    """Each channel times a weight, or times a vector that the network has computed: waifu2x's gates."""
    count = layer.number(0, 0)
    if count == _REST:
        return [_op(build, "Mul", inputs[0], inputs[1])]
    scaled = _op(build, "Mul", inputs[0], build.constant(weights.plain(count).reshape(-1, 1, 1)))
    if not layer.number(1, 0):
        return [scaled]
    return [_op(build, "Add", scaled, build.constant(weights.plain(count).reshape(-1, 1, 1)))]


def _pixel_shuffle(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    mode = "DCR" if layer.number(1, 0) else "CRD"
    return [_op(build, "DepthToSpace", inputs[0], blocksize=layer.number(0, 1), mode=mode)]


def _interp(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    kind, tall, wide = layer.number(0, 0), layer.real(1, 1.0), layer.real(2, 1.0)
    modes = {1: "nearest", 2: "linear", 3: "cubic"}
    if layer.number(3, 0) or layer.number(4, 0) or layer.number(5, 0) or kind not in modes:
        raise BadModel(f"layer {layer.name} resizes to one fixed size or in a way ({kind}) that is not read here")
    facts: dict[str, Any] = {"mode": modes[kind], "coordinate_transformation_mode": "half_pixel"}
    if kind == 1:
        facts = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif layer.number(6, 0):
        facts["coordinate_transformation_mode"] = "align_corners"
    if kind == 3:
        facts["cubic_coeff_a"] = -0.75
    return [_op(build, "Resize", inputs[0], "", build.constant([1.0, 1.0, tall, wide]), **facts)]


def _eltwise(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    kind = {0: "Mul", 1: "Add", 2: "Max"}[layer.number(0, 0)]
    parts = list(inputs)
    if kind == "Add" and layer.array(1):
        parts = [
            _op(build, "Mul", name, build.constant(gain)) for name, gain in zip(inputs, layer.array(1), strict=True)
        ]
    value = parts[0]
    for other in parts[1:]:
        value = _op(build, kind, value, other)
    return [value]


def _binary(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    kinds = {0: "Add", 1: "Sub", 2: "Mul", 3: "Div", 4: "Max", 5: "Min", 6: "Pow", 7: "Sub", 8: "Div"}
    kind = layer.number(0, 0)
    if kind not in kinds:
        raise BadModel(f"layer {layer.name} has an operation ({kind}) that is not read here")
    pair = [inputs[0], build.constant(layer.real(2, 0.0)) if layer.number(1, 0) else inputs[1]]
    return [_op(build, kinds[kind], *(pair[::-1] if kind in (7, 8) else pair))]


def _unary(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    kinds = {
        0: "Abs",
        1: "Neg",
        2: "Floor",
        3: "Ceil",
        5: "Sqrt",
        7: "Exp",
        8: "Log",
        9: "Sin",
        10: "Cos",
        15: "Reciprocal",
        16: "Tanh",
    }
    kind = layer.number(0, 0)
    if kind not in kinds:
        raise BadModel(f"layer {layer.name} has an operation ({kind}) that is not read here")
    return [_op(build, kinds[kind], inputs[0])]


def _concat(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    return [_op(build, "Concat", *inputs, axis=layer.number(0, 0) + 1)]


def _slice(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    """Cuts channels into the given counts."""
    counts, axis = [int(count) for count in layer.array(0)], layer.number(1, 0) + 1
    made, first = [], 0
    for count in counts:
        last = np.iinfo(np.int64).max if count == _REST else first + count
        made.append(_op(build, "Slice", inputs[0], *(_numbers(build, number) for number in (first, last, axis))))
        first += count
    return made


def _crop(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    """By starts, ends and axes (9, 10, 11), or by offsets before and after (0, 1 and 6, 7)."""
    if len(inputs) > 1:
        return [_crop_like(layer, build, *inputs[:2])]
    starts, ends = [int(value) for value in layer.array(9)], [int(value) for value in layer.array(10)]
    if starts:
        rank = 3
        axes = [(int(axis) % rank) + 1 for axis in layer.array(11)] or [axis + 1 for axis in range(len(starts))]
        most = np.iinfo(np.int64).max
        limits = [most if end == _REST else int(end) for end in ends]
        return [
            _op(build, "Slice", inputs[0], _numbers(build, *starts), _numbers(build, *limits), _numbers(build, *axes))
        ]
    if any(layer.number(key, _REST) not in (_REST, 0) for key in (3, 4, 5)) or layer.number(2, 0) or layer.number(8, 0):
        raise BadModel(f"layer {layer.name} crops to one fixed size")
    top, left, bottom, right = (layer.number(key, 0) for key in (1, 0, 7, 6))
    limits = [-after if after else np.iinfo(np.int64).max for after in (bottom, right)]
    return [_op(build, "Slice", inputs[0], _numbers(build, top, left), _numbers(build, *limits), _numbers(build, 2, 3))]


def _crop_like(layer: Layer, build: OnnxBuilder, value: str, like: str) -> str:
    """As many rows and columns as `like` has, from the offsets on."""
    if layer.number(2, 0):
        raise BadModel(f"layer {layer.name} crops channels to another blob's count")
    top, left = layer.number(1, 0), layer.number(0, 0)
    sides = _op(build, "Slice", _op(build, "Shape", like), _numbers(build, 2), _numbers(build, 4))
    ends = _op(build, "Add", sides, _numbers(build, top, left))
    return _op(build, "Slice", value, _numbers(build, top, left), ends, _numbers(build, 2, 3))


def _padding(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    top, bottom, left, right = (layer.number(key, 0) for key in range(4))
    mode = {0: "constant", 1: "edge", 2: "reflect"}[layer.number(4, 0)]
    pads = _numbers(build, 0, 0, top, left, 0, 0, bottom, right)
    values = [build.constant(layer.real(5, 0.0))] if mode == "constant" else []
    return [_op(build, "Pad", inputs[0], pads, *values, mode=mode)]


def _pooling(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    is_mean = layer.number(0, 0) == 1
    if layer.number(4, 0):
        return [_op(build, "GlobalAveragePool" if is_mean else "GlobalMaxPool", inputs[0])]
    width, stride, left = layer.number(1, 0), layer.number(2, 1), layer.number(3, 0)
    if layer.number(5, 0) != 1 or layer.number(7, 0):
        raise BadModel(f"layer {layer.name} pools by a rule of its own")
    top = layer.number(13, left)
    facts: dict[str, Any] = {
        "kernel_shape": [layer.number(11, width), width], "strides": [layer.number(12, stride), stride],
        "pads": [top, left, layer.number(15, top), layer.number(14, left)],
    }  # fmt: skip
    if is_mean:
        facts["count_include_pad"] = layer.number(6, 0)
    return [_op(build, "AveragePool" if is_mean else "MaxPool", inputs[0], **facts)]


def _memory_data(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    width, height, channels = (layer.number(key, 0) for key in range(3))
    count = max(width, 1) * max(height, 1) * max(channels, 1)
    values = weights.tagged(count) if layer.number(21, 1) == 0 else weights.plain(count)
    if channels:
        return [build.constant(values.reshape(1, channels, max(height, 1), max(width, 1)))]
    return [build.constant(values.reshape((1, -1, 1, 1) if not height else (1, 1, height, width)))]


def _clip(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    limits = build.constant(layer.real(0, -np.inf)), build.constant(layer.real(1, np.inf))
    return [_op(build, "Clip", inputs[0], *limits)]


def _swish(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    return [_op(build, "Mul", inputs[0], _op(build, "Sigmoid", inputs[0]))]


def _hard_swish(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    gate = _op(build, "HardSigmoid", inputs[0], alpha=layer.real(0, 0.2), beta=layer.real(1, 0.5))
    return [_op(build, "Mul", inputs[0], gate)]


def _same(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
    return [inputs[0]] * len(layer.outputs)


def _plain(kind: str) -> Function:
    def write(layer: Layer, weights: WeightFile, build: OnnxBuilder, inputs: list[str]) -> list[str]:
        return [_op(build, kind, inputs[0])]

    return write


LAYERS: dict[str, Function] = {
    "Convolution": _convolution, "ConvolutionDepthWise": _convolution, "Deconvolution": _deconvolution,
    "DeconvolutionDepthWise": _deconvolution, "InnerProduct": _inner_product, "PReLU": _prelu, "ReLU": _relu,
    "LeakyReLU": _relu, "BatchNorm": _batch_norm, "PixelShuffle": _pixel_shuffle, "Scale": _scale, "Interp": _interp,
    "Eltwise": _eltwise, "BinaryOp": _binary, "UnaryOp": _unary, "Concat": _concat, "Slice": _slice, "Crop": _crop,
    "Padding": _padding, "Pooling": _pooling, "MemoryData": _memory_data, "Clip": _clip, "Swish": _swish,
    "HardSwish": _hard_swish, "Split": _same, "Dropout": _same, "Noop": _same, "Sigmoid": _plain("Sigmoid"),
    "TanH": _plain("Tanh"), "Mish": _plain("Mish"), "Softplus": _plain("Softplus"), "AbsVal": _plain("Abs"),
}  # fmt: skip
