"""Several networks after each other, as one: `--model clean.pth,clear`.

    lr ─ network 1 ─ clip 0..1 ─ network 2 ─ clip 0..1 ─ … ─ sr

Their scales multiply and their halos add up, each measured in the pixels of the first input, so tiles stay
exact. Between them a picture is limited to 0..1, as it would be in a file between two programs, but not
rounded. A luma-only network among RGB ones enlarges luma, and bicubic the rest, as it does alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd, lcm

from onnx import ModelProto, TensorProto, helper, version_converter

from sr_core.color import FULL_RANGE_RGB
from sr_core.errors import BadInput
from sr_core.frame import PixelFormat
from sr_core.graph.color_edges import ColorEdges
from sr_core.graph.network import prepare_network
from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.graph.reach import reach
from sr_core.model_spec import (
    BORDER_STEP,
    INPUT_NAME,
    LARGEST_BORDER,
    LARGEST_SCALE,
    OUTPUT_NAME,
    ColorSpace,
    ModelSpec,
    with_spec,
)
from sr_core.wording import option

FLOAT_RGB = PixelFormat(family="rgb", depth=32, layout="packed", is_float=True)
HALO_SIDE = 96  # input pixels of the graph that the halo is read from
Stage = tuple[ModelProto, ModelSpec]


def chain(stages: Sequence[Stage]) -> Stage:
    """One network that computes `stages` one after the other, and its facts.

    Raises:
        BadInput: together they enlarge too much, only take sizes that do not fit each other, or one that is not the
            last is to be sharpened (`ModelSpec.sharpen`).
        BadModel: one of them breaks the contract.
    """
    if len(stages) == 1:
        return stages[0]
    specs = [spec for _, spec in stages]
    name = "+".join(spec.name for spec in specs)
    for spec in specs[:-1]:
        if spec.sharpen:
            raise BadInput(
                f"{spec.name} is sharpened, and of a chain only the last network can be",
                hint=f"take it as it was made, and {option('sharpen')} for the whole",
            )
    scale = 1
    for spec in specs:
        scale *= spec.scale
    if scale > LARGEST_SCALE:
        raise BadInput(f"{name} would enlarge {scale} times, at most {LARGEST_SCALE} go", hint="leave a network out")
    color_space: ColorSpace = "y" if all(spec.color_space == "y" for spec in specs) else "rgb"
    multiple, smallest, fixed = _sizes(specs, name)
    border = 0 if fixed else _border(specs, multiple)
    facts = ModelSpec(
        name=name,
        scale=scale,
        color_space=color_space,
        size_multiple=multiple,
        smallest=smallest,
        fixed_size=fixed,
        border_px=border,
        keeps_gray=all(spec.keeps_gray for spec in specs),
        sharpen=specs[-1].sharpen,
        purpose=", then ".join(spec.purpose or spec.name for spec in specs),
        licence="; ".join(dict.fromkeys(spec.licence for spec in specs if spec.licence)),
        training="; then ".join(f"{spec.name}: {spec.training}" for spec in specs),
        attributions=tuple(dict.fromkeys(credit for spec in specs for credit in spec.attributions)),
    )
    model = _join(stages, facts)
    side = -(-max(HALO_SIDE, smallest) // multiple) * multiple
    width, height = fixed or (side, side)
    halo, _ = reach(model, scale=scale, align=multiple, width=width, height=height)
    facts = replace(facts, halo_px=halo)
    return with_spec(model, facts), facts


def _join(stages: Sequence[Stage], facts: ModelSpec) -> ModelProto:
    networks = [prepare_network(model, spec) for model, spec in stages]
    opset = max(version for _, version in networks)
    build = OnnxBuilder()
    value = INPUT_NAME
    for index, ((network, version), (_, spec)) in enumerate(zip(networks, stages, strict=True)):
        if version < opset:
            network = version_converter.convert_version(network, opset)
        if index:
            value = build.op("chain", "Clip", value, build.constant(0.0), build.constant(1.0))
        if spec.color_space == "y" and facts.color_space == "rgb":
            value = ColorEdges(build, FLOAT_RGB, FULL_RANGE_RGB, spec).enlarge_luma_of(value, network)
        else:
            value = build.inline(network, value, f"s{index}/")
    build.op("chain", "Identity", value, output=OUTPUT_NAME)
    width, height = facts.fixed_size or ("W", "H")
    shape = ["N", facts.channels, height, width]
    build.inputs.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, shape))
    build.outputs.append(
        helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["N", facts.channels, "sH", "sW"])
    )
    return build.model(facts.name, opset)


def _border(specs: list[ModelSpec], multiple: int) -> int:
    """Input pixels of the first network that continue the picture far enough for each."""
    border, scale = 0, 1
    for spec in specs:
        border = max(border, -(-spec.border_px // scale))
        scale *= spec.scale
    step = lcm(multiple, BORDER_STEP)
    return min(-(-border // step) * step, LARGEST_BORDER // step * step)


def _sizes(specs: Sequence[ModelSpec], name: str) -> tuple[int, int, tuple[int, int] | None]:
    """(multiple, smallest, fixed size) of the first input."""
    multiple, smallest, scale = 1, 1, 1
    fixed: set[tuple[int, int]] = set()
    for spec in specs:
        multiple = lcm(multiple, spec.size_multiple // gcd(spec.size_multiple, scale))
        smallest = max(smallest, -(-spec.smallest // scale))
        if spec.fixed_size is not None:
            width, height = spec.fixed_size
            if width % scale or height % scale:
                raise BadInput(f"{spec.name} only takes {width}x{height}, which is not {scale} times anything")
            fixed.add((width // scale, height // scale))
        scale *= spec.scale
    if len(fixed) > 1:
        sizes = " and ".join(f"{width}x{height}" for width, height in sorted(fixed))
        raise BadInput(
            f"the networks of {name} only take pictures of one size each, and those differ: {sizes}",
            hint="run one after the other, with a file between",
        )
    chosen = next(iter(fixed), None)
    if chosen is not None and (chosen[0] % multiple or chosen[1] % multiple):
        raise BadInput(f"{name} only takes {chosen[0]}x{chosen[1]}, and multiples of {multiple}")
    return multiple, smallest, chosen
