"""Two networks beside each other, as one: what one makes, mixed with what a more faithful one makes.

    lr ─┬─ network ── × strength ─────┐
        └─ faithful ─ × 1 - strength ─┴─ + ─ sr

Where both end in sub-pixel convolutions, the factors are multiplied into those, so the mix costs nothing and its exit
is packed as that of one. The halo is the wider of the two; tiles stay exact. At scale 1 the faithful one is the input.
"""

from __future__ import annotations

from dataclasses import replace
from math import lcm

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, version_converter

from sr_core.color import FULL_RANGE_RGB
from sr_core.errors import BadInput
from sr_core.graph.chain import FLOAT_RGB, HALO_SIDE, Stage
from sr_core.graph.color_edges import ColorEdges
from sr_core.graph.network import prepare_network
from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.graph.reach import reach
from sr_core.model_spec import BORDER_STEP, INPUT_NAME, LARGEST_BORDER, OUTPUT_NAME, ColorSpace, ModelSpec, with_spec
from sr_core.wording import option

_LINEAR = frozenset({"Add", "DepthToSpace", "Identity"})  # what may lie behind the last convolutions


def blend(network: Stage, faithful: Stage | None, strength: float) -> Stage:
    """`strength` parts of `network` and 1 - `strength` of `faithful` (None: of the input), and the facts of that.

    Raises:
        BadInput: they do not enlarge alike, the faithful one does not take the other's sizes, or it is sharpened and
            the other is not: what the other's spec asks for is done to the mix.
        BadModel: one of them breaks the contract.
    """
    parts = [(network, strength), *([(faithful, 1 - strength)] if faithful else [])]
    specs = [spec for (_, spec), _ in parts]
    first = specs[0]
    if any(spec.scale != (first.scale if faithful else 1) for spec in specs):
        raise BadInput(f"{' and '.join(spec.name for spec in specs)} do not enlarge alike")
    if faithful and faithful[1].sharpen not in (0.0, first.sharpen):
        raise BadInput(
            f"{faithful[1].name} is sharpened, and {first.name} not so much: of a mix the whole is",
            hint=f"take it as it was made, and {option('sharpen')} for both",
        )
    fixed = first.fixed_size
    multiple = lcm(*(spec.size_multiple for spec in specs))
    if any(spec.fixed_size != fixed and (spec.fixed_size or multiple != first.size_multiple) for spec in specs):
        raise BadInput(f"{specs[-1].name} does not take the sizes of {first.name}")
    color_space: ColorSpace = "y" if all(spec.color_space == "y" for spec in specs) else "rgb"
    step = lcm(multiple, BORDER_STEP)
    border = 0 if fixed else -(-max(spec.border_px for spec in specs) // step) * step
    border = min(border, LARGEST_BORDER // step * step)
    facts = replace(
        first,
        name=f"{first.name}@{strength:g}",
        color_space=color_space,
        halo_px=None,
        size_multiple=multiple,
        smallest=max(spec.smallest for spec in specs),
        border_px=border,
        keeps_gray=all(spec.keeps_gray for spec in specs),
        licence="; ".join(dict.fromkeys(spec.licence for spec in specs if spec.licence)),
        training="; beside ".join(f"{spec.name}: {spec.training}" for spec in specs),
        psnr_y={},
        int8_loss={},
        attributions=tuple(dict.fromkeys(credit for spec in specs for credit in spec.attributions)),
    )
    model = _mix([(stage, weight) for stage, weight in parts], facts, rest=0.0 if faithful else 1 - strength)
    side = -(-max(HALO_SIDE, facts.smallest) // multiple) * multiple
    width, height = fixed or (side, side)
    halo, _ = reach(model, scale=facts.scale, align=multiple, width=width, height=height)
    facts = replace(facts, halo_px=halo)
    return with_spec(model, facts), facts


def _mix(parts: list[tuple[Stage, float]], facts: ModelSpec, *, rest: float) -> ModelProto:
    prepared = [prepare_network(model, spec) for (model, spec), _ in parts]
    opset = max(version for _, version in prepared)
    build, total = OnnxBuilder(), ""
    for index, ((network, version), ((_, spec), weight)) in enumerate(zip(prepared, parts, strict=True)):
        if version < opset:
            network = version_converter.convert_version(network, opset)
        if spec.color_space == "y" and facts.color_space == "rgb":
            made = ColorEdges(build, FLOAT_RGB, FULL_RANGE_RGB, spec).enlarge_luma_of(INPUT_NAME, network)
            made = build.op("blend", "Mul", made, build.constant(weight))
        else:
            is_scaled = _scale_in_place(network, weight)
            made = build.inline(network, INPUT_NAME, f"s{index}/")
            made = made if is_scaled else build.op("blend", "Mul", made, build.constant(weight))
        total = build.op("blend", "Add", total, made) if total else made
    if rest:
        total = build.op("blend", "Add", total, build.op("blend", "Mul", INPUT_NAME, build.constant(rest)))
    build.op("blend", "Identity", total, output=OUTPUT_NAME)
    width, height = facts.fixed_size or ("W", "H")
    kind = TensorProto.FLOAT
    build.inputs.append(helper.make_tensor_value_info(INPUT_NAME, kind, ["N", facts.channels, height, width]))
    build.outputs.append(helper.make_tensor_value_info(OUTPUT_NAME, kind, ["N", facts.channels, "sH", "sW"]))
    return build.model(facts.name, opset)


def _scale_in_place(network: ModelProto, weight: float) -> bool:
    """Multiply the last convolutions by `weight`, if the output is nothing but their shuffled sum."""
    made = {name: node for node in network.graph.node for name in node.output}
    held = {tensor.name: tensor for tensor in network.graph.initializer}
    users = [name for node in network.graph.node for name in node.input]
    convolutions: list[NodeProto] = []
    queue = [OUTPUT_NAME]
    while queue:
        name = queue.pop()
        node = made.get(name)
        if node is None or (name != OUTPUT_NAME and users.count(name) != 1):
            return False
        if node.op_type in _LINEAR:
            queue += node.input
        elif node.op_type == "Conv" and all(entry in held for entry in node.input[1:] if entry):
            convolutions.append(node)
        else:
            return False
    for number, node in enumerate(convolutions):
        for position, name in enumerate(node.input[1:], 1):
            if name:  # of its own, where a tensor is shared
                fresh = numpy_helper.from_array(numpy_helper.to_array(held[name]) * weight, f"{name}_blend{number}")
                network.graph.initializer.append(fresh)
                node.input[position] = fresh.name
    return True
