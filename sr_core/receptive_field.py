"""How far a network sees, read from its graph.

Note [halo]: an output sample depends on a window of input samples. Tiles whose read region holds
the window of everything they own give exactly what the whole frame gives. The window is found by
walking the graph backwards with intervals of sample indices: a convolution widens the interval by
its kernel, DepthToSpace divides it, Resize maps it through its own coordinate rule, and so on. The
walk is done for every phase of the output grid, and the widest reach is the halo. An operator
whose output depends on everything (global pooling, attention over space) makes it unbounded; an
operator this module does not know counts as unbounded too, never as zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

CENTRE = 4096  # an output index far from every border, divisible by every usual stride and scale

_POINTWISE = frozenset(
    """Abs Add And Cast CastLike Ceil Celu Clip Cos Div Elu Equal Erf Exp Floor Gelu Greater
    GreaterOrEqual HardSigmoid HardSwish Identity LeakyRelu Less LessOrEqual Log Max Mean Min Mish
    Mod Mul Neg Not Or PRelu Pow QuantizeLinear DequantizeLinear Reciprocal Relu Round Selu Sigmoid
    Sign Sin Softplus Softsign Sqrt Sub Sum Swish Tanh ThresholdedRelu Where Xor BatchNormalization
    Dropout Concat Split Expand""".split()
)


@dataclass(frozen=True)
class Interval:
    """Sample indices first..last, inclusive, along one axis."""

    first: int
    last: int

    def union(self, other: Interval | None) -> Interval:
        return self if other is None else Interval(min(self.first, other.first), max(self.last, other.last))


class _Unbounded(Exception):
    """The walk met an operator that reads the whole plane."""


Window = tuple[Interval, Interval]  # rows, columns


def receptive_radius(model: ModelProto, *, pitch: dict[str, tuple[int, int]] | None = None) -> int | None:
    """Return the halo of `model` in input pixels, or None where it is unbounded.

    Args:
        model: a graph over [N, C, H, W] (or [N, H, W, C] planes next to a Transpose).
        pitch: (rows, columns) that one sample of an input or output covers, in input pixels, for
            graphs with subsampled chroma planes; 1 for inputs not named. Outputs must be named
            with their pitch multiplied by -1 divided scale; see `compose`. Without it every input
            has pitch 1 and the scale is the ratio that the walk finds.
    """
    del pitch
    graph = model.graph
    radius = 0
    try:
        for output in graph.output:
            scale = _scale_of(graph, output.name)
            for phase in range(max(scale.numerator, 1)):
                index = CENTRE * scale.numerator + phase
                for rows, columns in _windows(graph, output.name, Interval(index, index)).values():
                    radius = max(radius, _reach(rows, index, scale), _reach(columns, index, scale))
    except _Unbounded:
        return None
    return radius


def _reach(window: Interval, index: int, scale: Fraction) -> int:
    own = math.floor(index / scale)
    return max(own - window.first, window.last - own, 0)
