"""One ONNX graph from raw planes to raw planes: colour edges around a network.

    planes ─ cast ─ chroma up × matrix ─► RGB ─ network ─► RGB ─ matrix × chroma down ─ clip, round ─► planes
    planes ─ cast ─────────────────────► luma ─ network ─► luma ────────────────────── clip, round ─► planes
                    chroma ────────────── bicubic, in its own siting ─────────────────┘   (luma-only networks)

The edges are written by `color_edges`. Where the network ends in a sub-pixel convolution, `packed()`
of the composed graph gives the same function with the exit folded into that convolution (`packed_exit`).
"""

from __future__ import annotations

from functools import partial

import numpy as np
from onnx import ModelProto, helper

from sr_core.backend import ComposedGraph
from sr_core.color import ColorSpec
from sr_core.color_edges import ColorEdges
from sr_core.errors import BadInput
from sr_core.frame import PixelFormat
from sr_core.model_spec import ModelSpec
from sr_core.network import prepared_network, sensitive_nodes
from sr_core.onnx_builder import ONNX_TYPE, OnnxBuilder
from sr_core.packed_exit import PackedExit, can_pack
from sr_core.packing import PackedGraph
from sr_core.receptive_field import receptive_radius
from sr_core.sub_pixel import cut_tail


def compose(
    model: ModelProto, spec: ModelSpec, fmt: PixelFormat, color: ColorSpec, *, width: int, height: int
) -> ComposedGraph:
    """Build the graph that takes planes of `fmt` and returns planes of `fmt`, `spec.scale` times as large.

    Args:
        model: the network, per `model_spec`'s contract.
        fmt, color: layout and meaning of the planes, the same on both sides.
        width, height: luma size of the input, multiples of `alignment(spec, fmt)`.

    Raises:
        BadModel: the file breaks the contract.
        BadInput: the size is not aligned.
    """
    align = alignment(spec, fmt)
    if width % align or height % align:
        raise BadInput(f"a graph for {fmt} needs sizes divisible by {align}, got {width}x{height}")
    network, opset = prepared_network(model, spec)
    edges = _entrance(spec, fmt, color, width=width, height=height)
    build = edges.build
    produced = edges.through_luma(network) if spec.colour == "y" else edges.through_rgb(network)
    shapes = fmt.plane_shapes(width * spec.scale, height * spec.scale)
    for (name, value), shape in zip(produced.items(), shapes, strict=True):
        edges.emit(value, name)
        build.outputs.append(helper.make_tensor_value_info(f"{name}_out", ONNX_TYPE[fmt.dtype], _tensor_shape(shape)))
    composed = build.model(f"{spec.name} {fmt}", opset)
    keep = {node.name for node in build.nodes if not node.name.startswith("net/")}
    return ComposedGraph(
        model=composed,
        keep_fp32=frozenset(keep | sensitive_nodes(composed)),
        scale=spec.scale,
        width=width,
        height=height,
        depth=fmt.depth,
        packed=partial(_packed, model, spec, fmt, color, width=width, height=height),
    )


def _packed(
    model: ModelProto, spec: ModelSpec, fmt: PixelFormat, color: ColorSpec, *, width: int, height: int
) -> PackedGraph | None:
    """See `ComposedGraph.packed`."""
    network, opset = prepared_network(model, spec)
    edges = _entrance(spec, fmt, color, width=width, height=height)
    if spec.colour == "y" and fmt.family == "rgb":
        return None
    source = edges.luma_in() if spec.colour == "y" else edges.rgb_in()
    tail = cut_tail(edges.build, edges.build.inline(network, source, "net/"))
    if tail is None or not can_pack(fmt, tail, channels=spec.channels, width=width, height=height):
        return None
    packed = PackedExit(edges, tail, width=width, height=height)
    if spec.colour == "y":
        packed.through_luma()
    else:
        packed.through_rgb()
    composed = edges.build.model(f"{spec.name} {fmt} packed", opset)
    return PackedGraph(model=composed, pieces=tuple(packed.pieces), shapes=tuple(packed.shapes))


def _entrance(spec: ModelSpec, fmt: PixelFormat, color: ColorSpec, *, width: int, height: int) -> ColorEdges:
    """A new graph that has its inputs."""
    build = OnnxBuilder()
    for name, shape in zip(fmt.plane_names, fmt.plane_shapes(width, height), strict=True):
        build.inputs.append(helper.make_tensor_value_info(name, ONNX_TYPE[fmt.dtype], _tensor_shape(shape)))
    return ColorEdges(build, fmt, color, spec)


def alignment(spec: ModelSpec, fmt: PixelFormat) -> int:
    """Every tile boundary is a multiple of this many luma pixels."""
    return int(np.lcm(spec.size_multiple, max(fmt.subsampling)))


def halo_of(graph: ComposedGraph, fmt: PixelFormat, align: int) -> int | None:
    """Luma pixels of context that `graph` needs on each side, colour filters included."""
    pitch: dict[str, tuple[int, int]] = {}
    for name in fmt.plane_names:
        across, down = fmt.plane_divisor(name)
        pitch[name] = pitch[f"{name}_out"] = (down, across)
    return receptive_radius(graph.model, scale=graph.scale, align=align, pitch=pitch)


def _tensor_shape(plane_shape: tuple[int, ...]) -> list[int]:
    return [1, *plane_shape] if len(plane_shape) == 3 else [1, 1, *plane_shape]
