"""Pixels moved to channels and back by reshapes: the same numbers in operators whose reach can be read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from sr_core.graph.reach import reach
from sr_core.graph.shuffles import with_plain_shuffles
from sr_zoo.onnx_run import open_runner

WIDTH, HEIGHT = 36, 24
_Node = Callable[..., str]


class Graph:
    """A graph of 3 channels in the making; `node` appends one and gives the name of its output."""

    def __init__(self) -> None:
        self.nodes, self.held = [], []  # type: ignore[var-annotated]

    def node(self, kind: str, *inputs: str, **facts: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [f"t{len(self.nodes)}"], **facts))
        return f"t{len(self.nodes) - 1}"

    def numbers(self, *values: int) -> str:
        self.held.append(numpy_helper.from_array(np.array(values, np.int64), f"n{len(self.held)}"))
        return f"n{len(self.held) - 1}"

    def conv(self, source: str, inputs: int, outputs: int) -> str:
        weights = np.random.default_rng(outputs).normal(0, 0.1, (outputs, inputs, 3, 3)).astype(np.float32)
        self.held.append(numpy_helper.from_array(weights, f"n{len(self.held)}"))
        return self.node("Conv", source, f"n{len(self.held) - 1}", pads=[1] * 4)

    def side(self, source: str, axis: int, factor: int) -> str:
        """A side of `source` divided by `factor`, or multiplied where that is negative; computed as exporters do."""
        shape = self.node("Shape", source)
        length = self.node("Gather", shape, self.numbers(axis), axis=0)
        return self.node("Div" if factor > 0 else "Mul", length, self.numbers(abs(factor)))

    def model(self, made: str, size: tuple[str | int, str | int] = ("H", "W")) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("lr", TensorProto.FLOAT, [1, 3, *size])],
            [helper.make_tensor_value_info(made, TensorProto.FLOAT, [1, 3, "h", "w"])],
            self.held,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def folded(graph: Graph, block: int) -> str:
    """[1, 3, H, W] → [1, 3 block², H / block, W / block] as basicsr's pixel_unshuffle is exported."""
    height, width = graph.side("lr", 2, block), graph.side("lr", 3, block)
    deep = graph.node("Concat", graph.numbers(1, 3), height, graph.numbers(block), width, graph.numbers(block), axis=0)
    turned = graph.node("Transpose", graph.node("Reshape", "lr", deep), perm=[0, 1, 3, 5, 2, 4])
    flat = graph.node("Concat", graph.numbers(1, 3 * block * block), height, width, axis=0)
    return graph.node("Reshape", turned, flat)


def folded_by_torch(graph: Graph, block: int) -> str:
    """The same as torch's exporter writes it: an axis more, a reshape of one side, then of the other."""
    one = graph.node("Reshape", graph.node("Unsqueeze", "lr", graph.numbers(3)), graph.numbers(0, 0, -1, block, 0))
    both = graph.node("Reshape", one, graph.numbers(0, 0, 0, 0, -1, block))
    turned = graph.node("Transpose", both, perm=[0, 1, 3, 5, 2, 4])
    flat = graph.node("Reshape", turned, graph.numbers(0, -1, 1, 1, 0, 0))
    return graph.node("Squeeze", flat, graph.numbers(2, 3))


def unfolded(graph: Graph, source: str, block: int) -> str:
    """[1, 3 block², h, w] → [1, 3, h block, w block]."""
    shape = graph.node("Shape", source)
    sides = [graph.node("Gather", shape, graph.numbers(axis), axis=0) for axis in (2, 3)]
    deep = graph.node("Concat", graph.numbers(1, 3, block, block), *sides, axis=0)
    turned = graph.node("Transpose", graph.node("Reshape", source, deep), perm=[0, 1, 4, 2, 5, 3])
    flat = graph.node(
        "Concat", graph.numbers(1, 3), graph.side(source, 2, -block), graph.side(source, 3, -block), axis=0
    )
    return graph.node("Reshape", turned, flat)


def test_a_graph_that_asks_for_no_shape_is_read_too() -> None:
    graph = Graph()
    model = graph.model(graph.conv(folded_by_torch(graph, 2), 12, 3))
    plain = with_plain_shuffles(model, width=WIDTH, height=HEIGHT)
    assert [node.op_type for node in plain.graph.node] == ["Conv", "Conv"]


@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize("fold", [folded, folded_by_torch])
def test_both_shuffles_compute_the_same_and_have_a_reach(fold: Callable[[Graph, int], str], block: int) -> None:
    graph = Graph()
    inside = graph.conv(fold(graph, block), 3 * block * block, 3 * block * block)
    model = graph.model(unfolded(graph, inside, block))
    assert reach(model, scale=1, align=block, width=WIDTH, height=HEIGHT)[0] is None
    plain = with_plain_shuffles(model, width=WIDTH, height=HEIGHT)
    assert {node.op_type for node in plain.graph.node} == {"Conv", "DepthToSpace"}
    assert reach(plain, scale=1, align=block, width=WIDTH, height=HEIGHT) == (block, block)
    for size in ((HEIGHT, WIDTH), (4 * block, 6 * block)):
        batch = np.random.default_rng(1).random((1, 3, *size)).astype(np.float32)
        assert np.array_equal(open_runner(plain)(batch), open_runner(model)(batch))


def test_reshapes_that_mix_other_axes_stay_as_they_are() -> None:
    """Windows: the order is another. A fold of unequal sides: the order is the same."""
    graph = Graph()
    deep = graph.node("Reshape", "lr", graph.numbers(1, 3, HEIGHT // 4, 4, WIDTH // 2, 2))
    turned = graph.node("Transpose", deep, perm=[0, 1, 3, 5, 2, 4])
    windows = graph.node(
        "Transpose", graph.node("Reshape", "lr", graph.numbers(1, 3, 6, 4, 9, 4)), perm=[0, 2, 4, 3, 5, 1]
    )
    back = graph.node("Reshape", windows, graph.numbers(1, 24, HEIGHT // 4, WIDTH // 2))
    sum_of_both = graph.node("Add", graph.node("Reshape", turned, graph.numbers(1, 24, HEIGHT // 4, WIDTH // 2)), back)
    model = graph.model(sum_of_both, (HEIGHT, WIDTH))
    plain = with_plain_shuffles(model, width=WIDTH, height=HEIGHT)
    assert [node.op_type for node in plain.graph.node] == [node.op_type for node in model.graph.node]


def test_a_fold_that_is_read_twice_stays_whole() -> None:
    """What lies between the reshapes is an output of its own to somebody else."""
    graph = Graph()
    made = folded(graph, 2)
    turned = next(node for node in graph.nodes if node.op_type == "Transpose").output[0]
    other = graph.node("Reshape", graph.node("ReduceMax", turned, axes=[1], keepdims=0), graph.numbers(1, 4, 12, 18))
    model = graph.model(graph.node("Concat", made, other, axis=1), (HEIGHT, WIDTH))
    plain = with_plain_shuffles(model, width=WIDTH, height=HEIGHT)
    batch = np.random.default_rng(2).random((1, 3, HEIGHT, WIDTH)).astype(np.float32)
    assert np.array_equal(open_runner(plain)(batch), open_runner(model)(batch))
