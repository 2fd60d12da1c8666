"""The colour edges of a graph: planes as stored to the network's input, and its output back to planes.

Everything is linear between the cast and the network, so each colour edge is one or two small
convolutions: the chroma filter and the matrix are multiplied out here, in float64. RGB is not
clipped on the way: values outside 0..1 (super-white, wide gamut in a narrow matrix) pass through,
and only the final codes are limited. docs/notes/graph-forms.md says why this form.

Note [border]: where the spec says so, planes are continued by `border_px` as they come in, and what that makes is
cut off as they go out; everything between works on the larger size. Inside a frame this happens to every tile, within
its halo. Packed outputs are cut for nothing: their pieces begin above and left of the plane.

Note [gray]: a network of RGB gives a gray picture a tint of some codes. Where the spec says that it keeps gray,
interleaved RGB (images, arrays, plug-ins) stays R = G = B to the bit. Planar RGB is left as it is: its exit is folded
into the last convolution, which such a choice would undo (`packed_exit`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, helper

from sr_core.color import SITING_OFFSET, ColorSpec, code_scale, rgb_from_ycc, ycc_from_rgb
from sr_core.frame import PixelFormat
from sr_core.graph import taps
from sr_core.graph.onnx_builder import ONNX_TYPE, OnnxBuilder
from sr_core.model_spec import ModelSpec

Matrix = npt.NDArray[np.float64]
STUDIO_BLACK, STUDIO_SPAN = 16 / 255, 219 / 255  # what luma-only networks are fed, BT.601 8-bit / 255


@dataclass(frozen=True)
class Codes:
    """How integer codes (or floats) relate to Y in 0..1 and Cb, Cr in -0.5..0.5."""

    luma_span: float
    luma_offset: float
    chroma_span: float
    chroma_offset: float

    @classmethod
    def of(cls, fmt: PixelFormat, color: ColorSpec) -> Codes:
        if fmt.is_float:
            return cls(1.0, 0.0, 1.0, 0.0)
        full_range = color.full_range or fmt.family == "rgb"
        return cls(*code_scale(depth=fmt.depth, full_range=full_range))


class ColorEdges:
    """Writes the colour edges of one graph. Each method appends nodes and returns tensor names."""

    def __init__(self, build: OnnxBuilder, fmt: PixelFormat, color: ColorSpec, spec: ModelSpec) -> None:
        self.build, self.fmt, self.color, self.spec = build, fmt, color, spec
        self.codes = Codes.of(fmt, color)
        self.shift = float(1 << (16 - fmt.depth)) if fmt.msb_aligned else 1.0
        horizontal, vertical = SITING_OFFSET[color.siting]
        self.offset = (vertical, horizontal)  # rows, columns, as in every kernel below
        self.divisor = (fmt.subsampling[1], fmt.subsampling[0])

    # ---- entry: planes as stored -> float tensors [1, C, H, W] in codes

    def load(self, name: str) -> str:
        value = self.build.op("in", "Cast", name, to=ONNX_TYPE[np.dtype(np.float32)])
        if name in ("uv", "rgb"):
            value = self.build.op("in", "Transpose", value, perm=[0, 3, 1, 2])
        across, down = (self.spec.border_px // divisor for divisor in self.fmt.plane_divisor(name))
        return self.build.pad_edge("in", value, top=down, left=across, bottom=down, right=across)

    def load_chroma(self) -> str:
        if self.fmt.layout == "semiplanar":
            return self.load("uv")
        return self.build.op("in", "Concat", self.load("u"), self.load("v"), axis=1)

    def load_rgb(self) -> str:
        """RGB in codes."""
        if self.fmt.layout == "packed":
            return self.load("rgb")
        return self.build.op("in", "Concat", *(self.load(name) for name in "rgb"), axis=1)

    # ---- exit: float tensors in codes -> planes as stored

    def round_codes(self, value: str) -> str:
        """Codes of an integer format, limited, rounded, and shifted as stored; floats as they are."""
        if self.fmt.is_float:
            return value
        build, peak = self.build, float(self.fmt.peak)
        value = build.op("out", "Clip", value, build.constant(0.0), build.constant(peak))
        value = build.op("out", "Round", value)
        return value if self.shift == 1.0 else build.op("out", "Mul", value, build.constant(self.shift))

    def emit(self, value: str, name: str) -> None:
        build = self.build
        if self.spec.border_px:
            across, down = (self.spec.border_px * self.spec.scale // n for n in self.fmt.plane_divisor(name))
            starts, ends, axes = (build.constant(pair, np.int64) for pair in ([down, across], [-down, -across], [2, 3]))
            value = build.op("out", "Slice", value, starts, ends, axes)
        value = self.round_codes(value)
        if name in ("uv", "rgb"):
            value = build.op("out", "Transpose", value, perm=[0, 2, 3, 1])
        build.op("out", "Cast", value, output=f"{name}_out", to=ONNX_TYPE[self.fmt.dtype])

    # ---- RGB networks

    def through_rgb(self, network: ModelProto) -> dict[str, str]:
        source = self.rgb_in()
        rgb = self.build.inline(network, source, "net/")
        if self.spec.keeps_gray and self.fmt.layout == "packed":  # see Note [gray]
            rgb = self.gray_kept(source, rgb)
        if self.fmt.family == "gray":
            weights = ycc_from_rgb(self.color.matrix)[0]
            return {"gray": self.luma_out(rgb, weights * self.codes.luma_span, self.codes.luma_offset)}
        if self.fmt.family == "rgb":
            return self.rgb_out(rgb)
        return self.yuv_out(rgb)

    def gray_kept(self, source: str, made: str) -> str:
        """`made`, but luma alone where `source` is gray within 3x3 pixels; elsewhere to the bit as it was."""
        build, scale = self.build, self.spec.scale
        # 0 where R = G = B and else 1, as floats: x * 1 + y * 0 is x to the bit, and WebGPU runs no choice by booleans
        # everywhere. Twice 4096 brings the smallest difference of 16-bit codes above 1, and is no infinity in FP16.
        differences = 4096 * np.array([[1.0, -1.0, 0.0], [0.0, -1.0, 1.0]])  # R - G, B - G: exactly 0 of equal codes
        spread = build.op("in", "Abs", build.conv("in", source, differences[:, :, None, None]))
        spread = build.conv("in", spread, np.full((1, 2, 1, 1), 4096.0))
        spread = build.op("in", "MaxPool", spread, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        is_color = build.op("in", "Min", spread, build.constant(1.0))
        if scale > 1:
            factors = build.constant([1.0, 1.0, scale, scale])
            rule = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            is_color = build.op("in", "Resize", is_color, "", factors, **rule)
        is_gray = build.op("out", "Sub", build.constant(1.0), is_color)
        luma = build.conv("out", made, ycc_from_rgb("bt601")[0].reshape(1, 3, 1, 1))
        return build.op("out", "Add", build.op("out", "Mul", made, is_color), build.op("out", "Mul", luma, is_gray))

    def rgb_in(self) -> str:
        build, codes = self.build, self.codes
        if self.fmt.family == "gray":
            gain, bias = 1 / codes.luma_span, -codes.luma_offset / codes.luma_span
            return build.conv("in", self.load("gray"), np.full((3, 1, 1, 1), gain), [bias] * 3)
        if self.fmt.family == "rgb":
            rgb = self.load_rgb()
            return rgb if self.fmt.is_float else build.op("in", "Mul", rgb, build.constant(1 / codes.luma_span))
        luma = build.op("in", "Mul", self.load("y"), build.constant(1 / (codes.luma_span * self.shift)))
        matrix = rgb_from_ycc(self.color.matrix)[:, 1:] / codes.chroma_span
        offsets = -codes.luma_offset / codes.luma_span - matrix.sum(axis=1) * codes.chroma_offset
        return build.op("in", "Add", self.chroma_in(matrix / self.shift, offsets), luma)

    def chroma_in(self, matrix: Matrix, bias: Matrix) -> str:
        """Chroma enlarged to luma size, times `matrix` [3, 2], plus `bias` [3]: [1, 3, H, W]."""
        build, chroma = self.build, self.load_chroma()
        rows, columns = self.divisor
        if self.divisor == (1, 1):
            return build.conv("in", chroma, matrix[:, :, None, None], bias)
        chroma = build.pad_edge("in", chroma, top=rows - 1, left=columns - 1, bottom=rows - 1, right=columns - 1)
        if self.divisor == (2, 2):
            vertical, horizontal = (taps.chroma_up_phases(offset) for offset in self.offset)
            kernels = np.einsum("ay,bx->abyx", vertical, horizontal).reshape(4, 3, 3)
            weights = np.einsum("cu,pyx->cpuyx", matrix, kernels).reshape(12, 2, 3, 3)
            phases = build.conv("in", chroma, weights, np.repeat(bias, 4))
            return build.op("in", "DepthToSpace", phases, blocksize=2, mode="CRD")
        axis = 0 if rows == 2 else 1  # 4:4:0 or 4:2:2: one axis, so a transposed convolution
        line = taps.chroma_up_kernel(self.offset[axis])
        kernel = line[:, None] if axis == 0 else line[None, :]
        weights = np.einsum("cu,yx->ucyx", matrix, kernel)
        return build.conv(
            "in",
            chroma,
            weights,
            bias,
            kind="ConvTranspose",
            strides=[rows, columns],
            pads=[3, 0, 3, 0] if axis == 0 else [0, 3, 0, 3],
        )

    def rgb_out(self, rgb: str) -> dict[str, str]:
        build, span = self.build, self.codes.luma_span
        if self.fmt.layout == "packed":
            return {"rgb": rgb if self.fmt.is_float else build.op("out", "Mul", rgb, build.constant(span))}
        return self.separate(self.affine("out", rgb, span, 0.0), "rgb")

    def separate(self, value: str, names: str) -> dict[str, str]:
        """One plane a channel. The channels become the batch first: OpenVINO, which keeps channels
        interleaved, then reorders once. 1.0 ms for 540x960; three 1x1 convolutions that select take
        8.5, a Split of the interleaved channels 8 (one thread, AVX2)."""
        batch = self.build.op("out", "Transpose", value, perm=[1, 0, 2, 3])
        planes = [f"{batch}_{name}" for name in names]
        sizes = self.build.constant([1] * len(names), np.int64)
        self.build.nodes.append(helper.make_node("Split", [batch, sizes], planes, name=f"{batch}_split", axis=0))
        return dict(zip(names, planes, strict=True))

    def yuv_out(self, rgb: str) -> dict[str, str]:
        codes, matrix = self.codes, ycc_from_rgb(self.color.matrix)
        if self.divisor == (1, 1) and self.fmt.layout == "planar":
            gains = np.array([codes.luma_span, codes.chroma_span, codes.chroma_span])
            biases = np.array([codes.luma_offset, codes.chroma_offset, codes.chroma_offset])
            weights = matrix * gains[:, None]
            return self.separate(self.build.conv("out", rgb, weights[:, :, None, None], biases), "yuv")
        planes = {"y": self.luma_out(rgb, matrix[0] * codes.luma_span, codes.luma_offset)}
        chroma = self.chroma_out(rgb, matrix[1:] * codes.chroma_span)
        return planes | ({"uv": chroma} if self.fmt.layout == "semiplanar" else self.separate(chroma, "uv"))

    def luma_out(self, rgb: str, weights: Matrix, bias: float) -> str:
        """The weighted sum of the planes, plus `bias`: one fused kernel, twice as fast as a 1x1 convolution."""
        red, green, blue = self.separate(rgb, "rgb").values()
        total = self.affine("out", red, float(weights[0]), bias)
        for plane, weight in ((green, weights[1]), (blue, weights[2])):
            total = self.build.op("out", "Add", total, self.affine("out", plane, float(weight), 0.0))
        return total

    def chroma_out(self, rgb: str, matrix: Matrix) -> str:
        """Rows of `matrix` [n, 3] applied to RGB and decimated, in codes."""
        lines, pads = [], []  # one entry an axis: rows, columns
        for divisor, offset in zip(self.divisor, self.offset, strict=True):
            line, first = np.array([1.0]), 0
            if divisor == 2:
                line, first = taps.chroma_down(offset, dual=self.spec.scale == 1)
            lines.append(line)
            pads.append((-first, first + len(line) - divisor))
        (top, bottom), (left, right) = pads
        source = self.build.pad_edge("out", rgb, top=top, left=left, bottom=bottom, right=right)
        kernel = np.outer(lines[0], lines[1])
        weights = np.einsum("nc,yx->ncyx", matrix, kernel)
        bias = [self.codes.chroma_offset] * len(matrix)
        return self.build.conv("out", source, weights, bias, strides=list(self.divisor))

    # ---- luma-only networks: chroma is enlarged beside them

    def through_luma(self, network: ModelProto) -> dict[str, str]:
        if self.fmt.family == "rgb":
            return self._luma_of_rgb(network)
        luma = self.build.inline(network, self.luma_in(), "net/")
        gain, bias = self.studio_luma()
        planes = {self.fmt.plane_names[0]: self.affine("out", luma, 1 / gain, -bias / gain)}
        for chroma in self.fmt.plane_names[1:]:
            source = self.affine("out", self.load(chroma), 1 / self.shift, 0.0)
            channels = 2 if chroma == "uv" else 1
            planes[chroma] = self.bicubic(source, np.eye(channels), self.offset, self.divisor)
        return planes

    def luma_in(self) -> str:
        """The first plane as luma-only networks are fed."""
        gain, bias = self.studio_luma()
        return self.affine("in", self.load(self.fmt.plane_names[0]), gain / self.shift, bias)

    def studio_luma(self) -> tuple[float, float]:
        """(gain, bias) from luma codes to what luma-only networks are fed."""
        gain = STUDIO_SPAN / self.codes.luma_span
        return gain, STUDIO_BLACK - self.codes.luma_offset * gain

    def _luma_of_rgb(self, network: ModelProto) -> dict[str, str]:
        total = self.enlarge_luma_of(self.load_rgb(), network)
        if self.fmt.layout == "packed":
            return {"rgb": total}
        return self.separate(total, "rgb")

    def enlarge_luma_of(self, rgb: str, network: ModelProto) -> str:
        """RGB = k * luma + rest; the network enlarges luma, bicubic the rest."""
        span, weights = self.codes.luma_span, ycc_from_rgb("bt601")[0]
        luma = self.build.conv("in", rgb, weights.reshape(1, 3, 1, 1) * (STUDIO_SPAN / span), [STUDIO_BLACK])
        large = self.build.inline(network, luma, "net/")
        large = self.affine("out", large, span / STUDIO_SPAN, -STUDIO_BLACK * span / STUDIO_SPAN)
        rest = self.bicubic(rgb, np.eye(3) - np.ones((3, 1)) * weights, (0.0, 0.0), (1, 1))
        return self.build.op("out", "Add", rest, large)

    def affine(self, prefix: str, value: str, gain: float, bias: float) -> str:
        """value * gain + bias, leaving out what does nothing."""
        if gain != 1.0:
            value = self.build.op(prefix, "Mul", value, self.build.constant(gain))
        return value if bias == 0.0 else self.build.op(prefix, "Add", value, self.build.constant(bias))

    def bicubic(self, value: str, matrix: Matrix, offset: tuple[float, float], divisor: tuple[int, int]) -> str:
        """`matrix` [n, m] over channels and enlargement by the scale."""
        value, scale = self.bicubic_phases(value, matrix, offset, divisor), self.spec.scale
        return value if scale == 1 else self.build.op("out", "DepthToSpace", value, blocksize=scale, mode="CRD")

    def bicubic_phases(self, value: str, matrix: Matrix, offset: tuple[float, float], divisor: tuple[int, int]) -> str:
        """The same before the shuffle, as one 5x5 convolution."""
        scale = self.spec.scale
        rows, columns = (
            taps.cubic_up_phases(scale, offset=o if d > 1 else 0.0, divisor=d)
            for o, d in zip(offset, divisor, strict=True)
        )
        kernels = np.einsum("ay,bx->abyx", rows, columns).reshape(scale * scale, 5, 5)
        weights = np.einsum("nm,pyx->npmyx", matrix, kernels).reshape(-1, matrix.shape[1], 5, 5)
        value = self.build.pad_edge("out", value, top=2, left=2, bottom=2, right=2)
        return self.build.conv("out", value, weights)
