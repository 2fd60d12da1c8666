"""One ONNX graph from raw planes to raw planes: colour edges around a network.

    planes ─ cast ─ chroma up × matrix ─► RGB ─ network ─► RGB ─ matrix × chroma down ─ clip, round ─► planes
    planes ─ cast ─────────────────────► luma ─ network ─► luma ────────────────────── clip, round ─► planes
                    chroma ────────────── bicubic, in its own siting ─────────────────┘   (luma-only networks)

The edges are written by `color_edges`. Where the network ends in a sub-pixel convolution, `packed()`
of the composed graph gives the same function with the exit folded into that convolution (`packed_exit`).
"""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
from onnx import ModelProto, helper

from sr_core.backend import ComposedGraph
from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import PixelFormat
from sr_core.graph.color_edges import ColorEdges
from sr_core.graph.network import prepare_network, sensitive_nodes
from sr_core.graph.onnx_builder import ONNX_TYPE, OnnxBuilder
from sr_core.graph.packed_exit import PackedExit, can_pack
from sr_core.graph.quantized import has_quantizers, store_weight_codes
from sr_core.graph.receptive_field import receptive_radius
from sr_core.graph.sharpen import sharpen_planes
from sr_core.graph.static_shapes import at_size
from sr_core.graph.sub_pixel import cut_tail
from sr_core.model_spec import ModelSpec
from sr_core.packing import PackedGraph


def compose(
    model: ModelProto,
    spec: ModelSpec,
    fmt: PixelFormat,
    color: ColorSpec,
    *,
    width: int,
    height: int,
    is_int8: bool = False,
) -> ComposedGraph:
    """Build the graph that takes planes of `fmt` and returns planes of `fmt`, `spec.scale` times as large.

    Args:
        model: the network, per `model_spec`'s contract.
        fmt, color: layout and meaning of the planes, the same on both sides.
        width, height: luma size of the input, multiples of `alignment(spec, fmt)`.
        is_int8: with the file's quantizers, which are taken out otherwise.

    Raises:
        BadModel: the file breaks the contract.
        BadInput: the size is not aligned.
    """
    align = alignment(spec, fmt)
    if width % align or height % align:
        raise BadInput(f"a graph for {fmt} needs sizes divisible by {align}, got {width}x{height}")
    network, opset = prepare_network(model, spec, is_int8=is_int8)
    network = _settle(network, spec, width=width, height=height)
    edges = _entrance(spec, fmt, color, width=width, height=height)
    build = edges.build
    produced = edges.through_luma(network) if spec.color_space == "y" else edges.through_rgb(network)
    if spec.sharpen:
        border = spec.border_px * spec.scale
        produced = sharpen_planes(edges.build, produced, amount=spec.sharpen, scale=spec.scale, border=border)
    shapes = fmt.plane_shapes(width * spec.scale, height * spec.scale)
    for (name, value), shape in zip(produced.items(), shapes, strict=True):
        edges.emit(value, name)
        build.outputs.append(helper.make_tensor_value_info(f"{name}_out", ONNX_TYPE[fmt.dtype], _tensor_shape(shape)))
    composed = build.model(f"{spec.name} {fmt}", opset)
    if is_int8:
        store_weight_codes(composed)
    keep = {node.name for node in build.nodes if not node.name.startswith("net/")}
    return ComposedGraph(
        model=composed,
        keep_fp32=frozenset(keep | sensitive_nodes(composed)),
        scale=spec.scale,
        width=width,
        height=height,
        depth=fmt.depth,
        packed=partial(_pack, model, spec, fmt, color, width=width, height=height, is_int8=is_int8),
        square=partial(_square, model, spec, fmt, color),
        network_digest=partial(_digest, model),
        has_int8=_has_int8(model, fmt),
        int8=partial(_int8, model, spec, fmt, color, width=width, height=height),
        int8_loss_db=max(spec.int8_loss.values(), default=None) if has_quantizers(model) else None,
    )


def _settle(network: ModelProto, spec: ModelSpec, *, width: int, height: int) -> ModelProto:
    """`network`; its shapes worked out where tiles are exact by them, or an `If` asks for them."""
    width, height = _add_border(spec, width, height)
    has_branches = any(node.op_type == "If" for node in network.graph.node)
    return at_size(network, width=width, height=height) if spec.halo_px is not None or has_branches else network


def _int8(
    model: ModelProto, spec: ModelSpec, fmt: PixelFormat, color: ColorSpec, *, width: int, height: int
) -> ComposedGraph | None:
    """See `ComposedGraph.int8`."""
    if not _has_int8(model, fmt):
        return None
    return compose(model, spec, fmt, color, width=width, height=height, is_int8=True)


def _has_int8(model: ModelProto, fmt: PixelFormat) -> bool:
    """See `ComposedGraph.has_int8`."""
    return not fmt.is_float and fmt.depth == 8 and has_quantizers(model)


def _square(model: ModelProto, spec: ModelSpec, fmt: PixelFormat, color: ColorSpec, side: int) -> ComposedGraph:
    """See `ComposedGraph.square`."""
    align = alignment(spec, fmt)
    side = -(-max(side, spec.smallest) // align) * align
    width, height = spec.fixed_size or (side, side)
    return compose(model, spec, fmt, color, width=width, height=height)


def _digest(model: ModelProto) -> str:
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _pack(
    model: ModelProto,
    spec: ModelSpec,
    fmt: PixelFormat,
    color: ColorSpec,
    *,
    width: int,
    height: int,
    is_int8: bool,
) -> PackedGraph | None:
    """See `ComposedGraph.packed`."""
    if spec.sharpen:
        return None  # luma is sharpened as a plane
    network, opset = prepare_network(model, spec, is_int8=is_int8)
    network = _settle(network, spec, width=width, height=height)
    edges = _entrance(spec, fmt, color, width=width, height=height)
    if spec.color_space == "y" and fmt.family == "rgb":
        return None
    source = edges.luma_in() if spec.color_space == "y" else edges.rgb_in()
    tail = cut_tail(edges.build, edges.build.inline(network, source, "net/"))
    if tail is None or not can_pack(fmt, tail, channels=spec.channels, width=width, height=height):
        return None
    packed = PackedExit(edges, tail, width=width, height=height)
    if spec.color_space == "y":
        packed.through_luma()
    else:
        packed.through_rgb()
    composed = edges.build.model(f"{spec.name} {fmt} packed", opset)
    if is_int8:
        store_weight_codes(composed)
    return PackedGraph(model=composed, pieces=tuple(packed.pieces), shapes=tuple(packed.shapes))


def _add_border(spec: ModelSpec, width: int, height: int) -> tuple[int, int]:
    """What the network gets of a tile: see Note [border] in `color_edges`."""
    return width + 2 * spec.border_px, height + 2 * spec.border_px


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
