"""How many multiplications a node of a graph of known shapes takes, one for each multiply-add.

Convolutions of every kind, products of matrices, and attention: what networks spend their time in. Sums, activations,
normalisations, interpolations and Fourier transforms are not counted; torch's flop counter leaves them out, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import NodeProto

Shapes = Mapping[str, Sequence[int]]


def multiplications_of(node: NodeProto, shapes: Shapes) -> int:
    """0 for what is not counted.

    Args:
        shapes: of every tensor, weights among them.

    Raises:
        KeyError: the shape of one that is needed is not there.
    """
    count = _COUNTS.get(node.op_type)
    return 0 if count is None else count(node, shapes)


def _convolution(node: NodeProto, shapes: Shapes) -> int:
    return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])


def _transposed(node: NodeProto, shapes: Shapes) -> int:
    return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def _matrices(node: NodeProto, shapes: Shapes) -> int:
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: NodeProto, shapes: Shapes) -> int:
    first = shapes[node.input[0]]
    return prod(shapes[node.output[0]]) * first[0 if _facts(node).get("transA") else 1]


def _einsum(node: NodeProto, shapes: Shapes) -> int:
    """Every combination of the letters, once for each operand but the first."""
    terms = _facts(node)["equation"].decode().replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        before, dots, after = term.partition("...")
        shape = list(shapes[name])
        middle = len(shape) - len(before) - len(after) if dots else 0
        letters = [*before, *(f"...{middle - index}" for index in range(middle)), *after]
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), size)
    return prod(sizes.values()) * (len(terms) - 1)


def _attention(node: NodeProto, shapes: Shapes) -> int:
    """Queries by keys, then by values: [N, heads, L, E], or [N, L, heads * E]."""
    query, key, value = (shapes[name] for name in node.input[:3])
    if len(query) == 4:
        return prod(query[:3]) * key[2] * (query[3] + value[3])
    groups: int = _facts(node)["q_num_heads"] // _facts(node)["kv_num_heads"]  # values are shared by so many heads
    return query[0] * query[1] * key[1] * (query[2] + value[2] * groups)


def _facts(node: NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


_COUNTS: dict[str, Callable[[NodeProto, Shapes], int]] = {
    "Conv": _convolution,
    "DeformConv": _convolution,  # without the interpolation of its samples
    "ConvTranspose": _transposed,
    "MatMul": _matrices,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Attention": _attention,
}
