"""How far a network sees, read from its graph.

Note [halo]: an output sample depends on a window of input samples. Tiles whose read region holds
the window of everything they own give exactly what the whole frame gives. The window is found by
walking the graph backwards with intervals of sample indices: a convolution widens the interval by
its kernel, DepthToSpace divides it, Resize maps it through its own coordinate rule, and so on. An
operator whose output depends on the whole plane (global pooling, attention over space) makes it
unbounded; so does an operator this module does not know: unknown never counts as zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

CENTRE = 2**7 * 9 * 5 * 7 * 11  # an own region far from every border, on the grid of every usual stride and window

_POINTWISE = frozenset(
    """Abs Add And Cast CastLike Ceil Celu Clip Concat Cos DequantizeLinear Div Dropout Elu Equal
    Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity LeakyRelu Less
    LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow QuantizeLinear Reciprocal Relu
    Round Selu Sigmoid Sign Sin Softplus Softsign Split Sqrt Sub Sum Swish Tanh ThresholdedRelu
    Where Xor BatchNormalization""".split()
)
_LAYOUT_PERMUTATIONS = ([0, 1, 2, 3], [1, 0, 2, 3], [0, 3, 1, 2], [0, 2, 3, 1])  # rows stay before columns
_TURN = [0, 1, 3, 2]  # rows become columns
_MIRROR = (-1, -1)  # start and step of a Slice from the last sample to the first


@dataclass(frozen=True)
class Interval:
    """Sample indices first..last, inclusive, along one axis."""

    first: int
    last: int

    def union(self, other: Interval) -> Interval:
        return Interval(min(self.first, other.first), max(self.last, other.last))


Window = tuple[Interval, Interval]  # rows, columns


class _UnboundedError(Exception):
    """The walk met an operator that may read the whole plane. Never leaves this module."""


def receptive_radius(
    model: ModelProto,
    *,
    scale: int,
    align: int = 1,
    pitch: Mapping[str, tuple[int, int]] | None = None,
) -> int | None:
    """Return the halo of `model` in input pixels, or None where it is unbounded.

    Args:
        model: graph over [N, C, H, W] (or [N, H, W, C] next to a Transpose).
        scale: output pixels per input pixel.
        align: side of the smallest own region, in input pixels.
        pitch: input pixels per sample (rows, columns) of inputs and outputs that are subsampled;
            for an output, before scaling. 1 where not named.
    """
    pitch = pitch or {}
    radius = 0
    try:
        for output in model.graph.output:
            rows_pitch, columns_pitch = pitch.get(output.name, (1, 1))
            wanted = (_own_rows(scale, align, rows_pitch), _own_rows(scale, align, columns_pitch))
            for name, window in input_windows(model, output.name, wanted).items():
                for interval, step in zip(window, pitch.get(name, (1, 1)), strict=True):
                    before = CENTRE - interval.first * step
                    after = (interval.last + 1) * step - (CENTRE + align)
                    radius = max(radius, before, after)
    except _UnboundedError:
        return None
    return radius


def sees_everything(model: ModelProto) -> bool:
    """Whether an operator on pixels has no finite window at any size, whatever the shapes around it come to.

    False says nothing: the walk decides.
    """
    constants = _constants(model)
    live = _data_tensors(model, {value.name for value in model.graph.input} - set(constants))
    known = _POINTWISE | set(_RULES) | {"Shape", "Size", "If", "Constant"}
    return any(
        node.op_type not in known and any(name in live for name in node.input) and set(node.output) & live
        for node in model.graph.node
    )


def _own_rows(scale: int, align: int, pitch: int) -> Interval:
    return Interval(CENTRE * scale // pitch, -(-(CENTRE + align) * scale // pitch) - 1)


def input_windows(model: ModelProto, output: str, wanted: Window) -> dict[str, Window]:
    """Samples of each input that `wanted` samples of `output` depend on."""
    graph = model.graph
    constants = _constants(model)
    inputs = {value.name for value in graph.input} - set(constants)
    live = _data_tensors(model, inputs)
    needed: dict[str, Window] = {output: wanted}
    for node in reversed(graph.node):
        windows = [needed[name] for name in node.output if name in needed]
        if not windows:
            continue
        window = windows[0]
        for other in windows[1:]:
            window = (window[0].union(other[0]), window[1].union(other[1]))
        step = _backward(node, constants)
        source = (step(window[0], 0), step(window[1], 1))
        if node.op_type == "Transpose" and _attributes(node)["perm"] == _TURN:
            source = (source[1], source[0])
        for name in node.input:
            if name in live:
                seen = needed.get(name)
                needed[name] = source if seen is None else (source[0].union(seen[0]), source[1].union(seen[1]))
    return {name: window for name, window in needed.items() if name in inputs}


def _constants(model: ModelProto) -> dict[str, Any]:
    from onnx import numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
        elif node.op_type in ("Identity", "QuantizeLinear", "DequantizeLinear") and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _data_tensors(model: ModelProto, inputs: set[str]) -> set[str]:
    """Tensors that carry pixel values (not shapes, not constants)."""
    live = set(inputs)
    for node in model.graph.node:
        if node.op_type not in ("Shape", "Size") and any(name in live for name in names_read_by(node)):
            live.update(node.output)
    return live


def names_read_by(node: NodeProto) -> Iterator[str]:
    """What a node reads, from within the graphs of `If` and `Loop` too: those name it no input."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from names_read_by(inner)
            yield from (value.name for value in graph.output)


Step = Callable[[Interval, int], Interval]  # (interval of the output, axis: 0 rows, 1 columns)


def _backward(node: NodeProto, constants: Mapping[str, Any]) -> Step:
    """The rule that maps an interval of `node`'s output to one of its inputs."""
    attributes = _attributes(node)
    if node.op_type in _POINTWISE:
        return _same(node, attributes, constants)
    rule = _RULES.get(node.op_type)
    if rule is None:
        raise _UnboundedError(node.op_type)
    return rule(node, attributes, constants)


def _attributes(node: NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _same(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    if node.op_type in ("Concat", "Split") and attributes.get("axis", 0) not in (0, 1, -3):
        raise _UnboundedError(node.op_type)
    return lambda interval, axis: interval


def _window_step(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    """Conv and the pools: out[o] reads in[o * stride - pad + k * dilation], k = 0..kernel-1."""
    kernel = _kernel(node, attributes, constants)
    strides = attributes.get("strides", [1, 1])
    dilations = attributes.get("dilations", [1, 1])
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto in ("NOTSET", "VALID"):
        pads = attributes.get("pads", [0, 0, 0, 0]) if auto == "NOTSET" else [0, 0, 0, 0]
    elif max(strides) == 1:
        total = [(size - 1) * step for size, step in zip(kernel, dilations, strict=True)]
        pads = [(n + 1) // 2 if auto == "SAME_LOWER" else n // 2 for n in total]
    else:
        raise _UnboundedError(f"{node.op_type} with auto_pad {auto}")

    def step(interval: Interval, axis: int) -> Interval:
        first = interval.first * strides[axis] - pads[axis]
        last = interval.last * strides[axis] - pads[axis] + (kernel[axis] - 1) * dilations[axis]
        return Interval(first, last)

    return step


def _kernel(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> list[int]:
    if "kernel_shape" in attributes:
        return list(attributes["kernel_shape"])
    if len(node.input) < 2 or node.input[1] not in constants:
        raise _UnboundedError(f"{node.op_type} with computed weights")
    return list(constants[node.input[1]].shape[2:])


def _transposed_step(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    """ConvTranspose: out[i * stride - pad + k * dilation] takes in[i]."""
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or "output_shape" in attributes:
        raise _UnboundedError("ConvTranspose with an implied padding")
    kernel = _kernel(node, attributes, constants)
    strides = attributes.get("strides", [1, 1])
    dilations = attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])

    def step(interval: Interval, axis: int) -> Interval:
        reach = (kernel[axis] - 1) * dilations[axis]
        first = -(-(interval.first + pads[axis] - reach) // strides[axis])
        return Interval(first, (interval.last + pads[axis]) // strides[axis])

    return step


def _depth_to_space(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    block = attributes["blocksize"]
    return lambda interval, axis: Interval(interval.first // block, interval.last // block)


def _space_to_depth(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    block = attributes["blocksize"]
    return lambda interval, axis: Interval(interval.first * block, interval.last * block + block - 1)


def _pad(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    pads = constants.get(node.input[1]) if len(node.input) > 1 else attributes.get("pads")
    if pads is None or len(pads) != 8:
        raise _UnboundedError("Pad by a computed amount")
    before = (int(pads[2]), int(pads[3]))
    return lambda interval, axis: Interval(interval.first - before[axis], interval.last - before[axis])


def _slice(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    values = [constants.get(name) for name in node.input[1:]]
    if len(values) < 3 or any(value is None for value in values):
        raise _UnboundedError("Slice by computed bounds")
    starts, axes = np.asarray(values[0]), np.asarray(values[2])
    steps = np.asarray(values[3]) if len(values) > 3 else np.ones_like(starts)
    rules = {int(axis) % 4: (int(s), int(d)) for s, axis, d in zip(starts, axes, steps, strict=True)}
    if any(axis in rules and (rules[axis][0] < 0 or rules[axis][1] < 1) and rules[axis] != _MIRROR for axis in (2, 3)):
        raise _UnboundedError("Slice counted from the end")

    def step(interval: Interval, axis: int) -> Interval:
        start, stride = rules.get(axis + 2, (0, 1))
        if (start, stride) == _MIRROR:
            # The plane's size is not known here; mirrors come in pairs (`ensemble`), so any line serves that
            # lies at the same place at every resolution: CENTRE input pixels, times the samples per pixel.
            line = round(4 * (interval.first + interval.last) / 2 / CENTRE) * CENTRE // 4
            return Interval(2 * line - 1 - interval.last, 2 * line - 1 - interval.first)
        return Interval(interval.first * stride + start, interval.last * stride + start)

    return step


def _resize(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    index = 1 if node.op_type == "Upsample" else 2
    scales = constants.get(node.input[index]) if len(node.input) > index else None
    if scales is None or len(scales) != 4:
        raise _UnboundedError("Resize to a computed size")
    mode = attributes.get("mode", b"nearest").decode()
    rule = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if node.op_type == "Upsample":
        rule = "asymmetric"
    if rule not in ("half_pixel", "pytorch_half_pixel", "asymmetric", "half_pixel_symmetric"):
        raise _UnboundedError(f"Resize with {rule} coordinates")
    support = {"nearest": 1.0, "linear": 1.0, "cubic": 2.0}[mode]

    def position(index: int, factor: float) -> float:
        return index / factor if rule == "asymmetric" else (index + 0.5) / factor - 0.5

    def step(interval: Interval, axis: int) -> Interval:
        factor = float(scales[axis + 2])
        reach = support / factor if attributes.get("antialias") and factor < 1 else support
        low, high = position(interval.first, factor), position(interval.last, factor)
        # the samples a kernel of half-width `reach` touches with a non-zero weight
        return Interval(math.floor(low - reach) + 1, math.ceil(high + reach) - 1)

    return step


def _transpose(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    if list(attributes.get("perm", [])) not in (*_LAYOUT_PERMUTATIONS, _TURN):
        raise _UnboundedError("Transpose that mixes space and channels")
    return lambda interval, axis: interval


def _batch_axis(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    """Squeeze and Unsqueeze of the batch: rows and columns stay the last two."""
    axes = attributes.get("axes", constants.get(node.input[1]) if len(node.input) > 1 else None)
    if axes is None or [int(axis) for axis in np.atleast_1d(axes)] != [0]:
        raise _UnboundedError(f"{node.op_type} of space")
    return lambda interval, axis: interval


def _over_channels(node: NodeProto, attributes: Mapping[str, Any], constants: Mapping[str, Any]) -> Step:
    axes = attributes.get("axes", attributes.get("axis"))
    if axes is None and len(node.input) > 1:
        axes = constants.get(node.input[1])
    if axes is None or {int(axis) for axis in np.atleast_1d(axes)} - {1, -3}:
        raise _UnboundedError(f"{node.op_type} over space")
    return lambda interval, axis: interval


_RULES: dict[str, Callable[[NodeProto, Mapping[str, Any], Mapping[str, Any]], Step]] = {
    "Conv": _window_step,
    "AveragePool": _window_step,
    "MaxPool": _window_step,
    "LpPool": _window_step,
    "ConvTranspose": _transposed_step,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Pad": _pad,
    "Slice": _slice,
    "Resize": _resize,
    "Upsample": _resize,
    "Transpose": _transpose,
    "Squeeze": _batch_axis,
    "Unsqueeze": _batch_axis,
    "ReduceMean": _over_channels,
    "ReduceSum": _over_channels,
    "ReduceMax": _over_channels,
    "ReduceMin": _over_channels,
    "ReduceL2": _over_channels,
    "Softmax": _over_channels,
    "LogSoftmax": _over_channels,
}
