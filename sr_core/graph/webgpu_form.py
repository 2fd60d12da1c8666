"""The same graph without what WebGPU runs on the CPU: rounding, 16-bit planes, transposes of bytes.

    Round(x)                      Sub(Add(x, c), c)           c = 3 * 2^22: FP32 has no fractions there; half to even
    y  UINT16 [1, 1, H, W]        y  UINT8 [1, 1, H, 2 W]     the same memory; low + 256 high, exact in FP32
    Cast → y_out UINT8            Reshape → Cast → y_out      or a transpose is moved behind the Cast
    r  FLOAT16                    r  FLOAT                    not every GPU has shader-f16; the host widens, exactly

WGSL has no 16-bit integers, and the provider has no Round: such a node is a copy to the host and back, in the
middle of the frame. The planes are bytes to the session as well: `array.view(np.uint8)`, nothing copied.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_WITHOUT_FRACTIONS = np.float32(3 * 2**22)  # FP32 counts by ones from 2^23 to 2^24: both signs, up to 2^22
_PREFIX = "device_"


def for_webgpu(model: onnx.ModelProto, *, sums_exactly: bool = True) -> onnx.ModelProto:
    """`model`, static shapes, rewritten; inputs and outputs of UINT16 become UINT8, twice as long in the last axis.

    Args:
        sums_exactly: False: the GPU's compiler cancels the two. Ties then go up: Floor(x + 0.5).
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    rewriting = _Rewriting(copy.graph, sums_exactly)
    for node in model.graph.node:
        rewriting.take(node)
    copy.graph.ClearField("node")
    copy.graph.node.extend(rewriting.nodes)
    return copy


@dataclass
class _Rewriting:
    """`graph`'s nodes, one after the other, as they become."""

    graph: onnx.GraphProto
    sums_exactly: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    samples: dict[str, str] = field(default_factory=dict)  # a 16-bit plane -> its samples in FP32
    outputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    deep: set[str] = field(default_factory=set)
    wide: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for value in self.graph.output:
            self.outputs[value.name] = _shape(value)
            if _halve(value):
                self.deep.add(value.name)
            elif _widen(value):
                self.wide.add(value.name)
        for value in self.graph.input:
            shape = _shape(value)
            if _halve(value):
                self._read_bytes(value.name, shape)
            elif _widen(value):
                self.samples[value.name] = value.name

    def take(self, node: onnx.NodeProto) -> None:
        """Append `node`, or what it becomes."""
        if node.op_type == "Round" and not self.sums_exactly:
            half = self._constant("half", np.float32(0.5))
            self._add("Add", [node.input[0], half], f"{node.output[0]}_up")
            self._add("Floor", [f"{node.output[0]}_up"], node.output[0])
        elif node.op_type == "Round":
            big = self._constant("3*2^22", _WITHOUT_FRACTIONS)
            self._add("Add", [node.input[0], big], f"{node.output[0]}_up")
            self._add("Sub", [f"{node.output[0]}_up", big], node.output[0])
        elif node.op_type == "Cast" and node.input[0] in self.samples:
            to = next(entry.i for entry in node.attribute if entry.name == "to")
            self._add("Cast", [self.samples[node.input[0]]], node.output[0], to=to)
        elif node.op_type == "Cast" and node.output[0] in self.wide:
            self._add("Cast", [node.input[0]], node.output[0], to=TensorProto.FLOAT)
        elif node.op_type == "Cast" and node.output[0] in self.deep:
            self._write_bytes(node.input[0], node.output[0])
        elif node.op_type == "Cast" and node.output[0] in self.outputs:
            name = node.output[0]
            self._flatten_rounding(node.input[0], name)
            held = self._constant(f"{name}_shape", np.array(self.outputs[name], np.int64))
            self._add("Reshape", [node.input[0], held], f"{_PREFIX}{name}_held")
            kept = onnx.NodeProto()
            kept.CopyFrom(node)
            kept.input[0] = f"{_PREFIX}{name}_held"
            self.nodes.append(kept)
        else:
            self.nodes.append(node)

    def _flatten_rounding(self, rounded: str, name: str) -> None:
        """Round a plane as one row, where nothing stands between rounding and the Cast.

        ONNX Runtime's layout pass pushes its last transpose through the Cast, where it would be one of bytes; a single
        Reshape to the shape that is there already is removed before, and two after each other become one.
        """
        place = next((at for at, made in enumerate(self.nodes) if rounded in made.output), None)
        if place is None or not self.nodes[place].name.startswith(_PREFIX) or self.nodes[place - 1].op_type != "Add":
            return
        first = self.nodes[place - 1]
        row = self._constant("row", np.array([-1], np.int64))
        self._add("Reshape", [first.input[0], row], f"{_PREFIX}{name}_row")
        first.input[0] = f"{_PREFIX}{name}_row"
        self.nodes.insert(place - 1, self.nodes.pop())

    def _read_bytes(self, name: str, shape: tuple[int, ...]) -> None:
        stem = f"{_PREFIX}{name}"
        weights = self._constant("low_high", np.array([[1.0], [256.0]], np.float32))
        self._add("Cast", [name], f"{stem}_f", to=TensorProto.FLOAT)
        pairs = self._constant(f"{name}_pairs_shape", np.array([*shape, 2], np.int64))
        whole = self._constant(f"{name}_whole_shape", np.array(shape, np.int64))
        self._add("Reshape", [f"{stem}_f", pairs], f"{stem}_pairs")
        self._add("MatMul", [f"{stem}_pairs", weights], f"{stem}_sums")
        self._add("Reshape", [f"{stem}_sums", whole], f"{stem}_samples")
        self.samples[name] = f"{stem}_samples"

    def _write_bytes(self, value: str, name: str) -> None:
        stem, shape = f"{_PREFIX}{name}", self.outputs[name]
        share, base = self._constant("1/256", np.float32(1 / 256)), self._constant("256", np.float32(256))
        cell = self._constant(f"{name}_cell_shape", np.array([*shape, 1], np.int64))
        flat = self._constant(f"{name}_flat_shape", np.array([*shape[:-1], 2 * shape[-1]], np.int64))
        self._add("Mul", [value, share], f"{stem}_share")
        self._add("Floor", [f"{stem}_share"], f"{stem}_high")
        self._add("Mul", [f"{stem}_high", base], f"{stem}_high256")
        self._add("Sub", [value, f"{stem}_high256"], f"{stem}_low")
        for part in ("low", "high"):
            self._add("Reshape", [f"{stem}_{part}", cell], f"{stem}_{part}1")
        self._add("Concat", [f"{stem}_low1", f"{stem}_high1"], f"{stem}_both", axis=len(shape))
        self._add("Reshape", [f"{stem}_both", flat], f"{stem}_bytes")
        self._add("Cast", [f"{stem}_bytes"], name, to=TensorProto.UINT8)

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: int) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], f"{_PREFIX}{output}", **attributes))

    def _constant(self, name: str, value: object) -> str:
        full = f"{_PREFIX}{name}"
        if all(entry.name != full for entry in self.graph.initializer):
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), full))
        return full


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _halve(value: onnx.ValueInfoProto) -> bool:
    """Make a UINT16 plane one of bytes; False: it is none."""
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.UINT16:
        return False
    tensor.elem_type = TensorProto.UINT8
    tensor.shape.dim[-1].dim_value *= 2
    return True


def _widen(value: onnx.ValueInfoProto) -> bool:
    """Make a FLOAT16 plane one of FLOAT; False: it is none."""
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT16:
        return False
    tensor.elem_type = TensorProto.FLOAT
    return True
