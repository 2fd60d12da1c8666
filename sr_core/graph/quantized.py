"""INT8 inside a model file: quantizers beside the float weights, taken out or made ready.

    features ─ QuantizeLinear ─ DequantizeLinear ─┬─ Conv ─ ...       u8, a zero point of its own
    weights (float32) ─ Quantize ─ Dequantize ────┘                   s8, symmetric, a scale a channel

A runtime that knows INT8 merges a Dequantize into the convolution behind it; the weights stay float in the
file, so that whoever wants floats takes the quantizers out (`remove_quantizers`) and has the network as trained.

Note [no overflow]: CPUs without VNNI multiply the bytes of two neighbouring channels and keep the sum in 16 bits.
255·127 + 255·127 is cut off at 32,767 there: 145.7 instead of 288 came out of a test's convolution on an AMD
EPYC with AVX2 only. So the codes of two neighbours add up to at most 128 (255·128 = 32,640). Without a cut, integer
sums have no order, and no instruction set changes a bit of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from sr_core.graph.onnx_builder import OnnxBuilder

WEIGHT_LIMIT, PAIR_LIMIT = 127, 126  # of codes; rounding adds at most 1 to a pair, see Note [no overflow]
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
PREFIX = "int8/"  # of the names of our quantizers' nodes; those of a foreign file are part of its function
LEVELS = 255  # of u8, above zero
_TINY = 1e-12  # a channel without weights still needs a scale


@dataclass(frozen=True)
class Range:
    """What a tensor's values lie in; zero is always inside, because padding is exact then."""

    low: float
    high: float

    def scale_and_zero(self) -> tuple[np.float32, np.uint8]:
        """Of the u8 codes that cover it."""
        low, high = min(self.low, 0.0), max(self.high, _TINY)
        scale = np.float32((high - low) / LEVELS)
        return scale, np.uint8(np.clip(np.rint(-low / scale), 0, LEVELS))


def has_quantizers(model: ModelProto) -> bool:
    """Whether the file holds a network that also runs in INT8."""
    return any(_is_ours(node) for node in model.graph.node)


def remove_quantizers(model: ModelProto) -> None:
    """Take every quantizer out, in place: the network as trained, in floats."""
    made = {name: node for node in model.graph.node for name in node.output}
    instead: dict[str, str] = {}
    dead: set[str] = set()  # outputs of nodes
    for node in model.graph.node:
        source = made.get(node.input[0]) if node.op_type == DEQUANTIZE and _is_ours(node) else None
        if source is not None and source.op_type == QUANTIZE:
            instead[node.output[0]] = source.input[0]
            dead |= {node.output[0], source.output[0]}
    if not dead:
        return
    kept = [node for node in model.graph.node if node.output[0] not in dead]
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = instead.get(name, name)
    for value in model.graph.output:
        if value.name in instead:
            raise AssertionError(f"a quantizer makes the output {value.name!r}")
    _replace_nodes(model, kept)
    _drop_unused(model)


def add_quantizers(
    model: ModelProto, ranges: Mapping[str, Range], convolutions: Collection[str], untouched: Collection[str] = ()
) -> ModelProto:
    """A copy of a float `model` in which `convolutions` (names of nodes) read u8 and have s8 weights.

    Args:
        ranges: of every tensor that one of them reads.
        untouched: names of other nodes that go on reading these tensors in floats.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in copy.graph.initializer}
    build = OnnxBuilder(stem=PREFIX)
    narrowed: dict[str, str] = {}
    wanted = {node.input[0] for node in copy.graph.node if node.name in convolutions}
    for node in copy.graph.node:
        if node.op_type != "Conv" or node.name in convolutions:
            for place, name in enumerate(node.input):
                if node.name not in untouched:
                    node.input[place] = narrowed.get(name, name)
        if node.name in convolutions:
            node.input[1] = quantize_weights(build, node.input[1], held[node.input[1]], f"{PREFIX}{node.name}")
        build.nodes.append(node)
        for name in node.output:
            if name in wanted:
                narrowed[name] = _quantize_features(build, name, ranges[name])
    _replace_nodes(copy, build.nodes)
    copy.graph.initializer.extend(build.constants)
    return copy


def quantize_weights(build: OnnxBuilder, name: str, values: npt.NDArray[np.floating], prefix: str) -> str:
    """Weights `name` [channels, ...] as s8 and back; returns what a convolution reads."""
    facts = [build.constant(weight_scales(values)), build.constant(np.zeros(len(values)), np.int8)]
    codes = build.op(prefix, QUANTIZE, name, *facts, axis=0)
    return build.op(prefix, DEQUANTIZE, codes, *facts, axis=0)


def weight_scales(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """A scale for each output channel of [channels, source channels, taps...], see Note [no overflow]."""
    sizes = np.abs(values.astype(np.float64)).reshape(len(values), values.shape[1], -1)
    if sizes.shape[1] % 2:
        sizes = np.concatenate([sizes, np.zeros_like(sizes[:, :1])], axis=1)
    pairs = sizes[:, ::2] + sizes[:, 1::2]
    needed = np.maximum(sizes.max(axis=(1, 2)) / WEIGHT_LIMIT, pairs.max(axis=(1, 2)) / PAIR_LIMIT)
    scales: npt.NDArray[np.float32] = np.maximum(needed, _TINY).astype(np.float32)
    return scales


def store_weight_codes(model: ModelProto) -> None:
    """Round constants here, in place: Quantize of a constant becomes a constant of codes.

    What runtimes do with a quantized constant differs in a code here and there.
    """
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    kept: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type != QUANTIZE or node.input[0] not in held:
            kept.append(node)
            continue
        values, scales, zero = (numpy_helper.to_array(held[name]) for name in node.input)
        shape = [-1] + [1] * (values.ndim - 1)
        codes = np.rint(values.astype(np.float64) / scales.astype(np.float64).reshape(shape))
        limits = np.iinfo(zero.dtype)
        stored = np.clip(codes, limits.min, limits.max).astype(zero.dtype)
        model.graph.initializer.append(numpy_helper.from_array(stored, node.output[0]))
    _replace_nodes(model, kept)
    _drop_unused(model)


def float_constant_behind(name: str, made: Mapping[str, NodeProto], held: Mapping[str, TensorProto]) -> str | None:
    """The float constant that `name` is, also through its quantizers; None: it is computed."""
    for kind in (DEQUANTIZE, QUANTIZE):
        node = made.get(name)
        if node is not None and node.op_type == kind:
            name = node.input[0]
    return name if name in held else None


def _quantize_features(build: OnnxBuilder, name: str, limits: Range) -> str:
    scale, zero = limits.scale_and_zero()
    facts = [build.constant(scale), build.constant(zero, np.uint8)]
    codes = build.op(f"{PREFIX}{name}", QUANTIZE, name, *facts)
    return build.op(f"{PREFIX}{name}", DEQUANTIZE, codes, *facts)


def _is_ours(node: NodeProto) -> bool:
    return node.op_type in (QUANTIZE, DEQUANTIZE) and node.name.startswith(PREFIX)


def _replace_nodes(model: ModelProto, nodes: Collection[NodeProto]) -> None:
    fresh = [helper.make_node("Identity", [], []) for _ in nodes]
    for target, source in zip(fresh, nodes, strict=True):
        target.CopyFrom(source)  # taken off the graph, a node is gone
    del model.graph.node[:]
    model.graph.node.extend(fresh)


def _drop_unused(model: ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    copies = [TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)
