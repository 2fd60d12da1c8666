"""A user's own weights: .onnx as it is, .safetensors and .pth through spandrel, converted once into the cache.

    FILE.onnx ─ spec inside ─ run once: is it finite? ────────────────────────────────► used as it is
    FILE.onnx ─ probe: channels, scale, size multiple ─ rename, halo, spec ─┐
    FILE.pth ─ load without running code ─ spandrel ─ export ─ compare ─────┴─ cache/imported/NAME-HASH.onnx

The conversion of torch files runs in a process of its own (`sr_zoo.convert`): torch.export has crashed the
interpreter on some networks, and a front end must survive that.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sr_core.errors import BadInput, BadModel, NotAvailable, StorageError
from sr_core.model_spec import (
    INPUT_NAME,
    MODEL_SUFFIXES,
    OUTPUT_NAME,
    TORCH_SUFFIXES,
    ModelSpec,
    load_model,
    spec_of,
    with_spec,
)
from sr_core.receptive_field import receptive_radius
from sr_core.storage import cache_path, file_lock, found_in_cache, keep_in_cache, say_not_kept, write_atomically
from sr_zoo.models import weights_dir
from sr_zoo.onnx_run import open_runner, probe_noise, refuse_not_finite

if TYPE_CHECKING:
    from onnx import ModelProto

FORMAT = 2  # raise when a conversion would come out differently, or be refused
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
    if path.is_dir():
        raise BadInput(
            f"{path} is a folder, not a model file", hint="srkit models list shows the models that are shipped"
        )
    if not path.is_file():
        raise BadInput(f"no model file {path}", hint="srkit models list shows the models that are shipped")
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        model = load_model(path)
        spec = spec_of(model)
        if spec is not None:
            if path.resolve().parent != weights_dir().resolve():
                _check_once(model, spec, path)
            return path
        return _converted(path, _digest(_contents(model)), lambda target: _adopt(model, path, target))
    if suffix in TORCH_SUFFIXES:
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise NotAvailable(
                f"{path.name} needs the packages {', '.join(missing)} to be read",
                hint="pip install 'srvid[import]', or export the model to ONNX elsewhere",
            )
        return _converted(path, _digest(path.read_bytes()), lambda target: _convert_apart(path, target))
    raise BadInput(f"{path.name} is not a model file", hint=f"expected {', '.join(MODEL_SUFFIXES)}")


def _check_once(model: ModelProto, spec: ModelSpec, path: Path) -> None:
    """Refuse a model of our own format that computes nothing sensible; good ones are remembered."""
    mark = cache_path("imported") / f"{path.stem}-{_digest(_contents(model))}.finite"
    if found_in_cache(mark) is not None:
        return
    side = -(-PROBE_SIDES[0] // spec.size_multiple) * spec.size_multiple
    try:
        made = open_runner(model)(probe_noise((1, spec.channels, side, side)))
    except RuntimeError as failure:
        raise _unreadable(path.name, failure) from failure
    refuse_not_finite(made, path.name)
    keep_in_cache(mark, b"")


def _contents(model: ModelProto) -> bytes:
    """The model with its weights, also those that lie in files of their own beside it."""
    contents: bytes = model.SerializeToString(deterministic=True)
    return contents


def _digest(contents: bytes) -> str:
    return hashlib.sha256(f"{FORMAT}:".encode() + contents).hexdigest()[:16]


def _converted(path: Path, digest: str, convert: Callable[[Path], None]) -> Path:
    """The cached conversion of `path`, made now if its contents are new."""
    target = cache_path("imported") / f"{path.stem}-{digest}.onnx"
    if os.path.exists(target):
        return target
    try:
        with file_lock(target.with_suffix(".lock")):
            if not target.exists():
                convert(target)
            return target
    except StorageError as error:
        say_not_kept(error)
    target = _own_folder() / target.name
    if not target.exists():
        convert(target)
    return target


@cache
def _own_folder() -> Path:
    """Where conversions lie until this process ends, if the cache cannot hold them."""
    folder = tempfile.mkdtemp(prefix="srvid-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _unreadable(name: str, failure: RuntimeError) -> BadModel:
    """OpenVINO's reason in one line; the operators it does not know, if that is the reason."""
    lines = [line.strip("- ") for line in str(failure).splitlines() if line.strip()]
    unknown = [line.rpartition(": ")[2] for line in lines if line.startswith("No conversion rule found")]
    if unknown:
        return BadModel(
            f"{name} uses operators that OpenVINO does not know: {unknown[0]}",
            hint="export it with standard ONNX operators",
        )
    return BadModel(f"OpenVINO cannot read {name}: {lines[-1]}")


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
    from onnx import TensorProto

    inputs = [value for value in model.graph.input if value.name not in _initializers(model)]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise BadModel(
            f"{path.name} has {len(inputs)} inputs and {len(model.graph.output)} outputs, expected one of each"
        )
    tensor = inputs[0].type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    if len(dims) != 4 or dims[1] not in (1, 3) or tensor.elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        shape = ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in tensor.shape.dim)
        raise BadModel(
            f"{path.name} takes {kind} [{shape}], expected float [N, 1 or 3, H, W]",
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
        raise _unreadable(name, failure) from failure
    error: Exception | None = None
    for multiple in MULTIPLES:
        height, width = (-(-side // multiple) * multiple for side in PROBE_SIDES)
        try:
            made = run(probe_noise((1, channels, height, width)))
        except RuntimeError as failure:
            error = failure
            continue
        scale = made.shape[-1] // width
        if made.shape == (1, channels, height * scale, width * scale) and 1 <= scale <= LARGEST_SCALE:
            refuse_not_finite(made, name)
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
