"""Luma made crisper behind a network, inside its graph: `ModelSpec.sharpen`.

    luma ─┬─ luma + amount x (luma - mean of 4 neighbours) ─┬─ limited ─► luma
          └─ smallest and largest of what is around it ─────┘

An unsharp mask [1] whose result stays within the range of its neighbourhood, but for `SLACK` of that range: edges
get steeper without the bright and dark lines of plain sharpening. AviSynth's LimitedSharpen and FidelityFX CAS [2]
(FFmpeg's and mpv's `cas`) have the same aim; CAS over that distance came out alike (0.1 dB better, more flicker).
A network of scale s draws edges some s pixels wide, so the neighbours are s/2 pixels away, and so much grows the halo.

Note [sharpen]: only luma changes. Cb and Cr are made of the network's own RGB, and of RGB all three channels move by
the same amount. So chroma planes are those of the graph without it (whose packed form sums in another order: a code in
less than 1 % of samples), gray stays R = G = B, and what is flat has a range of 0 and stays.

Alpha is enlarged as gray is, so its edges are sharpened as those of the colors above it.

[1] Gonzalez, Woods, Digital Image Processing, 4th ed., section 3.6.
[2] https://gpuopen.com/fidelityfx-cas/
"""

from __future__ import annotations

import numpy as np

from sr_core.color import ycc_from_rgb
from sr_core.graph.onnx_builder import OnnxBuilder

GAIN = 1.5  # of the difference at `sharpen` 1: ringing behind restore-x4 goes from 0.58 to 1.24 codes
SLACK = 0.1  # of the neighbourhood's range; 0 costs 0.1 dB more for the same steepness of edges
_LUMA = ycc_from_rgb("bt709")[0]  # of RGB files, whose primaries are sRGB's


def sharpen_planes(
    build: OnnxBuilder, planes: dict[str, str], *, amount: float, scale: int, border: int
) -> dict[str, str]:
    """`planes` (name → tensor in codes, before rounding) with luma sharpened by `amount`, 0 to 1.

    Args:
        border: pixels that will be cut off on every side; with enough of them no border rule is needed.
    """
    if "rgb" in planes:
        luma = build.conv("out", planes["rgb"], _LUMA.reshape(1, 3, 1, 1))
    elif "r" in planes:
        weighted = [
            build.op("out", "Mul", planes[name], build.constant(weight))
            for name, weight in zip("rgb", _LUMA, strict=True)
        ]
        luma = build.op("out", "Add", build.op("out", "Add", weighted[0], weighted[1]), weighted[2])
    else:
        name = "y" if "y" in planes else "gray"
        return planes | {name: _sharpen(build, planes[name], amount, scale, border)}
    change = build.op("out", "Sub", _sharpen(build, luma, amount, scale, border), luma)
    return {name: build.op("out", "Add", value, change) for name, value in planes.items()}


def _sharpen(build: OnnxBuilder, luma: str, amount: float, scale: int, border: int) -> str:
    """`luma` [1, 1, H, W]; homogeneous, so the unit does not matter."""
    step = max(1, round(scale / 2))
    gain, pads = GAIN * amount, [step] * 4
    cross = np.array([[0.0, -gain / 4, 0.0], [-gain / 4, 1 + gain, -gain / 4], [0.0, -gain / 4, 0.0]])
    source = luma
    if border < step:
        source, pads = build.pad_edge("out", luma, top=step, left=step, bottom=step, right=step), [0] * 4
    crisp = build.conv("out", source, cross[None, None], dilations=[step, step], pads=pads)
    side = max(1, step // 2)
    highest = _highest(build, luma, side)
    lowest = build.op("out", "Neg", _highest(build, build.op("out", "Neg", luma), side))
    slack = build.op("out", "Mul", build.op("out", "Sub", highest, lowest), build.constant(SLACK))
    limited = build.op("out", "Min", crisp, build.op("out", "Add", highest, slack))
    return build.op("out", "Max", limited, build.op("out", "Sub", lowest, slack))


def _highest(build: OnnxBuilder, value: str, side: int) -> str:
    """Of the square around each pixel; rows and columns apart take a fifth less time."""
    for pads in ([0, side, 0, side], [side, 0, side, 0]):
        kernel = [2 * pad + 1 for pad in pads[:2]]
        value = build.op("out", "MaxPool", value, kernel_shape=kernel, pads=pads)
    return value
