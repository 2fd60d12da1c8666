"""Whether a file holds an ONNX graph at all, before a runtime sees it: runtimes believe what they read.

A Conv with one input crashes OpenVINO, a cycle takes all memory, an operator set of version 2^40 is counted
up to for ever. ONNX's own checker knows operators, their inputs and the order of nodes; what it lets through
(a Loop of 2^60 rounds, a Resize to 2^40 pixels) ends at the limits that `sr_zoo.convert` sets its process.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sr_core.errors import BadModel
from sr_zoo.reasons import unknown_operators, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import ModelProto

STANDARD_DOMAINS = ("", "ai.onnx")
_LATEST_OF_OTHERS = 100  # com.microsoft is at 1, ai.onnx.ml at 5
_HINT = "is the download complete? else export the model again"
_WHERE = re.compile(r"^==> Context.*$", re.MULTILINE)


def refuse_unsound(model: ModelProto, name: str) -> None:
    """Check everything that can be checked without running it.

    Raises:
        BadModel: an operator set that nobody has defined, a cycle, an operator without its inputs, a tensor
            whose data does not fit its shape.
    """
    import onnx

    _refuse_operator_sets(model, name)
    with _lenient(model):
        try:
            onnx.checker.check_model(model)
        except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
            if unknown_operators(error):
                raise unreadable(name, error) from error
            raise BadModel(f"{name} is not a valid ONNX model: {_reason(error)}", hint=_HINT) from error


def _refuse_operator_sets(model: ModelProto, name: str) -> None:
    import onnx

    latest = onnx.defs.onnx_opset_version()
    if not any(entry.domain in STANDARD_DOMAINS for entry in model.opset_import):
        raise BadModel(f"{name} names no set of ONNX operators", hint=_HINT)
    for entry in model.opset_import:
        most = latest if entry.domain in STANDARD_DOMAINS else _LATEST_OF_OTHERS
        if not 1 <= entry.version <= most:
            which = "ONNX operators" if entry.domain in STANDARD_DOMAINS else f"operators of {entry.domain[:40]!r}"
            hint = f"versions 1 to {most} are known: export it with one of them"
            raise BadModel(f"{name} wants version {entry.version} of the {which}", hint=hint)


@contextmanager
def _lenient(model: ModelProto) -> Iterator[None]:
    """For the checker, which refuses what is harmless: no name, ends without a shape, a newer file format."""
    import onnx

    version, graph_name = model.ir_version, model.graph.name
    ends = (value.type.tensor_type for value in (*model.graph.input, *model.graph.output))
    shapeless = [kind for kind in ends if not kind.HasField("shape")]
    for kind in shapeless:
        kind.shape.SetInParent()
    model.ir_version = min(max(version, 3), onnx.IR_VERSION)
    model.graph.name = graph_name or "graph"
    try:
        yield
    finally:
        model.ir_version, model.graph.name = version, graph_name
        for kind in shapeless:
            kind.ClearField("shape")


def _reason(error: Exception) -> str:
    """The checker's complaint without its quotation of the node."""
    text = _WHERE.sub("", str(error)).strip() or type(error).__name__
    return " ".join(text.split())[:200]
