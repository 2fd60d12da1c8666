"""Pixels moved between space and channels, written as reshapes, in operators whose reach can be read.

    [C, h r, w r] ─ Reshape [C, h, r, w, r] ─ Transpose ─ Reshape ─► [C r r, h, w]    one strided convolution
    [C r r, h, w] ─ Reshape [C, r, r, h, w] ─ Transpose ─ Reshape ─► [C, h r, w r]    DepthToSpace

Exporters that know no such operator write both so, and any reshape may reach across the whole picture: Real-ESRGAN
x2plus, which begins with the first, would be blended. The convolution copies: each of its kernels has one 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.graph.receptive_field import names_read_by
from sr_core.graph.static_shapes import at_size, shapes_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnx import ModelProto, NodeProto

_INTO_CHANNELS = [0, 1, 3, 5, 2, 4]  # of [N, C, h, r, w, r]
_INTO_SPACE = [0, 1, 4, 2, 5, 3]  # of [N, C, r, r, h, w]
_RESHAPES = ("Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity")


def with_plain_shuffles(model: ModelProto, *, width: int, height: int) -> ModelProto:
    """A copy of `model` in which such reshapes are one operator; itself where there are none.

    Args:
        width, height: a size that the network takes.
    """
    turns = [node for node in model.graph.node if node.op_type == "Transpose" and len(_order(node)) == 6]
    if not any(_order(node) in (_INTO_CHANNELS, _INTO_SPACE) for node in turns):
        return model
    shapes = _shapes_at(model, width, height)
    copy = type(model)()
    copy.CopyFrom(model)
    made_by = {name: node for node in copy.graph.node for name in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in copy.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in copy.graph.output}
    for index, node in enumerate(turns):
        first = _first_flat(node.input[0], made_by, shapes)
        last = _last_flat(node.output[0], readers, shapes, outputs)
        if first and last and (block := _block(_order(node), shapes, first, node, last)):
            _replace(copy, f"shuffle{index}_", _order(node), block, shapes[first][1], first, last)
    _drop_unread(copy)
    return copy


def _shapes_at(model: ModelProto, width: int, height: int) -> dict[str, list[int]]:
    sized = type(model)()
    sized.CopyFrom(at_size(model, width=width, height=height))
    dims = sized.graph.input[0].type.tensor_type.shape.dim
    for dim, size in zip(dims, (1, dims[1].dim_value, height, width), strict=True):
        dim.dim_value = size
    del sized.graph.value_info[:]
    return shapes_of(sized)


def _order(node: NodeProto) -> list[int]:
    return next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), [])


def _first_flat(name: str, made_by: dict[str, NodeProto], shapes: dict[str, list[int]]) -> str:
    """The four-dimensional tensor that reshapes make `name` of; '' where there is none."""
    while len(shapes.get(name, ())) != 4:
        node = made_by.get(name)
        if node is None or node.op_type not in _RESHAPES:
            return ""
        name = node.input[0]
    return name


def _last_flat(name: str, readers: dict[str, list[NodeProto]], shapes: dict[str, list[int]], outputs: set[str]) -> str:
    """The four-dimensional tensor that reshapes make of `name`, which nothing else reads; '' where there is none."""
    while len(shapes.get(name, ())) != 4:
        following = readers.get(name, [])
        if len(following) != 1 or following[0].op_type not in _RESHAPES or name in outputs:
            return ""
        name = following[0].output[0]
    return name


def _block(order: list[int], shapes: dict[str, list[int]], first: str, turn: NodeProto, last: str) -> int:
    """Side of the block of pixels that becomes channels, or that channels become; 0 where it is neither."""
    unturned = shapes.get(turn.input[0], [])
    if len(unturned) != 6:
        return 0
    batch, channels, *sides = unturned
    if order == _INTO_CHANNELS:
        height, block, width, other = sides
        ends = [batch, channels, height * block, width * block], [batch, channels * block * block, height, width]
    elif order == _INTO_SPACE:
        block, other, height, width = sides
        ends = [batch, channels * block * block, height, width], [batch, channels, height * block, width * block]
    else:
        return 0
    return block if block == other > 1 and (shapes[first], shapes[last]) == ends else 0


def _replace(
    model: ModelProto, stem: str, order: list[int], block: int, channels: int, source: str, target: str
) -> None:
    """Put one operator that makes `target` of `source` where the node that makes it now stands."""
    nodes = _copies(model.graph.node)
    place = next(index for index, node in enumerate(nodes) if target in node.output)
    build = OnnxBuilder(stem)
    if order == _INTO_SPACE:
        build.op(stem, "DepthToSpace", source, output=target, blocksize=block, mode="CRD")
    else:
        each = np.eye(block * block, dtype=np.float32).reshape(block * block, 1, block, block)
        weights = build.constant(np.tile(each, (channels, 1, 1, 1)))
        facts = {"kernel_shape": [block] * 2, "strides": [block] * 2, "group": channels}
        build.op(stem, "Conv", source, weights, output=target, **facts)
    nodes[place : place + 1] = build.nodes
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(build.constants)


def _drop_unread(model: ModelProto) -> None:
    """Nodes whose outputs nobody reads any more, and their constants."""
    wanted = {value.name for value in model.graph.output}
    kept: list[NodeProto] = []
    for node in reversed(_copies(model.graph.node)):
        if any(name in wanted for name in node.output):
            kept.append(node)
            wanted.update(names_read_by(node))
    del model.graph.node[:]
    model.graph.node.extend(kept[::-1])
    for index in reversed(range(len(model.graph.initializer))):
        if model.graph.initializer[index].name not in wanted:
            del model.graph.initializer[index]


def _copies(nodes: Iterable[NodeProto]) -> list[NodeProto]:
    """That outlive the list they stand in."""
    return [type(node).FromString(node.SerializeToString()) for node in nodes]
