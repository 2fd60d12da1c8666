"""The exit of a graph folded into the network's last convolution: the same function, several passes less.

    features ─ Conv × matrix × chroma down ─ clip, round, cast ─► packed planes [1, cells down, across, channels]

The usual exit shuffles RGB to full size and works there, in float32: for YUV420P8 at scale 2 that is
ten passes over 24 bytes per input pixel, where the planes have 6. Here luma and chroma come out of the last
convolution (6 channels where RGB has 12, filled up to 8), and the shuffle is left to the copy into the caller's
planes (`packing`). A decimated chroma plane looks over the picture's border, which the features do
not continue; its first column or row is therefore made again in the usual way, from a strip (where the spec
continues the picture, there is no need).

Where the scale is odd, decimated chroma lies differently in every other cell; the convolution then has stride 2
and makes 2x2 cells at once (36 samples of luma and 9 of each chroma at scale 3).

In mixed precision the convolution of features may run in bf16 where a base in FP32 is added to it (`body`);
alone it makes the picture, which would have 8 significant bits. See docs/adr/0004.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from sr_core.color import ycc_from_rgb
from sr_core.frame import PixelFormat
from sr_core.graph import taps
from sr_core.graph.color_edges import ColorEdges, Matrix
from sr_core.graph.onnx_builder import ONNX_TYPE
from sr_core.graph.sub_pixel import Kernel, SubPixelTail, Tap
from sr_core.packing import Piece

LANES = 8  # floats in an AVX register; a convolution 16 -> 6 channels takes 21 % longer than 16 -> 8
SMALLEST = 16  # input pixels; strips of shorter sides would be longer than the picture


def can_pack(fmt: PixelFormat, tail: SubPixelTail | None, *, channels: int, width: int, height: int) -> bool:
    """Planar, and where chroma is made from RGB, an even number of cells (frames of 4:2:0 are aligned so)."""
    if tail is None or min(width, height) < SMALLEST or fmt.layout != "planar":
        return False
    return channels == 1 or not (width % fmt.subsampling[0] or height % fmt.subsampling[1])


def cells_for(block: int, divisor: tuple[int, int]) -> tuple[int, int]:
    """How many cells (down, across) hold the same pattern of chroma samples: two where the block is odd."""
    down, across = (1 if block % step == 0 else step for step in divisor)
    return down, across


class PackedExit:
    """Writes the packed outputs of one graph; `pieces` says where the planes are."""

    def __init__(self, edges: ColorEdges, tail: SubPixelTail, *, width: int, height: int) -> None:
        self.edges, self.tail = edges, tail
        self.fmt, self.build = edges.fmt, edges.build
        scale = edges.spec.scale
        self.shapes = [(rows, columns) for rows, columns in self.fmt.plane_shapes(width * scale, height * scale)]
        self.pieces: list[Piece] = []
        is_plain = edges.spec.color_space == "y"  # chroma has a tensor of its own there
        self.cells = (1, 1) if is_plain else cells_for(tail.block, edges.divisor)

    def through_rgb(self) -> None:
        """All planes out of an RGB network."""
        codes, fmt = self.edges.codes, self.fmt
        ycc = ycc_from_rgb(self.edges.color.matrix)
        if fmt.family == "rgb":
            self._emit_planes([(index, row * codes.luma_span, 0.0) for index, row in enumerate(np.eye(3))])
            return
        planes = [(0, ycc[0] * codes.luma_span, codes.luma_offset)]
        if fmt.family == "yuv":
            planes += [(index, ycc[index] * codes.chroma_span, codes.chroma_offset) for index in (1, 2)]
        self._emit_planes(planes)
        if fmt.family == "yuv" and not self.edges.spec.border_px:
            self._emit_borders(ycc[1:] * codes.chroma_span)

    def through_luma(self) -> None:
        """Luma out of a luma-only network; chroma is enlarged beside it."""
        edges = self.edges
        gain, bias = edges.studio_luma()
        self._emit_planes([(0, np.array([1 / gain]), -bias / gain)])
        scale = edges.spec.scale
        for index, name in enumerate(self.fmt.plane_names[1:], 1):
            source = edges.affine("out", edges.load(name), 1 / edges.shift, 0.0)
            phases = edges.bicubic_phases(source, np.eye(1), edges.offset, edges.divisor)
            self._add(index, self._emit(phases, scale * scale), first=0, block=(scale, scale))

    def _emit_planes(self, planes: list[tuple[int, Matrix, float]]) -> None:
        """Planes (index, weights of the network's channels, bias) as the channels of one tensor."""
        kernels: list[Kernel] = []
        pieces: list[tuple[int, int, tuple[int, int]]] = []
        for index, weights, bias in planes:
            block, found = self._kernels(index, weights, bias)
            pieces.append((index, len(kernels), block))
            kernels += found
        used = len(kernels)
        if not (self.fmt.is_float and self.tail.is_pointwise):  # there the wider output costs more
            kernels += [Kernel(())] * (-used % LANES)
        value = self.tail.convolve(self.build, kernels, self.cells)
        is_sliced = self.fmt.is_float and len(kernels) > used  # integers are cheaper to carry along
        if is_sliced:
            ends = [self.build.constant([end], np.int64) for end in (0, used, 1)]
            value = self.build.op("out", "Slice", value, *ends)
        tensor = self._emit(value, used if is_sliced else len(kernels), is_sliced=is_sliced)
        for index, first, block in pieces:
            self._add(index, tensor, first=first, block=block)

    def _add(self, plane: int, tensor: str, *, first: int, block: tuple[int, int]) -> None:
        """A piece that covers its plane, and what the border is continued by (Note [border] in `color_edges`)."""
        spec = self.edges.spec
        left, top = (-spec.border_px * spec.scale // n for n in self.fmt.plane_divisor(self.fmt.plane_names[plane]))
        self.pieces.append(Piece(plane=plane, tensor=tensor, first=first, block=block, top=top, left=left))

    def _kernels(self, index: int, weights: Matrix, bias: float) -> tuple[tuple[int, int], list[Kernel]]:
        """The samples of plane `index` in one cell, row by row: (block, a kernel each)."""
        is_chroma = index > 0 and self.fmt.family == "yuv"
        divisors = self.edges.divisor if is_chroma else (1, 1)
        lines = [
            taps.chroma_down(offset, dual=False) if divisor == 2 else (np.ones(1), 0)
            for divisor, offset in zip(divisors, self.edges.offset, strict=True)
        ]
        rows, columns = (self.tail.block * n // divisor for n, divisor in zip(self.cells, divisors, strict=True))
        (down, top), (across, left) = lines
        kernels = [
            Kernel(
                tuple(
                    Tap(channel, row * divisors[0] + top + y, column * divisors[1] + left + x, float(weight * a * b))
                    for channel, weight in enumerate(weights)
                    if weight
                    for y, a in enumerate(down)
                    for x, b in enumerate(across)
                ),
                bias,
            )
            for row in range(rows)
            for column in range(columns)
        ]
        return (rows, columns), kernels

    def _emit_borders(self, matrix: Matrix) -> None:
        """Chroma's first or last column and row, where its filter leaves the picture."""
        for axis in (1, 0):
            if self.edges.divisor[axis] == 1:
                continue
            line, first = taps.chroma_down(self.edges.offset[axis], dual=False)
            sides = [side for side, leaves in ((False, first < 0), (True, first + len(line) > 2)) if leaves]
            for at_end in sides:
                strip = self.tail.border(self.build, axis=axis, at_end=at_end, cells=self.cells[axis])
                tensor = self._emit(self.edges.chroma_out(strip, matrix), 2)
                depth = self.tail.block * self.cells[axis] // 2
                for plane in (1, 2):
                    start = self.shapes[plane][axis] - depth if at_end else 0
                    top, left = (start, 0) if axis == 0 else (0, start)
                    self.pieces.append(
                        Piece(plane=plane, tensor=tensor, first=plane - 1, block=(1, 1), top=top, left=left)
                    )

    def _emit(self, value: str, channels: int, *, is_sliced: bool = False) -> str:
        """Codes as stored, channels last, which is how OpenVINO has them anyway.

        It would move the transpose before the sum of the branches and then really make it, twice (5 of
        17 ms for 480x270 and 16 channels). An integer cast in between stops it, or a slice; where a float
        has neither, a maximum that does nothing does.
        """
        build, kind = self.build, ONNX_TYPE[self.fmt.dtype]
        value = self.edges.round_codes(value)
        if self.fmt.is_float and not is_sliced and (len(self.tail.branches) > 1 or kind != TensorProto.FLOAT):
            value = build.op("out", "Max", value, build.constant(np.full((1, channels, 1, 1), -np.inf)))
        if kind != TensorProto.FLOAT:
            value = build.op("out", "Cast", value, to=kind)
        name = f"packed{len(build.outputs)}"
        build.op("out", "Transpose", value, perm=[0, 2, 3, 1], output=name)
        build.outputs.append(helper.make_tensor_value_info(name, kind, None))
        return name
