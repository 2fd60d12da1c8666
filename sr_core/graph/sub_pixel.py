"""The sub-pixel convolution that a network ends in, and linear maps of its output folded into it.

    features ─ Conv ─┐
                     ├─ Add ─ DepthToSpace ─► picture      (or each shuffled first, then added; or one Conv)
    base ───── Conv ─┘

Whatever is linear in the picture and repeats from cell to cell of the coarse grid is a convolution of
the same features: `SubPixelTail.convolve` multiplies it out, in float64. Its nodes are named 'exit/...'.

Note [exit offset]: the offsets of codes (16, 128) go into the base's convolution, the one that reads the fewest
channels. The one of features may run in bf16: with the offset in it, its result is the picture in 8
significant bits (59.1 instead of 64.0 dB for clear-x2, whole YUV420P8 graph on a CPU with AMX).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper, numpy_helper

from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.graph.quantized import PREFIX as INT8_PREFIX
from sr_core.graph.quantized import float_constant_behind, quantize_weights

Weights = npt.NDArray[np.float64]
END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Tap:
    """One term of a sum over the picture: row and column in samples, from the cell's first sample."""

    channel: int
    row: int
    column: int
    weight: float


@dataclass(frozen=True)
class Kernel:
    """A sum over the picture around each cell of the coarse grid: one output channel."""

    taps: tuple[Tap, ...]
    bias: float = 0.0


@dataclass(frozen=True)
class _Branch:
    """A convolution of stride 1: weights [channel, row, column of the block, source channel, taps down, across].

    `is_int8`: its source is quantized, by the node `dequantize`, and its weights are to be.
    """

    source: str
    weights: Weights
    bias: Weights
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    dequantize: NodeProto | None = None

    @property
    def is_int8(self) -> bool:
        return self.dequantize is not None


@dataclass(frozen=True)
class SubPixelTail:
    """The end of a network: the sum of `branches`, shuffled by `block`."""

    branches: tuple[_Branch, ...]
    block: int

    @property
    def is_pointwise(self) -> bool:
        """No branch looks at a neighbour."""
        return all(branch.weights.shape[4:] == (1, 1) for branch in self.branches)

    def convolve(self, build: OnnxBuilder, kernels: Sequence[Kernel], cells: tuple[int, int] = (1, 1)) -> str:
        """One channel a kernel, on a grid of every `cells` (down, across) cells.

        Kernels that leave the picture find something undefined there.
        """
        reached = [self._cell(tap) for kernel in kernels for tap in kernel.taps]
        top, left = (-min(0, *(cell[axis] for cell in reached)) for axis in (0, 1))
        bottom, right = (
            max(count - 1, *(cell[axis] for cell in reached)) for axis, count in zip((0, 1), cells, strict=True)
        )
        total = ""
        carrier = min(self.branches, key=lambda branch: branch.weights.shape[3])  # see Note [exit offset]
        for branch in self.branches:
            *_, source_channels, down, across = branch.weights.shape
            weights = np.zeros((len(kernels), source_channels, down + top + bottom, across + left + right))
            bias = np.array([kernel.bias if branch is carrier else 0.0 for kernel in kernels])
            for index, kernel in enumerate(kernels):
                for tap in kernel.taps:
                    row, column, *phase = self._cell(tap)
                    window = (slice(row + top, row + top + down), slice(column + left, column + left + across))
                    weights[(index, slice(None), *window)] += tap.weight * branch.weights[tap.channel, *phase]
                    bias[index] += tap.weight * branch.bias[tap.channel, *phase]
            more = (top, left, bottom - (cells[0] - 1), right - (cells[1] - 1))
            pads = [pad + extra for pad, extra in zip(branch.pads, more, strict=True)]
            value = _convolve(build, branch, weights, bias, pads=pads, strides=list(cells))
            total = build.op("exit", "Add", total, value) if total else value
        return total

    def border(self, build: OnnxBuilder, *, axis: int, at_end: bool, cells: int = 1) -> str:
        """The picture along one border, `cells` deep: [1, C, H, W], that many blocks on `axis` (0 = rows)."""
        total = ""
        for branch in self.branches:
            channels, source_channels = branch.weights.shape[0], branch.weights.shape[3]
            depth = cells - 1 + branch.weights.shape[4 + axis] - branch.pads[axis + (2 if at_end else 0)]
            pads = list(branch.pads)
            pads[axis + (0 if at_end else 2)] = 0
            span = (-depth, END) if at_end else (0, depth)
            ends = [build.constant([value], np.int64) for value in (*span, axis + 2)]
            source = _slice(build, branch, ends)
            weights = branch.weights.reshape(channels * self.block**2, source_channels, *branch.weights.shape[4:])
            value = build.conv("exit", source, weights, branch.bias.reshape(-1), pads=pads)
            total = build.op("exit", "Add", total, value) if total else value
        return build.op("out", "DepthToSpace", total, blocksize=self.block, mode="CRD")

    def _cell(self, tap: Tap) -> tuple[int, int, int, int]:
        """(cell down, cell across, row in the block, column in the block)."""
        down, row = divmod(tap.row, self.block)
        across, column = divmod(tap.column, self.block)
        return down, across, row, column


def _slice(build: OnnxBuilder, branch: _Branch, bounds: Sequence[str]) -> str:
    """A part of a branch's source: of its codes, or all of them would be dequantized for the part's sake."""
    if branch.dequantize is None:
        return build.op("exit", "Slice", branch.source, *bounds)
    codes, *facts = branch.dequantize.input
    return build.op("exit", "DequantizeLinear", build.op("exit", "Slice", codes, *bounds), *facts)


def _convolve(build: OnnxBuilder, branch: _Branch, weights: Weights, bias: Weights, **attributes: Any) -> str:
    kernel = build.constant(weights)
    if branch.is_int8:
        kernel = quantize_weights(build, kernel, weights, f"exit/{INT8_PREFIX}")
    return build.op("exit", "Conv", branch.source, kernel, build.constant(bias), **attributes)


def cut_tail(build: OnnxBuilder, output: str) -> SubPixelTail | None:
    """Take the sub-pixel convolution that makes `output` out of `build`; None leaves the graph alone."""
    made = {name: node for node in build.nodes for name in node.output}
    users = [name for node in build.nodes for name in node.input]
    cut: list[NodeProto] = []

    def only(name: str) -> NodeProto | None:
        node = made.get(name)
        if node is None or (name != output and users.count(name) != 1):
            return None
        cut.append(node)
        return only(node.input[0]) if node.op_type == "Identity" else node

    shuffles: list[tuple[int, str]] = []
    convolutions: list[NodeProto] = []

    def collect(name: str, *, is_shuffled: bool) -> bool:
        node = only(name)
        if node is None:
            return False
        if node.op_type == "Add":
            return all(collect(entry, is_shuffled=is_shuffled) for entry in node.input)
        if node.op_type == "DepthToSpace" and not is_shuffled:
            facts = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            shuffles.append((int(facts["blocksize"]), facts.get("mode", b"DCR").decode()))
            return collect(node.input[0], is_shuffled=True)
        convolutions.append(node)
        return is_shuffled and node.op_type == "Conv"

    if not collect(output, is_shuffled=False) or len(set(shuffles)) != 1:
        return None
    block, mode = shuffles[0]
    branches = [_branch(build, node, block, mode) for node in convolutions]
    if any(branch is None for branch in branches):
        return None
    dead = {node.name for node in cut}
    for convolution in convolutions:  # the quantizers of its weights go with it
        while (source := made.get(convolution.input[1])) is not None:
            dead.add(source.name)
            convolution.input[1] = source.input[0]
    build.nodes[:] = [node for node in build.nodes if node.name not in dead]
    return SubPixelTail(tuple(branch for branch in branches if branch is not None), block)


def _branch(build: OnnxBuilder, node: NodeProto, block: int, mode: str) -> _Branch | None:
    held = {tensor.name: tensor for tensor in build.constants}
    made = {name: entry for entry in build.nodes for name in entry.output}
    facts = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    is_plain = facts.get("group", 1) == 1 and facts.get("auto_pad", b"NOTSET") == b"NOTSET"
    is_dense = all(value == 1 for key in ("strides", "dilations") for value in facts.get(key, ()))
    kernel = float_constant_behind(node.input[1], made, held)
    if not is_plain or not is_dense or kernel is None or any(name not in held for name in node.input[2:] if name):
        return None
    weights = numpy_helper.to_array(held[kernel]).astype(np.float64)
    has_bias = len(node.input) > 2 and node.input[2]
    bias = numpy_helper.to_array(held[node.input[2]]).astype(np.float64) if has_bias else np.zeros(len(weights))
    channels = len(weights) // block**2
    if mode == "CRD":
        order = np.arange(len(weights)).reshape(channels, block, block)
    else:
        order = np.moveaxis(np.arange(len(weights)).reshape(block, block, channels), -1, 0)
    top, left, bottom, right = facts.get("pads", (0, 0, 0, 0))
    dequantize = made.get(node.input[0]) if kernel != node.input[1] else None
    return _Branch(node.input[0], weights[order], bias[order], (top, left, bottom, right), dequantize)
