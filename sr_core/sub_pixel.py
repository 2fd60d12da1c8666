"""The sub-pixel convolution that a network ends in, and linear maps of its output folded into it.

    features ─ Conv ─┐
                     ├─ Add ─ DepthToSpace ─► picture      (or each shuffled first, then added; or one Conv)
    base ───── Conv ─┘

Whatever is linear in the picture and repeats from cell to cell of the coarse grid is a convolution of
the same features: `SubPixelTail.convolve` multiplies it out, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper, numpy_helper

from sr_core.onnx_builder import OnnxBuilder

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
    """A convolution of stride 1: weights [channel, row, column of the block, source channel, taps down, across]."""

    source: str
    weights: Weights
    bias: Weights
    pads: tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True)
class SubPixelTail:
    """The end of a network: the sum of `branches`, shuffled by `block`."""

    branches: tuple[_Branch, ...]
    block: int

    @property
    def is_pointwise(self) -> bool:
        """No branch looks at a neighbour."""
        return all(branch.weights.shape[4:] == (1, 1) for branch in self.branches)

    def convolve(self, build: OnnxBuilder, kernels: Sequence[Kernel]) -> str:
        """One channel a kernel, on the coarse grid. Kernels that leave the picture find something undefined there."""
        cells = [self._cell(tap) for kernel in kernels for tap in kernel.taps]
        top, left = (-min(0, *(cell[axis] for cell in cells)) for axis in (0, 1))
        bottom, right = (max(0, *(cell[axis] for cell in cells)) for axis in (0, 1))
        total = ""
        for branch in self.branches:
            *_, source_channels, down, across = branch.weights.shape
            weights = np.zeros((len(kernels), source_channels, down + top + bottom, across + left + right))
            bias = np.array([0.0 if total else kernel.bias for kernel in kernels])
            for index, kernel in enumerate(kernels):
                for tap in kernel.taps:
                    row, column, *phase = self._cell(tap)
                    window = (slice(row + top, row + top + down), slice(column + left, column + left + across))
                    weights[(index, slice(None), *window)] += tap.weight * branch.weights[tap.channel, *phase]
                    bias[index] += tap.weight * branch.bias[tap.channel, *phase]
            pads = [pad + more for pad, more in zip(branch.pads, (top, left, bottom, right), strict=True)]
            value = build.conv("out", branch.source, weights, bias, pads=pads)
            total = build.op("out", "Add", total, value) if total else value
        return total

    def border(self, build: OnnxBuilder, *, axis: int, at_end: bool) -> str:
        """The picture along one border, one cell deep: [1, C, H, W], `block` samples on `axis` (0 = rows)."""
        total = ""
        for branch in self.branches:
            channels, source_channels = branch.weights.shape[0], branch.weights.shape[3]
            depth = branch.weights.shape[4 + axis] - branch.pads[axis + (2 if at_end else 0)]
            pads = list(branch.pads)
            pads[axis + (0 if at_end else 2)] = 0
            span = (-depth, END) if at_end else (0, depth)
            ends = [build.constant([value], np.int64) for value in (*span, axis + 2)]
            source = build.op("out", "Slice", branch.source, *ends)
            weights = branch.weights.reshape(channels * self.block**2, source_channels, *branch.weights.shape[4:])
            value = build.conv("out", source, weights, branch.bias.reshape(-1), pads=pads)
            total = build.op("out", "Add", total, value) if total else value
        return build.op("out", "DepthToSpace", total, blocksize=self.block, mode="CRD")

    def _cell(self, tap: Tap) -> tuple[int, int, int, int]:
        """(cell down, cell across, row in the block, column in the block)."""
        down, row = divmod(tap.row, self.block)
        across, column = divmod(tap.column, self.block)
        return down, across, row, column


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
    build.nodes[:] = [node for node in build.nodes if node.name not in dead]
    return SubPixelTail(tuple(branch for branch in branches if branch is not None), block)


def _branch(build: OnnxBuilder, node: NodeProto, block: int, mode: str) -> _Branch | None:
    held = {tensor.name: tensor for tensor in build.constants}
    facts = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    is_plain = facts.get("group", 1) == 1 and facts.get("auto_pad", b"NOTSET") == b"NOTSET"
    is_dense = all(value == 1 for key in ("strides", "dilations") for value in facts.get(key, ()))
    if not is_plain or not is_dense or any(name not in held for name in node.input[1:] if name):
        return None
    weights = numpy_helper.to_array(held[node.input[1]]).astype(np.float64)
    has_bias = len(node.input) > 2 and node.input[2]
    bias = numpy_helper.to_array(held[node.input[2]]).astype(np.float64) if has_bias else np.zeros(len(weights))
    channels = len(weights) // block**2
    if mode == "CRD":
        order = np.arange(len(weights)).reshape(channels, block, block)
    else:
        order = np.moveaxis(np.arange(len(weights)).reshape(block, block, channels), -1, 0)
    top, left, bottom, right = facts.get("pads", (0, 0, 0, 0))
    return _Branch(node.input[0], weights[order], bias[order], (top, left, bottom, right))
