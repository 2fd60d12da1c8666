"""A network's own graph: checked against the contract, cleaned, and its sensitive nodes named.

Sensitive nodes lose visible quality in bf16 or fp16: the interpolated base and the final add (a
whole picture in 8 significant bits is banding), and the first convolution (docs/notes/graph-forms.md).
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, version_converter

from sr_core.errors import BadModel
from sr_core.graph.quantized import remove_quantizers
from sr_core.graph.transposed import shuffle_transposed
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec

OLDEST_OPSET = 17
_TAIL = frozenset({"Add", "Sub", "Mul", "Clip", "Min", "Max", "Identity", "Cast", "Round", "Floor"}) | {
    "Slice",
    "Transpose",
}
_BASE = frozenset({"Pad", "Conv", "ConvTranspose", "DepthToSpace", "Resize", "Identity", "Concat", "Mul", "Cast"})


def prepare_network(model: ModelProto, spec: ModelSpec, *, is_int8: bool = False) -> tuple[ModelProto, int]:
    """Check `model` against `spec` and return (a clean copy, its opset), in floats unless `is_int8`.

    Raises:
        BadModel: names, channels or opset are not those of the contract.
    """
    inputs = [value.name for value in model.graph.input]
    outputs = [value.name for value in model.graph.output]
    if inputs != [INPUT_NAME] or outputs != [OUTPUT_NAME]:
        raise BadModel(
            f"model {spec.name!r} has inputs {inputs} and outputs {outputs}, "
            f"expected [{INPUT_NAME!r}] and [{OUTPUT_NAME!r}]",
            hint="srkit models import FILE makes a model that runs here",
        )
    tensor = model.graph.input[0].type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        raise BadModel(
            f"model {spec.name!r} takes no float32", hint="srkit models import FILE makes a model that runs here"
        )
    dims = tensor.shape.dim
    if len(dims) != 4 or dims[1].dim_value != spec.channels:
        raise BadModel(
            f"model {spec.name!r} takes {[dim.dim_value or '?' for dim in dims]}, "
            f"expected [N, {spec.channels}, H, W] for colour {spec.color_space!r}"
        )
    copy = ModelProto()
    copy.CopyFrom(model)
    opset = next((entry.version for entry in copy.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        copy = version_converter.convert_version(copy, OLDEST_OPSET)
        opset = OLDEST_OPSET
    if not is_int8:
        remove_quantizers(copy)
    _unshare_slopes(copy)
    shuffle_transposed(copy)
    return copy, opset


def _unshare_slopes(model: ModelProto) -> None:
    """Give each PRelu a slope of its own: a shared one keeps OpenVINO from fusing it with its Conv."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    seen: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if node.op_type != "PRelu" or node.input[1] not in held:
            continue
        name = node.input[1]
        if name in seen:
            copy = TensorProto()
            copy.CopyFrom(held[name])
            copy.name = f"{name}_{index}"
            model.graph.initializer.append(copy)
            node.input[1] = copy.name
        seen.add(name)


def sensitive_nodes(composed: ModelProto) -> set[str]:
    """Names of the network's nodes (prefix 'net/') in a composed graph that must stay FP32."""
    network = _network_of(composed)
    return _picture_nodes(composed, network) | _first_convolutions(network)


def first_convolutions(composed: ModelProto) -> set[str]:
    """Those of `sensitive_nodes` that begin the network, and make no part of the picture themselves."""
    network = _network_of(composed)
    return _first_convolutions(network) - _picture_nodes(composed, network)


def _network_of(composed: ModelProto) -> list[NodeProto]:
    return [node for node in composed.graph.node if node.name.startswith("net/")]


def _picture_nodes(composed: ModelProto, network: list[NodeProto]) -> set[str]:
    """The interpolated base, and what makes the picture of it and of the network's correction."""
    made = {output: node for node in network for output in node.output}
    inside = {node.name for node in network}
    leaving = {name for node in composed.graph.node if node.name not in inside for name in node.input}
    finals = [node for node in network if any(output in leaving for output in node.output)]
    names = {node.name for node in network if "base/" in node.name}
    queue = list(finals)
    while queue:
        node = queue.pop()
        if node.op_type not in _TAIL:
            continue
        names.add(node.name)
        parents = [made[name] for name in node.input if name in made]
        for parent in parents:
            branch = _branch(parent, made)
            if len(parents) > 1 and _is_base(branch):
                names.update(entry.name for entry in branch)
            elif parent.op_type in _TAIL:
                queue.append(parent)
    return names


def _first_convolutions(network: list[NodeProto]) -> set[str]:
    """Convolutions with no convolution before them."""
    before: dict[str, bool] = {}  # tensor -> a convolution lies before it
    first: set[str] = set()
    for node in network:
        deep = any(before.get(name, False) for name in node.input)
        is_convolution = node.op_type in ("Conv", "ConvTranspose")
        if is_convolution and not deep:
            first.add(node.name)
        for output in node.output:
            before[output] = deep or is_convolution
    return first


def _branch(node: NodeProto, made: dict[str, NodeProto]) -> list[NodeProto]:
    """`node` and everything of the network before it."""
    found, queue = {node.name: node}, [node]
    while queue:
        for name in queue.pop().input:
            if name in made and made[name].name not in found:
                found[made[name].name] = made[name]
                queue.append(made[name])
    return list(found.values())


def _is_base(branch: list[NodeProto]) -> bool:
    """A linear enlargement of the input: no activation, at most one convolution."""
    convolutions = sum(node.op_type in ("Conv", "ConvTranspose") for node in branch)
    return convolutions <= 1 and all(node.op_type in _BASE for node in branch)


def merge_base(composed: ModelProto) -> ModelProto:
    """Rewrite DepthToSpace(a) + DepthToSpace(b) as DepthToSpace(a + b), for graphs run in FP32.

    The same function with one shuffle less; the add then fuses into the last convolution
    (docs/notes/graph-forms.md). Not for bf16, where the base would become bf16 too; for FP16 a gate decides.
    """
    copy = ModelProto()
    copy.CopyFrom(composed)
    made = {output: node for node in copy.graph.node for output in node.output}
    users: dict[str, int] = {}
    for node in copy.graph.node:
        for name in node.input:
            users[name] = users.get(name, 0) + 1
    for node in copy.graph.node:
        pair = [made.get(name) for name in node.input] if node.op_type == "Add" else []
        if len(pair) != 2 or any(entry is None or entry.op_type != "DepthToSpace" for entry in pair):
            continue
        left, right = (entry for entry in pair if entry is not None)
        if list(left.attribute) != list(right.attribute) or any(users[name] > 1 for name in node.input):
            continue
        sources = [left.input[0], right.input[0]]
        shuffle = NodeProto()
        shuffle.CopyFrom(left)
        summed = f"{node.output[0]}_packed"
        shuffle.input[0], shuffle.output[0] = summed, node.output[0]
        node.input[0], node.input[1] = sources
        node.output[0] = summed
        position = list(copy.graph.node).index(node) + 1
        copy.graph.node.insert(position, shuffle)
        copy.graph.node.remove(left)
        copy.graph.node.remove(right)
        return merge_base(copy)
    return copy
