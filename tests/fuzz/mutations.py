"""How a file is damaged: bytes, JSON values, parts of an ONNX graph. All draw from one `random.Random`."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

ESCAPES = (b"\x1b[2J", b"\x1b]0;title\x07", "\x9b31m".encode(), b"\x00", b"\r", b"\xff\xfe")
EDGES = (0, 1, 0x7F, 0x80, 0xFF)  # bytes at the edges of what a field may hold
WIDE_EDGES = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x3FFFFFFF)
HEAD_BYTES = 256  # where most formats state sizes and counts
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x",
    "\x1b[2J", "\x00", "\ud800", "../../x", "a" * 5000, [], {}, [[]], [None], {"a": 1}, [1, 2, 3],
)  # fmt: skip


def damaged_bytes(data: bytes, random: Random) -> bytes:
    """`data` after one to four small accidents."""
    result = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        if result:
            random.choice(_ACCIDENTS)(result, random)
    return bytes(result)


def damaged_json(data: bytes, random: Random) -> bytes:
    """JSON with one value, key or byte changed."""
    if random.random() < 0.25:
        return damaged_bytes(data, random)
    lines = data.decode().splitlines()
    at = random.randrange(len(lines)) if lines and all(_is_json(line) for line in lines) else None
    tree = json.loads(data if at is None else lines[at])
    tree = damaged_value(tree, random)
    text = json.dumps(tree)
    if at is not None:
        lines[at] = text
        text = "\n".join(lines) + "\n"
    return text.encode()


def damaged_value(tree: Any, random: Random) -> Any:
    """A JSON value in which one place, however deep, is another value, gone, doubled or renamed."""
    places = list(_places(tree))
    if not places or random.random() < 0.03:
        return random.choice(ODD_VALUES)
    holder, key = random.choice(places)
    deed = random.random()
    if deed < 0.7:
        holder[key] = _other_value(holder[key], random)
    elif deed < 0.8:
        del holder[key]
    elif isinstance(holder, dict):
        holder[random.choice(("", "x", "\x1b[2J", str(key) + "_"))] = holder.pop(key) if deed < 0.9 else holder[key]
    else:
        holder.insert(key, holder[key])
    return tree


def damaged_onnx(data: bytes, random: Random) -> bytes:
    """An ONNX file with one part of its graph, its texts or its bytes changed."""
    if random.random() < 0.35:
        return damaged_bytes(data, random)
    import onnx

    model = onnx.ModelProto.FromString(data)
    for _ in range(random.choice((1, 1, 2))):
        random.choice(_GRAPH_ACCIDENTS)(model, random)
    result: bytes = model.SerializeToString()
    return result


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _places(tree: Any) -> Any:
    for key, value in list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree or ())):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _other_value(value: Any, random: Random) -> Any:
    if isinstance(value, bool) or random.random() < 0.6:
        return random.choice(ODD_VALUES)
    if isinstance(value, int):
        return random.choice((value + 1, value - 1, -value, value * 2, value << 32))
    if isinstance(value, str) and value:
        at = random.randrange(len(value))
        return value[:at] + random.choice(("\x1b[31m", "\x9b", "0", "", "-", "%s", "é")) + value[at + 1 :]
    return random.choice(ODD_VALUES)


def _place(data: bytearray, random: Random) -> int:
    limit = min(len(data), HEAD_BYTES) if random.random() < 0.4 else len(data)
    return random.randrange(limit)


def _flip_bit(data: bytearray, random: Random) -> None:
    data[_place(data, random)] ^= 1 << random.randrange(8)


def _set_byte(data: bytearray, random: Random) -> None:
    data[_place(data, random)] = random.choice((*EDGES, random.randrange(256)))


def _set_number(data: bytearray, random: Random) -> None:
    at, size = _place(data, random), random.choice((2, 4, 8))
    value = random.choice((*WIDE_EDGES, random.getrandbits(31))) % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, random.choice(("big", "little")))


def _cut_off(data: bytearray, random: Random) -> None:
    del data[_place(data, random) :]


def _remove_block(data: bytearray, random: Random) -> None:
    at = _place(data, random)
    del data[at : at + random.choice((1, 2, 4, 16, 256))]


def _double_block(data: bytearray, random: Random) -> None:
    at = _place(data, random)
    block = data[at : at + random.choice((1, 4, 16, 256))]
    data[at:at] = block


def _move_block(data: bytearray, random: Random) -> None:
    at, size = _place(data, random), random.choice((1, 4, 16, 64))
    block = data[at : at + size]
    del data[at : at + size]
    to = random.randrange(len(data) + 1)
    data[to:to] = block


def _fill_block(data: bytearray, random: Random) -> None:
    at, size = _place(data, random), random.choice((4, 16, 64))
    size = min(size, len(data) - at)
    data[at : at + size] = bytes([random.choice(EDGES)]) * size


def _insert_noise(data: bytearray, random: Random) -> None:
    data[(at := _place(data, random)) : at] = random.randbytes(random.choice((1, 2, 8, 64)))


def _write_escape(data: bytearray, random: Random) -> None:
    """A control sequence over a run of letters, where texts are; else anywhere."""
    letters = [at for at in range(len(data) - 8) if data[at : at + 4].isalpha()]
    at = random.choice(letters) if letters else _place(data, random)
    escape = random.choice(ESCAPES)
    data[at : at + len(escape)] = escape


_ACCIDENTS: tuple[Callable[[bytearray, Random], None], ...] = (
    _flip_bit, _flip_bit, _set_byte, _set_byte, _set_number, _set_number, _set_number, _cut_off, _remove_block,
    _double_block, _move_block, _fill_block, _insert_noise, _write_escape,
)  # fmt: skip

_OPERATORS = "Conv Pad DepthToSpace Add Mul Relu Reshape Transpose Resize Concat Slice Loop If Identity Nope".split()
_NAMES = ("", "lr", "sr", "\x1b[2J", "a b", "x" * 3000, "../x")


def _node(model: Any, random: Random) -> Any:
    return random.choice(model.graph.node)


def _change_operator(model: Any, random: Random) -> None:
    _node(model, random).op_type = random.choice(_OPERATORS)


def _change_domain(model: Any, random: Random) -> None:
    _node(model, random).domain = random.choice(("com.microsoft", "\x1b[2J", "x"))


def _remove_node(model: Any, random: Random) -> None:
    del model.graph.node[random.randrange(len(model.graph.node))]
    if not model.graph.node:
        model.graph.node.add(op_type="Identity", input=["lr"], output=["sr"])


def _swap_nodes(model: Any, random: Random) -> None:
    nodes = list(model.graph.node)
    random.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _rewire(model: Any, random: Random) -> None:
    """An input from anywhere in the graph: cycles, wrong shapes, missing inputs."""
    node = _node(model, random)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)]
    if node.input and random.random() < 0.7:
        node.input[random.randrange(len(node.input))] = random.choice((*names, *_NAMES))
    elif node.input and random.random() < 0.5:
        del node.input[random.randrange(len(node.input))]
    elif node.output:
        node.output[0] = random.choice((*names, *_NAMES))


def _change_attribute(model: Any, random: Random) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    node = random.choice(nodes)
    entry = random.choice(node.attribute)
    if random.random() < 0.2:
        node.attribute.remove(entry)
    elif entry.ints:
        entry.ints[random.randrange(len(entry.ints))] = random.choice((0, -1, 2, 7, 1000, 2**31, 2**62))
    elif entry.s:
        entry.s = random.choice((b"", b"CRD", b"linear", b"\xff\xfe", b"\x1b[2J"))
    else:
        entry.i = random.choice((0, -1, 3, 8, 1000, 2**31, 2**62))


def _change_shape(model: Any, random: Random) -> None:
    value = random.choice((*model.graph.input, *model.graph.output))
    dims = value.type.tensor_type.shape.dim
    if dims and random.random() < 0.7:
        dims[random.randrange(len(dims))].dim_value = random.choice((0, -1, 1, 3, 4, 64, 2**31, 2**60))
    elif dims and random.random() < 0.5:
        del dims[random.randrange(len(dims))]
    else:
        value.type.tensor_type.elem_type = random.choice((0, 1, 2, 7, 8, 10, 11, 99))


def _change_weights(model: Any, random: Random) -> None:
    if not model.graph.initializer:
        return
    tensor = random.choice(model.graph.initializer)
    deed = random.randrange(5)
    if deed == 0:
        tensor.data_type = random.choice((0, 1, 7, 8, 10, 99))
    elif deed == 1 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice((0, -1, 1, 5, 2**31, 2**60))
    elif deed == 2:
        tensor.raw_data = damaged_bytes(tensor.raw_data or b"\0" * 4, random)
    elif deed == 3:
        tensor.data_location = 1
        key, value = random.choice(
            (("location", "w.bin"), ("location", "../x"), ("location", "a" * 500), ("offset", "x"))
        )
        tensor.external_data.add(key=key, value=value)
    else:
        tensor.name = random.choice(_NAMES)


def _change_opset(model: Any, random: Random) -> None:
    if model.opset_import and random.random() < 0.8:
        random.choice(model.opset_import).version = random.choice((0, -1, 1, 7, 8, 29, 1000, 2**40, 2**62))
    else:
        del model.opset_import[:]
    if random.random() < 0.3:
        model.ir_version = random.choice((0, 1, 3, 99, 2**40))


def _change_text(model: Any, random: Random) -> None:
    if not model.metadata_props:
        model.metadata_props.add(key="srvid.model_spec", value=random.choice(("", "[]", "{}", "null", "\x1b[2J")))
        return
    entry = random.choice(model.metadata_props)
    if _is_json(entry.value):
        text = json.dumps(damaged_value(json.loads(entry.value), random))
        entry.value = text.encode("utf-8", "replace").decode()
    else:
        entry.value = "\x1b]0;x\x07"


_GRAPH_ACCIDENTS: tuple[Callable[[Any, Random], None], ...] = (
    _change_operator, _change_domain, _remove_node, _swap_nodes, _rewire, _rewire, _change_attribute, _change_attribute,
    _change_shape, _change_weights, _change_weights, _change_opset, _change_text, _change_text, _change_text,
)  # fmt: skip
