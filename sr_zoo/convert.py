"""Turn a torch file into one of our ONNX files: `python -m sr_zoo.convert FILE.pth OUT.onnx`.

Prints one `error:` line, and a `hint:` line where there is one, and ends with code 1 when it cannot. Pickles
are read with `weights_only`: a file that would run code on loading is refused, never executed.
"""

import pickle
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sr_core.errors import BadModel, SrError
from sr_core.model_spec import ModelSpec

_ZIP, _PICKLE = b"PK", b"\x80"  # how torch's files begin, since 1.6 and before


def convert(path: Path, target: Path) -> ModelSpec:
    """Write `target`, checked against torch, and return its spec.

    Raises:
        BadModel: unsafe, unknown to spandrel, or not an image enlarger.
    """
    network, spec = read_torch_file(path)
    from sr_zoo.export import export_model

    return export_model(network, spec, target)


def read_torch_file(path: Path) -> tuple[nn.Module, ModelSpec]:
    """The network of a torch file and what we know of it."""
    tensors = _read_tensors(path)  # before spandrel is loaded: refusals come at once
    import spandrel

    state = spandrel.canonicalize_state_dict(tensors)
    try:
        found = spandrel.ModelLoader().load_from_state_dict(state)
    except spandrel.UnsupportedModelError as error:
        raise BadModel(
            "the weights belong to no network that spandrel knows",
            hint="export the model to ONNX with its own code, and give that file",
        ) from error
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadModel(f"the weights do not fit the network they name: {reason}") from error
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise BadModel(f"a {found.architecture.name} for {found.purpose} is no image enlarger")
    if found.input_channels != found.output_channels or found.input_channels not in (1, 3):
        raise BadModel(f"it takes {found.input_channels} channels and gives {found.output_channels}")
    if found.size_requirements.square:
        raise BadModel("it only takes square images")
    spec = ModelSpec(
        name=path.stem,
        scale=found.scale,
        colour="rgb" if found.input_channels == 3 else "y",
        size_multiple=found.size_requirements.multiple_of,
        training=f"imported: {found.architecture.name} {' '.join(found.tags)}".strip(),
    )
    network: nn.Module = found.model.float()
    return network, spec


def _read_tensors(path: Path) -> dict[str, Any]:
    """The file's state dict, without running any code of it."""
    with path.open("rb") as file:
        head = file.read(2)
    if not head:
        raise BadModel("it is empty", hint="is the download complete?")
    if path.suffix.lower() != ".safetensors" and head != _ZIP and head[:1] != _PICKLE:
        raise BadModel("it is not a torch file", hint="is the download complete?")
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadModel(
            "the file holds more than weights, and loading it would run its code; refused",
            hint="get a .safetensors version of the model, or its plain state dict",
        ) from error
    except Exception as error:  # torch and safetensors raise many kinds for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadModel(f"it cannot be read: {reason}", hint="is the download complete?") from error
    if not isinstance(loaded, dict):
        raise BadModel(f"it holds a {type(loaded).__name__}, not weights by name")
    return loaded


def main(arguments: list[str]) -> int:
    """Convert; errors go to stderr as the caller reads them."""
    try:
        convert(Path(arguments[0]), Path(arguments[1]))
    except SrError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
