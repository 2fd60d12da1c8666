"""How a foreign network takes and gives pictures: its channels, their order, its numbers and its size.

    NCHW or NHWC or CHW · 1, 3 or 4 channels · FP32, FP16, BF16, FP64 or uint8 · any size or one

The same facts serve twice: `feed` and `picture` turn our batches [N, C, H, W] in 0..1 into what the file
itself takes, to run it as it is; `write_entrance` and `write_exit` write that into the graph around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from sr_core.errors import BadModel
from sr_core.graph.onnx_builder import OnnxBuilder

Layout = Literal["NCHW", "NHWC", "CHW"]
Batch = NDArray[np.float32]
_CHANNELS = (1, 3, 4)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The facts of one file.

    Attributes:
        channels: that the file takes; of 4, the last is alpha, and is given as opaque.
        kind, out_kind: ONNX's number of the type of input and output.
        fixed_size: (width, height) where the graph takes no other.
    """

    input_name: str
    layout: Layout
    channels: int
    kind: int
    out_kind: int
    fixed_size: tuple[int, int] | None

    @property
    def seen_channels(self) -> int:
        """Without alpha: 1 or 3."""
        return 1 if self.channels == 1 else 3

    def feed(self, batch: Batch) -> NDArray[np.generic]:
        """`batch` [1, 1 or 3, H, W] in 0..1 as the file's own input."""
        if self.channels == 4:
            batch = np.concatenate([batch, np.ones_like(batch[:, :1])], axis=1)
        array: NDArray[np.generic] = batch
        if self.kind == TensorProto.UINT8:
            array = np.rint(batch * 255).astype(np.uint8)
        else:
            array = batch.astype(helper.tensor_dtype_to_np_dtype(self.kind))
        if self.layout == "NHWC":
            array = array.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(array[0] if self.layout == "CHW" else array)

    def picture(self, made: NDArray[np.generic]) -> Batch | None:
        """The file's own output as [1, 1 or 3, H, W] in 0..1; None if it holds no such picture."""
        batch = made.astype(np.float32)
        if self.layout == "CHW" and batch.ndim == 3:
            batch = batch[None]
        if batch.ndim != 4 or batch.shape[0] != 1:
            return None
        if self.layout == "NHWC":
            batch = batch.transpose(0, 3, 1, 2)
        if batch.shape[1] not in (self.seen_channels, self.channels):
            return None
        batch = batch[:, : self.seen_channels]
        return batch / np.float32(255) if self.out_kind == TensorProto.UINT8 else batch

    def write_entrance(self, build: OnnxBuilder, source: str) -> str:
        """The nodes that do what `feed` does."""
        if self.channels == 4:
            ends = [build.constant([number], np.int64) for number in (0, 1, 1)]
            first = build.op("ends", "Slice", source, *ends)
            nothing = build.op("ends", "Mul", first, build.constant(0.0))
            opaque = build.op("ends", "Add", nothing, build.constant(1.0))
            source = build.op("ends", "Concat", source, opaque, axis=1)
        if self.kind == TensorProto.UINT8:
            source = build.op("ends", "Mul", source, build.constant(255.0))
            source = build.op("ends", "Clip", source, build.constant(0.0), build.constant(255.0))
            source = build.op("ends", "Cast", build.op("ends", "Round", source), to=TensorProto.UINT8)
        elif self.kind != TensorProto.FLOAT:
            source = build.op("ends", "Cast", source, to=self.kind)
        if self.layout == "NHWC":
            return build.op("ends", "Transpose", source, perm=[0, 2, 3, 1])
        if self.layout == "CHW":
            return build.op("ends", "Squeeze", source, build.constant([0], np.int64))
        return source

    def write_exit(self, build: OnnxBuilder, value: str) -> str:
        """The nodes that do what `picture` does."""
        if self.layout == "CHW":
            value = build.op("ends", "Unsqueeze", value, build.constant([0], np.int64))
        if self.layout == "NHWC":
            value = build.op("ends", "Transpose", value, perm=[0, 3, 1, 2])
        if self.out_kind != TensorProto.FLOAT:
            value = build.op("ends", "Cast", value, to=TensorProto.FLOAT)
        if self.out_kind == TensorProto.UINT8:
            value = build.op("ends", "Mul", value, build.constant(1 / 255))
        if self.channels == 4:
            ends = [build.constant([number], np.int64) for number in (0, 3, 1)]
            value = build.op("ends", "Slice", value, *ends)
        return value


def ends_of(model: ModelProto, name: str) -> Ends:
    """Read them from the graph.

    Raises:
        BadModel: it does not take one picture and give one.
    """
    inputs, outputs = real_inputs(model), list(model.graph.output)
    if len(inputs) != 1:
        what = ", ".join(value.name for value in inputs) or "none"
        raise BadModel(
            f"{name} wants {len(inputs)} inputs ({what}), and there is only a picture to give",
            hint="export it with everything but the picture fixed",
        )
    if len(outputs) != 1:
        what = ", ".join(value.name for value in outputs)
        raise BadModel(f"{name} gives {len(outputs)} outputs ({what}), expected one picture")
    tensor = inputs[0].type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    layout, channels = _layout(dims)
    written = ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in tensor.shape.dim)
    kind = tensor.elem_type
    if layout is None or (kind not in _FLOATS and kind != TensorProto.UINT8):
        word = TensorProto.DataType.Name(kind).lower()
        frames = f": {channels // 3} frames at once" if channels > 4 and channels % 3 == 0 else ""
        frames = ": several frames at once" if len(dims) == 5 else frames
        raise BadModel(
            f"{name} takes {word} [{written}]{frames}, not one picture of 1, 3 or 4 channels",
            hint="give a network that enlarges single pictures",
        )
    height, width = dims[1:3] if layout in ("NHWC", "CHW") else dims[2:4]
    batch = dims[0] if layout != "CHW" else 1
    if batch > 1:
        raise BadModel(f"{name} takes {batch} pictures at once, expected one", hint="export it with a batch of 1")
    if (width > 0) != (height > 0):
        raise BadModel(f"{name} takes pictures of one fixed side ([{written}])", hint="export it for any size")
    return Ends(
        input_name=inputs[0].name,
        layout=layout,
        channels=channels,
        kind=kind,
        out_kind=outputs[0].type.tensor_type.elem_type or kind,
        fixed_size=(width, height) if width > 0 else None,
    )


def real_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """Inputs that are no weights: older exporters list those, too."""
    held = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in held]


def _layout(dims: list[int]) -> tuple[Layout | None, int]:
    """(layout, channels); a graph that says nothing of its channels takes RGB."""
    if len(dims) == 3:
        return ("CHW", dims[0] or 3) if (dims[0] or 3) in _CHANNELS else (None, dims[0])
    if len(dims) != 4:
        return None, 0
    if dims[1] in _CHANNELS and not (dims[3] in _CHANNELS and dims[1] != 3):
        return "NCHW", dims[1]
    if dims[3] in _CHANNELS:
        return "NHWC", dims[3]
    return ("NCHW", 3) if dims[1] <= 0 else (None, dims[1])
