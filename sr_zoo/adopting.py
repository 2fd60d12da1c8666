"""A foreign network made one of ours: the same function between our own ends, its facts found and written in.

    lr ─ margin ─ alpha, range, type, layout ─ the file's graph, prefixed, in FP32 ─ and back ─ sr

The graph itself is copied in under a prefix, so no name of it can clash with ours, and what lies inside
`If` and `Loop` is renamed with it. A graph of one fixed size is freed from it where its receptive field
proves that every operator is local: then any size computes the same. At the end one tile runs through
both, the file as it was and ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper, version_converter

from sr_core.difference import difference
from sr_core.errors import BadModel
from sr_core.graph.network import OLDEST_OPSET
from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.graph.reach import reach
from sr_core.graph.receptive_field import receptive_radius
from sr_core.graph.shuffles import with_plain_shuffles
from sr_core.graph.static_shapes import at_size
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec, with_spec
from sr_zoo.ends import Ends, ends_of, real_inputs
from sr_zoo.float32 import to_float32, uses_half
from sr_zoo.lowering import lower
from sr_zoo.onnx_run import Runner, open_other_runner, open_runner, probe_noise
from sr_zoo.probing import Geometry, probe
from sr_zoo.reasons import reason_of, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

SAME_DB = 70.0  # two runtimes in FP32: the order of sums; 90 to 130 measured
SAME_HALF_DB = 38.0  # what FP16 arithmetic in the file's own runtime may cost


def adopt(model: ModelProto, name: str, *, reference: Runner | None = None, training: str) -> ModelProto:
    """`model` by our contract, with its ModelSpec inside.

    Args:
        name: what it will be called, and what errors call it.
        reference: runs the file as it was, where that is not ONNX.

    Raises:
        BadModel: it is no image enlarger, or no runtime here runs it, or not as the file itself does.
    """
    ends = ends_of(model, name)
    plain = _plain(model, name)
    wide = replace(ends, kind=_wide(ends.kind), out_kind=_wide(ends.out_kind))
    run = _runner(plain, name)
    freed = _free_size(plain, wide) if ends.fixed_size else None
    geometry = probe(run, wide, name)
    if freed is not None:
        loose = replace(wide, fixed_size=None)
        if (found := _geometry_of_freed(freed, loose, name)) is not None and found.scale == geometry.scale:
            plain, wide, geometry = freed, loose, found
    made = _between_our_ends(plain, wide, geometry, name, training=training)
    reference = reference or _reference(model)
    if reference is not None:
        _compare(made, ends, geometry, reference, name, is_half=uses_half(model))
    return made


def _plain(model: ModelProto, name: str) -> ModelProto:
    """FP32, without functions, an opset that our ends can share, weights that are no inputs."""
    plain = ModelProto()
    plain.CopyFrom(to_float32(model) if uses_half(model) else model)
    if plain.functions:
        import onnx.inliner

        plain = onnx.inliner.inline_local_functions(plain)
    plain = lower(plain)
    inputs = real_inputs(plain)
    del plain.graph.input[:]
    plain.graph.input.extend(inputs)
    plain.ir_version = max(plain.ir_version, 8)  # in 3, weights have to be inputs
    opset = next((entry.version for entry in plain.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        try:
            plain = version_converter.convert_version(plain, OLDEST_OPSET)
        except Exception as error:  # its C++ part raises kinds of its own
            raise BadModel(
                f"{name} is written in opset {opset}, and cannot be brought to {OLDEST_OPSET}: {reason_of(error)}",
                hint=f"export it with opset {OLDEST_OPSET} or newer",
            ) from error
    return plain


def _wide(kind: int) -> int:
    halves = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    return int(TensorProto.FLOAT) if kind in halves else kind


def _runner(plain: ModelProto, name: str) -> Runner:
    """OpenVINO, or ONNX Runtime where only that runs it."""
    try:
        return open_runner(plain)
    except RuntimeError as failure:
        try:
            return open_other_runner(plain)
        except RuntimeError:
            raise unreadable(name, failure) from failure


def _free_size(plain: ModelProto, ends: Ends) -> ModelProto | None:
    """The graph without its fixed size, if all of it is local; None otherwise."""
    freed = ModelProto()
    fixed_width, fixed_height = ends.fixed_size or (64, 64)
    is_ours = ends.layout == "NCHW"
    freed.CopyFrom(with_plain_shuffles(plain, width=fixed_width, height=fixed_height) if is_ours else plain)
    axes = {"NCHW": (2, 3), "NHWC": (1, 2), "CHW": (1, 2)}[ends.layout]
    for value in (*freed.graph.input, *freed.graph.output):
        dims = value.type.tensor_type.shape.dim
        for axis, letter in zip(axes, "hw", strict=True):
            if len(dims) > axis:
                dims[axis].Clear()
                dims[axis].dim_param = f"{value.name}_{letter}"
    del freed.graph.value_info[:]
    width, height = 2 * fixed_width, 2 * fixed_height
    return freed if receptive_radius(at_size(freed, width=width, height=height), scale=1) is not None else None


def _geometry_of_freed(freed: ModelProto, ends: Ends, name: str) -> Geometry | None:
    try:
        return probe(open_runner(freed), ends, name)
    except (RuntimeError, BadModel):
        return None


def _between_our_ends(plain: ModelProto, ends: Ends, geometry: Geometry, name: str, *, training: str) -> ModelProto:
    build, channels = OnnxBuilder(), ends.seen_channels
    margin = geometry.margin
    source = build.pad_edge("ends", INPUT_NAME, top=margin, left=margin, bottom=margin, right=margin)
    source = ends.write_entrance(build, source)
    value = ends.write_exit(build, build.inline(plain, source, "m/"))
    build.op("ends", "Identity", value, output=OUTPUT_NAME)
    width, height = ends.fixed_size or ("W", "H")
    build.inputs.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["N", channels, height, width]))
    build.outputs.append(helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["N", channels, "sH", "sW"]))
    opset = next(entry.version for entry in plain.opset_import if entry.domain in ("", "ai.onnx"))
    tile_width, tile_height = ends.fixed_size or _tile_size(geometry)
    made = with_plain_shuffles(build.model(name, opset), width=tile_width, height=tile_height)
    made.ir_version = max(made.ir_version, plain.ir_version)
    halo, grid = reach(made, scale=geometry.scale, align=geometry.multiple, width=tile_width, height=tile_height)
    spec = ModelSpec(
        name=name,
        scale=geometry.scale,
        color_space="rgb" if channels == 3 else "y",
        halo_px=halo,
        size_multiple=grid if ends.fixed_size is None else 1,
        smallest=max(1, geometry.smallest - 2 * margin),
        fixed_size=ends.fixed_size,
        training=training,
    )
    return with_spec(made, spec)


def _reference(model: ModelProto) -> Runner | None:
    """The file as it is, in another runtime than ours if there is one; None where only one runs it."""
    openers: tuple[Callable[[ModelProto], Runner], ...] = (open_other_runner, open_runner)
    for opener in openers:
        try:
            return opener(model)
        except RuntimeError:
            continue
    return None


def _compare(made: ModelProto, ends: Ends, geometry: Geometry, reference: Runner, name: str, *, is_half: bool) -> None:
    """Run one tile through both."""
    width, height = ends.fixed_size or _tile_size(geometry)
    batch = probe_noise((1, ends.seen_channels, height, width))
    margin = geometry.margin
    padded = np.pad(batch, ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="edge")
    try:
        expected = ends.picture(reference(ends.feed(padded)))
    except RuntimeError:
        return  # the file's own runtime does not run it at this size; ours did
    actual = _runner(made, name)(batch)
    if expected is None or expected.shape != actual.shape:
        raise BadModel(f"{name} gives another size here than in its own runtime")
    psnr_db = difference(actual, expected, peak=max(1.0, float(np.abs(expected).max()))).psnr_db
    if psnr_db < (SAME_HALF_DB if is_half else SAME_DB):
        raise BadModel(
            f"{name} computes something else here than in its own runtime ({psnr_db:.0f} dB)",
            hint="please report it, with the file",
        )


def _tile_size(geometry: Geometry) -> tuple[int, int]:
    """(width, height) about 32, not square."""
    step = geometry.multiple
    side = -(-max(32, geometry.smallest, 2 * geometry.margin) // step) * step
    return side + step, side
