"""A transposed convolution that enlarges by its stride, as a convolution and a shuffle: the same function.

    out[s·i + p] = sum over d of in[i + d] · w[p + pad - s·d]      p: phase 0..s-1,  d: offset of the input sample

Every phase is a convolution of the same input; DepthToSpace interleaves them. Runtimes have no fast kernel for the
transposed form (132 of 163 ms of fsrcnn-x2 on a CPU with AMX), and the exit can be packed only behind the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from sr_core.frame import Array


def shuffle_transposed(model: ModelProto) -> None:
    """Rewrite, in place, every ConvTranspose of which that is true."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        made = _as_shuffle(model, node, held) if node.op_type == "ConvTranspose" else None
        nodes += made or [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _as_shuffle(model: ModelProto, node: NodeProto, held: dict[str, Array]) -> list[NodeProto] | None:
    facts: dict[str, Any] = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if any(name not in held for name in node.input[1:] if name):
        return None
    weights = held[node.input[1]].astype(np.float64)  # [source channels, channels, down, across]
    stride, pads = _enlarges_by(facts, weights.shape)
    if stride is None:
        return None
    (down, top, bottom), (across, left, right) = (
        _phases(size, stride, pad) for size, pad in zip(weights.shape[2:], pads, strict=True)
    )
    padded = np.pad(weights, ((0, 0), (0, 0), (0, 1), (0, 1)))  # the last tap, zero, is that of "none"
    taps = padded[:, :, down[:, None, :, None], across[None, :, None, :]]  # source, channel, phases, offsets
    kernel = np.moveaxis(taps, 0, 3).reshape(-1, len(weights), *taps.shape[4:])
    inputs = [node.input[0], f"{node.output[0]}_phase_weights"]
    model.graph.initializer.append(numpy_helper.from_array(kernel.astype(np.float32), inputs[1]))
    if len(node.input) > 2 and node.input[2]:
        inputs.append(f"{node.output[0]}_phase_bias")
        bias = np.repeat(held[node.input[2]], stride * stride)
        model.graph.initializer.append(numpy_helper.from_array(bias, inputs[2]))
    phases = f"{node.output[0]}_phases"
    name = node.name or node.output[0]
    return [
        helper.make_node("Conv", inputs, [phases], name=f"{name}_phases", pads=[top, left, bottom, right]),
        helper.make_node("DepthToSpace", [phases], [node.output[0]], name=name, blocksize=stride, mode="CRD"),
    ]


def _enlarges_by(facts: dict[str, Any], shape: tuple[int, ...]) -> tuple[int | None, tuple[int, int]]:
    """(stride, pads before) where the output is exactly stride times as large; (None, ...) where not."""
    strides, pads = facts.get("strides", [1, 1]), facts.get("pads", [0, 0, 0, 0])
    extra = facts.get("output_padding", [0, 0])
    is_plain = (
        facts.get("group", 1) == 1
        and facts.get("auto_pad", b"NOTSET") == b"NOTSET"
        and "output_shape" not in facts
        and all(step == 1 for step in facts.get("dilations", ()))
        and len(set(strides)) == 1
        and len(strides) == 2
    )
    fits = is_plain and all(
        shape[2 + axis] + extra[axis] - strides[axis] == pads[axis] + pads[axis + 2] for axis in (0, 1)
    )
    return (int(strides[0]) if fits else None), (int(pads[0]), int(pads[1]))


def _phases(size: int, stride: int, pad: int) -> tuple[Array, int, int]:
    """(tap for each phase and offset, `size` for none; offsets before and after the sample itself) of one axis."""
    offsets = [
        (phase, (phase + pad - tap) // stride)
        for phase in range(stride)
        for tap in range(size)
        if (phase + pad - tap) % stride == 0
    ]
    first, last = min(min(d for _, d in offsets), 0), max(max(d for _, d in offsets), 0)
    taps = np.array([[phase + pad - stride * d for d in range(first, last + 1)] for phase in range(stride)])
    taps[(taps < 0) | (taps >= size)] = size
    return taps, -first, last
