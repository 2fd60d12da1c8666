"""A network at one size: what it computes from its own shapes, worked out.

    Shape → Gather → Mul → Concat → Resize(sizes)      ─►   Resize(sizes = [1, 64, 192, 192])
    If(height > 10): …                                 ─►   the branch that is taken

Exporters write padding, cropping and enlargement that way. Tiles have one static size, so all of it is
constant here; the receptive field can then be read from such graphs too, and no runtime has to run an `If`
(OpenVINO 2026.4 gives garbage for one whose branch only passes a tensor on).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

SHAPE_OPS = frozenset({"Shape", "Size", "If"})
_LARGEST = 1 << 16  # elements; larger constants are weights, and not folded
_LARGEST_MOVED = 1 << 10  # elements of a weight that goes along in each round
_ROUNDS = 12  # each needs the shapes that the one before made known
_RANDOM = frozenset("RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial".split())
_Known = dict[str, Any]


def at_size(model: ModelProto, *, width: int, height: int) -> ModelProto:
    """`model` for inputs of [1, C, height, width]; itself where nothing in it asks for a shape."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return at_shape(model, (1, dims[1].dim_value, height, width))


def at_shape(model: ModelProto, shape: Sequence[int]) -> ModelProto:
    """The same for an input of any `shape`."""
    if not any(node.op_type in SHAPE_OPS for node in model.graph.node):
        return model
    fixed = ModelProto()
    fixed.CopyFrom(model)
    dims = fixed.graph.input[0].type.tensor_type.shape.dim
    for dim, size in zip(dims, shape, strict=True):
        dim.dim_value = size
    weights = _set_aside(fixed)
    for _ in range(_ROUNDS):
        del fixed.graph.value_info[:]
        for value in fixed.graph.output:
            value.type.tensor_type.ClearField("shape")
        if not _fold(fixed) or not any(node.op_type in SHAPE_OPS for node in fixed.graph.node):
            break
    _plain_resizes_and_slices(fixed)
    names = {tensor.name for tensor in weights}
    kept = [value for value in fixed.graph.input if value.name not in names]
    del fixed.graph.input[:]
    fixed.graph.input.extend(kept)
    fixed.graph.initializer.extend(weights)
    return fixed


def _set_aside(model: ModelProto) -> list[TensorProto]:
    """Take the large weights out, and let inputs stand for them: each round reads and writes the whole graph."""
    weights = [tensor for tensor in model.graph.initializer if int(np.prod(tensor.dims)) > _LARGEST_MOVED]
    kept = [tensor for tensor in model.graph.initializer if int(np.prod(tensor.dims)) <= _LARGEST_MOVED]
    weights, kept = ([TensorProto.FromString(one.SerializeToString()) for one in group] for group in (weights, kept))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.input.extend(helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in weights)
    return weights


def _plain_resizes_and_slices(model: ModelProto) -> None:
    """Resize by factors instead of to a size, and slices counted from the beginning: the same, and easier to read."""
    shapes = shapes_of(model)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for index, node in enumerate(model.graph.node):
        shape = shapes.get(node.input[0]) if node.input else None
        if shape is None or len(shape) != 4:
            continue
        if node.op_type == "Resize" and len(node.input) > 3 and node.input[3] in held:
            sizes = numpy_helper.to_array(held[node.input[3]])
            factors = (sizes / np.array(shape)).astype(np.float32)
            if len(sizes) == 4 and all(np.floor(factors * np.array(shape, np.float32)) == sizes):
                name = f"{node.output[0]}_factors{index}"
                model.graph.initializer.append(numpy_helper.from_array(factors, name))
                node.input[2] = name
                del node.input[3:]
        if node.op_type == "Slice" and len(node.input) > 3 and node.input[1] in held and node.input[3] in held:
            starts, axes = (numpy_helper.to_array(held[node.input[place]]) for place in (1, 3))
            steps = (
                numpy_helper.to_array(held[node.input[4]]) if len(node.input) > 4 and node.input[4] in held else None
            )
            if len(node.input) > 4 and (steps is None or not (steps > 0).all()):
                continue
            lengths = np.array([shape[int(axis)] for axis in axes])
            if (starts < 0).any():
                name = f"{node.output[0]}_starts{index}"
                counted = np.where(starts < 0, np.maximum(starts + lengths, 0), starts).astype(starts.dtype)
                model.graph.initializer.append(numpy_helper.from_array(counted, name))
                node.input[1] = name


def _fold(model: ModelProto) -> bool:
    """One round, in place; True if anything became constant."""
    shapes = shapes_of(model)
    known: _Known = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if int(np.prod(tensor.dims)) <= _LARGEST
    }
    found: _Known = {}
    ready: list[NodeProto] = []
    made = set(known)
    for node in model.graph.node:
        if node.op_type == "Shape" and (shape := shapes.get(node.input[0])) is not None:
            found[node.output[0]] = np.array(_cut(node, shape), np.int64)
            made.add(node.output[0])
        elif node.op_type not in _RANDOM and not _has_graph(node) and all(name in made for name in node.input if name):
            ready.append(node)
            made.update(node.output)
    found |= _evaluate(model, ready, known | found)
    taken = _take_branches(model, known | found)
    gone = [node for node in model.graph.node if node.output and all(name in found for name in node.output)]
    if not gone and not taken:
        return False
    dead = {name for node in gone for name in node.output}
    rest = [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node if not set(node.output) & dead]
    del model.graph.node[:]
    model.graph.node.extend(rest)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in found.items())
    return True


def shapes_of(model: ModelProto) -> dict[str, list[int]]:
    """The tensors whose whole shape ONNX's own inference finds."""
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # its C++ part raises kinds of its own; then nothing is known
        return {}
    shapes = {}
    for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = [dim.dim_value for dim in dims]
    for tensor in model.graph.initializer:
        shapes[tensor.name] = list(tensor.dims)
    return shapes


def _cut(node: NodeProto, shape: list[int]) -> list[int]:
    facts = {attribute.name: attribute.i for attribute in node.attribute}
    return shape[facts.get("start", 0) : facts.get("end", len(shape))]


def _has_graph(node: NodeProto) -> bool:
    return any(attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attribute in node.attribute)


def _evaluate(model: ModelProto, nodes: list[NodeProto], known: _Known) -> _Known:
    """The outputs of `nodes`, which only need each other and `known`, by ONNX's reference evaluator."""
    if not nodes:
        return {}
    from onnx.reference import ReferenceEvaluator

    wanted = [name for node in nodes for name in node.output if name]
    needed = {name for node in nodes for name in node.input} & set(known)
    graph = helper.make_graph(
        nodes,
        "shapes",
        [],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in wanted],
        [numpy_helper.from_array(np.asarray(known[name]), name) for name in needed],
    )
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        return dict(zip(wanted, ReferenceEvaluator(part).run(None, {}), strict=True))
    except Exception:  # it lacks operators, and raises many kinds: those nodes stay as they are
        return {} if len(nodes) == 1 else _one_by_one(model, nodes, known)


def _one_by_one(model: ModelProto, nodes: list[NodeProto], known: _Known) -> _Known:
    found: _Known = {}
    for node in nodes:
        if all(name in known or name in found for name in node.input if name):
            found |= _evaluate(model, [node], known | found)
    return found


def _take_branches(model: ModelProto, known: _Known) -> bool:
    """Put the taken branch of every `If` whose condition is known in its place."""
    taken = False
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "If" or node.input[0] not in known:
            nodes.append(node)
            continue
        branches = {attribute.name: attribute.g for attribute in node.attribute}
        branch = branches["then_branch" if bool(np.all(known[node.input[0]])) else "else_branch"]
        model.graph.initializer.extend(branch.initializer)
        nodes.extend(branch.node)
        nodes.extend(
            helper.make_node("Identity", [inner.name], [outer], name=f"{node.name}_{index}")
            for index, (inner, outer) in enumerate(zip(branch.output, node.output, strict=True))
        )
        taken = True
    if taken:
        kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del model.graph.node[:]
        model.graph.node.extend(kept)
    return taken
