"""From a torch network to the one file the engine reads: ONNX with its ModelSpec inside.

network ─ torch.onnx ─ names (`base/...` for the interpolated base) ─ halo walked ─ spec ─ bytes
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sr_core.errors import BadModel
from sr_core.graph.receptive_field import receptive_radius
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec, with_spec
from sr_core.storage import write_atomically
from sr_zoo.archs.restore import Restore
from sr_zoo.onnx_run import open_runner, probe_noise, refuse_not_finite

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
IR_VERSION = 10  # what runtimes of 2024 still read
BASE_MODULES = ("base", "coherent", "enlarge", "resample")  # attribute names of what makes pictures, not features
PROBE_SIDE = 24  # input pixels; also not the size the graph is traced at, so a frozen shape shows
EXPORT_TOLERANCE = 2e-4  # of a value in [0, 1]: f32 summation order in the deepest network, see tests


def onnx_from_network(network: nn.Module, spec: ModelSpec) -> "ModelProto":
    """Export `network` (put into eval mode) with dynamic N, H and W; the halo is computed and replaces
    spec's.

    Raises:
        BadModel: torch cannot export it, or the export does not compute what torch computes.
    """
    network = network.eval().cpu()
    model = trace_by_dynamo(network.folded() if isinstance(network, Restore) else network, spec)
    _name_base_nodes(model)
    model.ir_version = IR_VERSION
    spec = replace(spec, halo_px=receptive_radius(model, scale=spec.scale, align=spec.size_multiple))
    with_spec(model, spec)
    worst = export_difference(network, model, spec)
    if not worst <= EXPORT_TOLERANCE:
        raise BadModel(
            f"{spec.name}: the ONNX export differs from torch by {worst:.2e}, allowed {EXPORT_TOLERANCE:.0e}",
            hint="the network does something at export that it does not do in torch; report it",
        )
    return model


def export_model(network: nn.Module, spec: ModelSpec, path: Path) -> ModelSpec:
    """Write `network` to `path`; return the spec with its halo."""
    from sr_core.model_spec import spec_of

    model = onnx_from_network(network, spec)
    write_atomically(path, model.SerializeToString())
    written = spec_of(model)
    assert written is not None
    return written


def export_difference(network: nn.Module, model: "ModelProto", spec: ModelSpec) -> float:
    """Largest absolute difference between torch and the ONNX graph, at a size it was not traced at."""
    height = -(-PROBE_SIDE // spec.size_multiple) * spec.size_multiple
    probe = probe_noise((1, spec.channels, height, height + 2 * spec.size_multiple))
    with torch.no_grad():
        expected = network(torch.from_numpy(probe.copy())).numpy()  # some networks scale their input in place
    refuse_not_finite(expected, spec.name)
    actual = open_runner(model)(probe)
    if actual.shape != expected.shape:
        return float("inf")
    return float(np.abs(actual - expected).max())


def trace_by_dynamo(network: nn.Module, spec: ModelSpec) -> "ModelProto":
    from torch.export import Dim

    side = -(-max(16, 4 * spec.size_multiple, spec.smallest) // spec.size_multiple) * spec.size_multiple
    example = torch.rand(2, spec.channels, side, side + 4 * spec.size_multiple)
    dynamic = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    try:
        with _silence(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamic_shapes=(dynamic,),
                verbose=False,
            )
        if program is None:
            raise BadModel(f"{spec.name}: torch exported nothing")
        model: ModelProto = program.model_proto
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise BadModel(f"torch cannot export {spec.name} to ONNX: {error}") from error
    return model


def _name_base_nodes(model: "ModelProto") -> None:
    """Prefix the nodes of the interpolated base, so that an engine can keep them in FP32."""
    for node in model.graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key.endswith("name_scopes")), "")
        if any(f"'{name}'" in scopes for name in BASE_MODULES):
            node.name = f"base/{node.name}"
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]


@contextmanager
def _silence() -> Iterator[None]:
    """The exporter warns about its own internals; nobody who exports can act on it."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
