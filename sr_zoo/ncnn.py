"""ncnn's two files as an ONNX graph: FILE.param names the layers, FILE.bin holds their weights in that order.

    7767517                                            magic
    41 42                                              layers, blobs
    Convolution Conv_0 1 1 data 54 0=64 1=3 4=1 6=1728 kind name inputs outputs, their names, parameters

Written from ncnn's documented formats (param-and-model-file-structure, operators); the layers are in
`ncnn_layers`. Networks with one input and one output blob, of the convolutional family.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from sr_core.errors import BadModel
from sr_core.graph.onnx_builder import OnnxBuilder

MAGIC = "7767517"
OPSET = 18
_ARRAY = -23300  # keys of arrays count down from here
_FP16, _FP32, _INT8 = 0x01306B47, 0x0002C056, 0x000D4B38  # tags in front of a layer's weights
MOST_LAYERS = 100_000
CHANNELS = 3  # of the picture that is fed


@dataclass(frozen=True)
class Layer:
    """One line of the .param file; `facts` holds numbers and lists of numbers by parameter id."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    facts: dict[int, Any] = field(default_factory=dict)

    def number(self, key: int, otherwise: int) -> int:
        """An integer parameter."""
        return int(self.facts.get(key, otherwise))

    def real(self, key: int, otherwise: float) -> float:
        """A float parameter."""
        return float(self.facts.get(key, otherwise))

    def array(self, key: int) -> list[float]:
        """An array parameter; [] where it is not given."""
        found = self.facts.get(key, [])
        return found if isinstance(found, list) else [found]


class WeightFile:
    """Reads a .bin file from front to back."""

    def __init__(self, contents: bytes) -> None:
        self._contents, self._at = contents, 0

    def tagged(self, count: int) -> NDArray[np.float32]:
        """Weights behind a tag: FP16, FP32, or a table of 256 values and a byte for each.

        Raises:
            BadModel: INT8 with scales of its own, or the file ends.
        """
        tag = int(self._take(4, np.uint32)[0])
        if tag == _FP16:
            values = self._take(count * 2, np.float16).astype(np.float32)
            self._at += -self._at % 4
            return values
        if tag in (0, _FP32):
            return self.plain(count)
        if tag == _INT8:
            raise BadModel("its weights are INT8", hint="get the file with FP16 or FP32 weights")
        table = self.plain(256)
        indices = self._take(count, np.uint8)
        self._at += -self._at % 4
        return np.asarray(table[indices], np.float32)

    def plain(self, count: int) -> NDArray[np.float32]:
        """FP32 numbers without a tag."""
        return self._take(count * 4, np.float32)

    @property
    def rest(self) -> int:
        """Bytes that nobody has read."""
        return len(self._contents) - self._at

    def _take(self, size: int, kind: Any) -> NDArray[Any]:
        if size < 0 or size > self.rest:
            raise BadModel("its .bin file is too short for its .param file", hint="are both of the same download?")
        part = self._contents[self._at : self._at + size]
        self._at += size
        return np.frombuffer(part, np.dtype(kind).newbyteorder("<"))


def read_ncnn(path: Path) -> ModelProto:
    """The network of FILE.param and FILE.bin, with input `input` [N, 3, H, W] and output `output`.

    Raises:
        BadModel: not ncnn's text format, layers of another family, or files that do not belong together.
    """
    from sr_zoo.ncnn_layers import LAYERS

    layers = parse_param(path.read_text(encoding="utf-8", errors="replace"))
    weights = WeightFile(path.with_suffix(".bin").read_bytes())
    build = OnnxBuilder()
    blobs: dict[str, str] = {}
    unknown = sorted({layer.kind for layer in layers if layer.kind not in LAYERS and layer.kind != "Input"})
    if unknown:
        raise BadModel(f"it uses layers of ncnn that are not read here: {', '.join(unknown)}")
    for layer in layers:
        if layer.kind == "Input":
            if "input" in blobs.values():
                raise BadModel("it wants more than one input", hint="give a network that enlarges single pictures")
            blobs[layer.outputs[0]] = "input"
            continue
        missing = [name for name in layer.inputs if name not in blobs]
        if missing:
            raise BadModel(f"its layer {layer.name} reads {missing[0]!r}, which no layer before it makes")
        if layer.kind == "Convolution" and blobs[layer.inputs[0]] == "input":
            _refuse_more_than_a_picture(layer)
        made = LAYERS[layer.kind](layer, weights, build, [blobs[name] for name in layer.inputs])
        blobs.update(zip(layer.outputs, made, strict=False))
    if weights.rest:
        raise BadModel(
            f"its .bin file has {weights.rest} bytes more than its .param file uses",
            hint="are both of the same download?",
        )
    read = {name for layer in layers for name in layer.inputs}
    ends = [name for layer in layers for name in layer.outputs if name not in read]
    if len(ends) != 1:
        raise BadModel(f"it gives {len(ends)} outputs ({', '.join(ends)}), expected one picture")
    build.op("ncnn", "Identity", blobs[ends[0]], output="output")
    build.inputs.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, "h", "w"]))
    build.outputs.append(helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 3, "H", "W"]))
    return build.model(path.stem, OPSET)


def _refuse_more_than_a_picture(layer: Layer) -> None:
    """Tell from the number of its weights what the first layer takes."""
    width = layer.number(1, 0)
    each = layer.number(0, 0) * width * layer.number(11, width)
    channels = layer.number(6, 0) // each if each > 0 else 0
    if channels > 0 and channels != CHANNELS:
        what = "the noise or the blur of the picture beside it" if channels > CHANNELS else "brightness alone"
        raise BadModel(
            f"it takes {channels} channels, not a picture of {CHANNELS}: {what}",
            hint="give a network that takes the picture and nothing else",
        )


def parse_param(text: str) -> list[Layer]:
    """The layers of a .param file.

    Raises:
        BadModel: it is none.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 3 or lines[0] != [MAGIC]:
        raise BadModel("it is not ncnn's .param text format", hint="a binary .param.bin cannot be read: get the text")
    if len(lines) - 2 > MOST_LAYERS:
        raise BadModel(f"it has {len(lines) - 2} layers")
    try:
        return [_layer(words) for words in lines[2:]]
    except (ValueError, IndexError) as error:
        raise BadModel(f"it is not ncnn's .param text format: {error}") from error


def _layer(words: list[str]) -> Layer:
    kind, name, inputs, outputs = words[0], words[1], int(words[2]), int(words[3])
    if inputs < 0 or outputs < 0 or len(words) < 4 + inputs + outputs:
        raise ValueError(f"layer {name} names too few blobs")
    blobs = words[4 : 4 + inputs + outputs]
    facts: dict[int, Any] = {}
    for word in words[4 + inputs + outputs :]:
        key, _, value = word.partition("=")
        if int(key) <= _ARRAY:
            facts[_ARRAY - int(key)] = [float(number) for number in value.split(",")[1:]]
        else:
            facts[int(key)] = float(value)
    return Layer(kind, name, tuple(blobs[:inputs]), tuple(blobs[inputs:]), facts)
