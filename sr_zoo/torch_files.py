"""What a torch file holds: a network that spandrel knows, and our facts of it.

Pickles are read with `weights_only`: a file that would run code on loading is refused, never executed.
"""

import errno
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sr_core.errors import BadModel
from sr_core.model_spec import ModelSpec
from sr_zoo.torch_forms import lay_open
from sr_zoo.torch_kinds import refuse_other_contents, refuse_other_kinds

_OTHER_CODE = "export the model to ONNX with its own code, and give that file"
_ZIP, _PICKLE = b"PK", b"\x80"  # how torch's files begin, since 1.6 and before


def read_torch_file(path: Path, name: str = "") -> tuple[nn.Module, ModelSpec]:
    """The network of a torch file and what we know of it."""
    tensors = _read_tensors(path)  # before spandrel is loaded: refusals come at once
    import spandrel

    state = spandrel.canonicalize_state_dict(tensors)
    try:
        found = spandrel.ModelLoader().load_from_state_dict(state)
    except spandrel.UnsupportedModelError as error:
        raise BadModel(
            "the weights belong to no network that spandrel knows",
            hint=_OTHER_CODE,
        ) from error
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadModel(f"the weights do not fit the network they name: {reason}", hint=_OTHER_CODE) from error
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.purpose == "FaceSR":
        wants = {"FaceSR": "faces that were cut out", "Inpainting": "a mask of what to fill"}.get(found.purpose, "more")
        raise BadModel(
            f"it is a {found.architecture.name}, which wants {wants}, not one whole picture",
            hint="give a network that enlarges pictures: srkit models list, srkit models search WORD",
        )
    if found.input_channels != found.output_channels or found.input_channels not in (1, 3):
        raise BadModel(
            f"it takes {found.input_channels} channels and gives {found.output_channels}, and a picture has 1 or 3",
            hint=_OTHER_CODE,
        )
    needs = found.size_requirements
    least = max(needs.minimum, needs.multiple_of)
    spec = ModelSpec(
        name=name or path.stem,
        scale=found.scale,
        color_space="rgb" if found.input_channels == 3 else "y",
        size_multiple=needs.multiple_of,
        smallest=max(1, needs.minimum),
        fixed_size=(least, least) if needs.square else None,
        training=f"imported: {found.architecture.name} {' '.join(found.tags)}".strip(),
    )
    return _Called(found), spec


class _Called(nn.Module):
    """The network as spandrel calls it: some want a noise level beside the picture, some give more than one."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.network = found.model.float()
        self._call = found._call_fn
        lay_open(self.network)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self._call(self.network, picture)
        return made


def _reason_of(error: Exception) -> str:
    if isinstance(error, OSError):  # "invalid argument" is a place before the beginning that torch was sent to
        return "its index points out of it" if error.errno == errno.EINVAL else error.strerror or type(error).__name__
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_tensors(path: Path) -> dict[str, Any]:
    """The file's state dict, without running any code of it."""
    with path.open("rb") as file:
        head = file.read(2)
    if not head:
        raise BadModel("it is empty", hint="is the download complete?")
    if path.suffix.lower() != ".safetensors" and head != _ZIP and head[:1] != _PICKLE:
        raise BadModel("it is not a torch file", hint="is the download complete?")
    if head == _ZIP and _is_program(path):
        raise BadModel(
            "it is a TorchScript program, not weights, and to open it is to run it; refused",
            hint="get its weights (.pth, .safetensors), or an ONNX file made from it where it is trusted",
        )
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="pt") as file:
                refuse_other_kinds(file.keys())
                loaded: Any = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except BadModel:
        raise
    except pickle.UnpicklingError as error:
        raise BadModel(
            "the file holds more than weights, and loading it would run its code; refused",
            hint="get a .safetensors version of the model, or its plain state dict",
        ) from error
    except Exception as error:  # torch and safetensors raise many kinds for a damaged file
        raise BadModel(f"it cannot be read: {_reason_of(error)}", hint="is the download complete?") from error
    if not isinstance(loaded, dict):
        raise BadModel(f"it holds a {type(loaded).__name__}, not weights by name", hint=_OTHER_CODE)
    refuse_other_contents(loaded)
    return loaded


def _is_program(path: Path) -> bool:
    """Whether a zip of torch's holds code: TorchScript, or an exported program."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name or name.endswith("constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
