"""Other people's torch networks as ONNX, in the first of three ways that computes what torch computes.

    traced        the tracing exporter, any size: takes most networks, and shows at once where it froze a size
    traced fixed  the same at one size, which every tile then has; where sizes are frozen
    exported      torch.export: slow, and stops at most of these networks, but knows operators the others do not

Our own networks only ever take the last way (`export`). Some networks crash the interpreter in one of them;
`importing` then starts again behind it.
"""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from sr_core.difference import difference
from sr_core.errors import BadModel
from sr_core.graph.reach import reach
from sr_core.graph.shuffles import with_plain_shuffles
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec, with_spec
from sr_zoo.importing import WAYS
from sr_zoo.onnx_run import open_other_runner, open_runner, probe_noise, refuse_not_finite
from sr_zoo.reasons import reason_of, reflects_too_far
from sr_zoo.torch_ops import stable_sorts, written_out
from sr_zoo.torch_sizes import COMPARED_SIDE, sizes_to_compare, with_tried_multiple

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17  # the first with LayerNormalization, which the tracing exporter writes
FIXED_SIDE = 128  # of tiles where sizes are frozen: less overlap than 64, and memory that every machine has
COMPARED_SIDES = (
    COMPARED_SIDE,
    72,
    136,
)  # of the smallest picture, the next where a graph's borders want more than the last
SAME_DB = 70.0  # against torch; 110 to 160 measured


def export(network: nn.Module, spec: ModelSpec, *, first: str = WAYS[0]) -> "ModelProto":
    """`network` as a model of ours; says on stderr which way it tries.

    Args:
        first: the ways before it are left out: they have crashed.

    Raises:
        BadModel: none of them computes what torch computes; with the reason of the first.
    """
    network = network.eval().cpu().requires_grad_(False)
    torch.manual_seed(0)  # a network that draws random numbers draws the same in both
    spec = with_tried_multiple(network, spec)
    reasons: list[str] = []
    for way in WAYS[WAYS.index(first) :]:
        print(f"way: {way}", file=sys.stderr, flush=True)
        facts = _fix_size(spec) if way == "traced fixed" else spec
        try:
            model = _write(network, facts, way)
            facts = _raise_smallest(network, model, facts)
        except BadModel:
            if not reasons:
                raise
            break  # torch.export's pages of advice to its own users: the first way's reason is shorter
        except Exception as error:  # torch's exporters raise many kinds of their own
            reasons.append(reason_of(error))
            continue
        return _finish(model, facts)
    raise BadModel(
        f"{spec.training.removeprefix('imported: ')} cannot be brought to ONNX: {reasons[0]}",
        hint="export the model to ONNX with its own code, and give that file",
    )


def _fix_size(spec: ModelSpec) -> ModelSpec:
    side = -(-max(FIXED_SIDE, spec.smallest) // spec.size_multiple) * spec.size_multiple
    return replace(spec, fixed_size=spec.fixed_size or (side, side), size_multiple=1, smallest=1)


def _write(network: nn.Module, spec: ModelSpec, way: str) -> "ModelProto":
    if way == "exported":
        from sr_zoo.export import trace_by_dynamo

        return trace_by_dynamo(network, spec)
    import onnx

    height, width = sizes_to_compare(spec)[0]
    step = 0 if spec.fixed_size else spec.size_multiple
    example = torch.from_numpy(probe_noise((1, spec.channels, height + step, width + step)))
    axes = {2: "H", 3: "W"}
    dynamic = None if spec.fixed_size else {INPUT_NAME: axes, OUTPUT_NAME: {2: "sH", 3: "sW"}}
    buffer: Any = io.BytesIO()  # the tracing exporter takes it, though its types do not say so
    with _quiet(), written_out(), torch.no_grad():
        torch.onnx.export(
            network, (example,), buffer, dynamo=False, opset_version=OPSET, input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME], dynamic_axes=dynamic,
        )  # fmt: skip
    return with_plain_shuffles(onnx.load_model_from_string(buffer.getvalue()), width=width, height=height)


def _raise_smallest(network: nn.Module, model: "ModelProto", spec: ModelSpec) -> ModelSpec:
    """`spec`, its `smallest` raised where the graph reflects further than a small picture reaches.

    Torch's own code often takes another border there (GRL repeats zeros below 33 pixels), which no graph can.

    Raises:
        BadModel, RuntimeError: as `_compare`.
    """
    failure: RuntimeError | None = None
    for side in COMPARED_SIDES[:1] if spec.fixed_size else COMPARED_SIDES:
        larger = replace(spec, smallest=max(spec.smallest, side)) if failure else spec
        try:
            _compare(network, model, larger)
            return larger
        except RuntimeError as error:
            if not reflects_too_far(error):
                raise
            failure = error
    assert failure is not None
    raise failure


def _compare(network: nn.Module, model: "ModelProto", spec: ModelSpec) -> None:
    """Raise unless the graph computes what torch computes, at every size of `sizes_to_compare`.

    Raises:
        BadModel: torch itself gives NaN.
        RuntimeError: the graph does not run, or differs.
    """
    run = open_runner(model)
    for height, width in sizes_to_compare(spec):
        probe = probe_noise((1, spec.channels, height, width))
        with torch.no_grad(), stable_sorts():
            expected = network(torch.from_numpy(probe.copy())).numpy()  # some networks scale their input in place
        refuse_not_finite(expected, spec.name)
        try:
            actual = run(probe)
        except RuntimeError:
            run = open_other_runner(model)
            actual = run(probe)
        if actual.shape != expected.shape:
            raise RuntimeError(f"the exported graph gives {actual.shape[2:]} for {height}x{width}")
        psnr_db = difference(actual, expected, peak=max(1.0, float(np.abs(expected).max()))).psnr_db
        if psnr_db < SAME_DB:
            raise RuntimeError(f"the exported graph is only {psnr_db:.0f} dB from what torch computes")


def _finish(model: "ModelProto", spec: ModelSpec) -> "ModelProto":
    """With its halo and its grid."""
    width, height = spec.fixed_size or sizes_to_compare(spec)[0][::-1]
    halo, grid = reach(model, scale=spec.scale, align=spec.size_multiple, width=width, height=height)
    step = spec.size_multiple if spec.fixed_size else grid
    del model.graph.value_info[:]
    if spec.fixed_size:
        for dim, size in zip(
            model.graph.input[0].type.tensor_type.shape.dim, (1, spec.channels, height, width), strict=True
        ):
            dim.dim_value = size
    return with_spec(model, replace(spec, halo_px=halo, size_multiple=step))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters print graphs and warn of themselves; nobody who imports a file can act on it."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
