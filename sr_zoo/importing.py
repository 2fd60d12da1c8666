"""A user's own weights: .onnx as it is, .safetensors and .pth through spandrel, converted once into the cache.

    FILE.onnx ─ spec inside ──────────────────────────────────────────────────────────► used as it is
    FILE.onnx ─ probe: channels, scale, size multiple ─ rename, halo, spec ─┐
    FILE.pth ─ load without running code ─ spandrel ─ export ─ compare ─────┴─ cache/imported/NAME-HASH.onnx

The conversion of torch files runs in a process of its own (`sr_zoo.convert`): torch.export has crashed the
interpreter on some networks, and a front end must survive that.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_core.errors import BadInput, BadModel, NotAvailable
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec, load_model, spec_of, with_spec
from sr_core.receptive_field import receptive_radius
from sr_core.storage import cache_dir, file_lock, write_atomically
from sr_zoo.onnx_run import open_runner

if TYPE_CHECKING:
    from onnx import ModelProto

FORMAT = 1  # raise when a conversion would come out differently
TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
NEEDED = ("torch", "spandrel", "safetensors", "onnxscript")  # the extra [import]
PROBE_SIDES = (24, 25)  # divisible by 8, and odd: shows a network that needs even sizes
MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
LARGEST_SCALE = 8


def imported_model(path: Path) -> Path:
    """The ONNX file, with a ModelSpec inside, that stands for the user's file `path`.

    Raises:
        BadInput: no such file, or a kind of file we cannot read.
        BadModel: unsafe, unknown to spandrel, not an image enlarger, or its export differs from torch.
        NotAvailable: a torch file, and the extra [import] is not installed.
    """
    if not path.is_file():
        raise BadInput(f"no model file {path}", hint="srkit models list shows the models that are shipped")
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        model = load_model(path)
        if spec_of(model) is not None:
            return path
        return _converted(path, lambda target: _adopt(model, path, target))
    if suffix in TORCH_SUFFIXES:
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise NotAvailable(
                f"{path.name} needs the packages {', '.join(missing)} to be read",
                hint="pip install 'srvid[import]', or export the model to ONNX elsewhere",
            )
        return _converted(path, lambda target: _convert_apart(path, target))
    raise BadInput(f"{path.name} is not a model file", hint=f"expected .onnx, {', '.join(TORCH_SUFFIXES)}")


def _converted(path: Path, convert: Callable[[Path], None]) -> Path:
    """The cached conversion of `path`, made now if its contents are new."""
    digest = hashlib.sha256(f"{FORMAT}:".encode() + path.read_bytes()).hexdigest()[:16]
    target = cache_dir("imported") / f"{path.stem}-{digest}.onnx"
    with file_lock(target.with_suffix(".lock")):
        if not target.exists():
            convert(target)
    return target


def _convert_apart(path: Path, target: Path) -> None:
    """Run `python -m sr_zoo.convert` and turn its failure into ours."""
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", "sr_zoo.convert", str(path), str(target)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0 and target.exists():
        return
    target.unlink(missing_ok=True)
    lines = done.stderr.strip().splitlines() or [f"the conversion ended with code {done.returncode}"]
    message, hint = lines[-1], ""
    if message.startswith("hint: ") and len(lines) > 1:
        message, hint = lines[-2], message.removeprefix("hint: ")
    raise BadModel(f"{path.name}: {message.removeprefix('error: ')}", hint=hint)


def _adopt(model: ModelProto, path: Path, target: Path) -> None:
    """Rename a foreign ONNX graph's ends, find its scale and halo by running and reading it, write it."""
    inputs = [value for value in model.graph.input if value.name not in _initializers(model)]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise BadModel(
            f"{path.name} has {len(inputs)} inputs and {len(model.graph.output)} outputs, expected one of each"
        )
    tensor = inputs[0].type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    if len(dims) != 4 or dims[1] not in (1, 3) or tensor.elem_type != 1:
        raise BadModel(
            f"{path.name} takes {dims} of type {tensor.elem_type}, expected float32 [N, 1 or 3, H, W]",
            hint="export it in FP32 with channels first",
        )
    if dims[2] or dims[3]:
        raise BadModel(
            f"{path.name} only takes {dims[3]}x{dims[2]} images", hint="export it with dynamic height and width"
        )
    _rename(model, inputs[0].name, INPUT_NAME)
    _rename(model, model.graph.output[0].name, OUTPUT_NAME)
    for axis in (0, 2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "NCHW"[axis]
    scale, multiple = _probe(model, dims[1], path.name)
    spec = ModelSpec(
        name=path.stem,
        scale=scale,
        colour="rgb" if dims[1] == 3 else "y",
        size_multiple=multiple,
        training="imported from ONNX",
    )
    halo = receptive_radius(model, scale=scale, align=multiple)
    write_atomically(target, with_spec(model, replace(spec, halo_px=halo)).SerializeToString())


def _probe(model: ModelProto, channels: int, name: str) -> tuple[int, int]:
    """(scale, size multiple) found by running the graph on noise."""
    try:
        run = open_runner(model)
    except RuntimeError as failure:
        reason = str(failure).strip().splitlines()[-1]
        raise BadModel(f"OpenVINO cannot read {name}: {reason}") from failure
    error: Exception | None = None
    for multiple in MULTIPLES:
        height, width = (-(-side // multiple) * multiple for side in PROBE_SIDES)
        noise = np.random.default_rng(7).random((1, channels, height, width)).astype(np.float32)
        try:
            made = run(noise)
        except RuntimeError as failure:
            error = failure
            continue
        scale = made.shape[-1] // width
        if made.shape == (1, channels, height * scale, width * scale) and 1 <= scale <= LARGEST_SCALE:
            return scale, multiple
    reason = str(error).strip().splitlines()[-1] if error else "its output is not a multiple of its input"
    raise BadModel(f"{name} does not enlarge images: {reason}", hint="give a super-resolution model")


def _initializers(model: ModelProto) -> set[str]:
    return {tensor.name for tensor in model.graph.initializer}


def _rename(model: ModelProto, old: str, new: str) -> None:
    """Rename a tensor wherever it is made or read."""
    if old == new:
        return
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    if new in taken:
        _rename(model, new, f"{new}_inner")
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if value.name == old:
            value.name = new
