"""A network's body: the nodes of a composed graph that may run in fewer bits without harm to the picture.

    lr ─ conv ─ act ─┬─[ conv ─ act ─ conv ─ + ─ act ]─ conv ─ DepthToSpace ─┐
         └ f32 ──┘   └──────────── body ─────────────────┘                   + ─ sr
    lr ───────── pad ─ conv ─ DepthToSpace ─ (base: f32) ────────────────────┘

Features may lose bits, a picture may not: in bf16 it has 8 significant bits, which is banding. The last
convolution belongs to the body where it only corrects a base (an interpolation, or the input itself);
where it makes the whole picture it stays in f32. So do the first one and its activation, which it is fused
with. Measured on a CPU with AMX over eight B100 photographs, whole YUV420 graphs at 8 bits: 65 to 68 dB
for networks with a base, 59 to 61 dB for those without.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import ModelProto, NodeProto

from sr_core.graph.network import sensitive_nodes

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_ACTIVATIONS = frozenset({"PRelu", "LeakyRelu", "Relu", "Tanh", "Sigmoid", "Clip", "Elu", "Gelu"})
_PASSING = frozenset({"DepthToSpace", "Identity"})  # what may lie between the last convolution and its sum
PREFIXES = ("net/", "exit/")  # the network's own nodes, and those of a packed exit


def body_nodes(composed: ModelProto) -> frozenset[str]:
    """Names of the body's nodes in a composed graph, usual or packed; empty where there is none."""
    nodes = [node for node in composed.graph.node if node.name.startswith(PREFIXES)]
    keep = sensitive_nodes(composed)
    depth = _convolutions_up_to(nodes)
    leads_on = _tensors_before_a_convolution(nodes)
    users = _users(nodes)
    constants = frozenset(tensor.name for tensor in composed.graph.initializer)
    body: set[str] = set()
    for node in nodes:
        reached = max(depth[name] for name in node.output)
        is_first = reached == 1 and node.op_type in _ACTIVATIONS | CONVOLUTIONS
        if reached == 0 or is_first or node.name in keep:
            continue
        is_feature = any(name in leads_on for name in node.output)
        if is_feature or (node.op_type in CONVOLUTIONS and _only_corrects(node, users, depth, constants)):
            body.add(node.name)
    return frozenset(body)


def _convolutions_up_to(nodes: Iterable[NodeProto]) -> dict[str, int]:
    """Tensor → the most convolutions on a way to it, its own included. Constants are not in it."""
    depth: dict[str, int] = {}
    for node in nodes:
        before = max((depth.get(name, 0) for name in node.input), default=0)
        depth.update(dict.fromkeys(node.output, before + (node.op_type in CONVOLUTIONS)))
    return depth


def _tensors_before_a_convolution(nodes: list[NodeProto]) -> set[str]:
    found: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in CONVOLUTIONS or any(name in found for name in node.output):
            found.update(node.input)
    return found


def _users(nodes: Iterable[NodeProto]) -> dict[str, list[NodeProto]]:
    users: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return users


def _only_corrects(
    node: NodeProto, users: dict[str, list[NodeProto]], depth: dict[str, int], constants: frozenset[str]
) -> bool:
    """Its result is added to something with at most one convolution before it, and goes nowhere else."""
    value = node.output[0]
    following = users.get(value, [])
    while len(following) == 1 and following[0].op_type in _PASSING:
        value = following[0].output[0]
        following = users.get(value, [])
    if len(following) != 1 or following[0].op_type != "Add":
        return False
    return any(name not in constants and depth.get(name, 0) <= 1 for name in following[0].input if name != value)
