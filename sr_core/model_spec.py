"""What a model is: the facts that travel inside its ONNX file.

A model on disk is one ONNX file, input `lr` [N, C, H, W], output `sr` [N, C, s*H, s*W], float32;
`C` is 3 (RGB, 0..1, gamma-encoded) or 1 (studio-swing luma / 255 as the papers train on:
16/255 is black, 235/255 is white). Its metadata property `srvid.model_spec` holds a ModelSpec as
JSON. Reading and writing that property is here; everything that needs `onnx` imports it late.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sr_core.errors import BadModel

if TYPE_CHECKING:
    from onnx import ModelProto

METADATA_KEY = "srvid.model_spec"
INPUT_NAME = "lr"
OUTPUT_NAME = "sr"
TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
MODEL_SUFFIXES = (".onnx", *TORCH_SUFFIXES)  # in small letters; files may have them in any
Colour = Literal["rgb", "y"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The contract of one model.

    Attributes:
        name: what users type, e.g. 'clear-x4'.
        scale: output pixels per input pixel along each axis, 1 to 8.
        colour: 'rgb' (3 channels) or 'y' (luma only; chroma is interpolated beside it).
        halo_px: input pixels around an output pixel that can change it; None = unbounded.
        size_multiple: input width and height must be divisible by this.
        licence: SPDX id or a short text.
        training: how and how long it was trained, in a sentence.
        trained_on: names of the training sets.
        psnr_y: measured Y PSNR in dB by set, e.g. {'set5': 31.07}.
        attributions: credits the weights' licence asks for.
    """

    name: str
    scale: int
    colour: Colour = "rgb"
    halo_px: int | None = None
    size_multiple: int = 1
    licence: str = ""
    training: str = ""
    trained_on: tuple[str, ...] = ()
    psnr_y: dict[str, float] = field(default_factory=dict)
    attributions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.scale <= 8:
            raise BadModel(f"model {self.name!r} has scale {self.scale}, expected 1 to 8")
        if self.colour not in ("rgb", "y"):
            raise BadModel(f"model {self.name!r} has colour {self.colour!r}, expected 'rgb' or 'y'")
        if self.size_multiple < 1 or (self.halo_px is not None and self.halo_px < 0):
            raise BadModel(f"model {self.name!r}: size_multiple {self.size_multiple}, halo_px {self.halo_px}")

    @property
    def channels(self) -> int:
        """Channels of input and output."""
        return 3 if self.colour == "rgb" else 1

    def to_json(self) -> str:
        """The spec as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Parse `to_json`'s output; unknown keys are refused, because they may change meaning."""
        try:
            data: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError as error:
            raise BadModel(f"the model's {METADATA_KEY} is not JSON: {error}") from error
        unknown = set(data) - {entry.name for entry in fields(cls)}
        if unknown or "name" not in data or "scale" not in data:
            raise BadModel(
                f"the model's {METADATA_KEY} has keys {sorted(data)}",
                hint="made by another version of srvid? update srvid or import the model again",
            )
        for key in ("trained_on", "attributions"):
            data[key] = tuple(data.get(key, ()))
        return cls(**data)


def spec_of(model: ModelProto) -> ModelSpec | None:
    """The spec inside a loaded model, or None where it has none (a foreign ONNX file)."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            return ModelSpec.from_json(entry.value)
    return None


def with_spec(model: ModelProto, spec: ModelSpec) -> ModelProto:
    """Write `spec` into `model` (in place, replacing an older one) and return it."""
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=spec.to_json())
    return model


def read_spec(path: Path) -> ModelSpec:
    """The spec inside the file `path`.

    Raises:
        BadModel: not an ONNX file, or one without a spec.
    """
    spec = spec_of(load_model(path))
    if spec is None:
        raise BadModel(f"{path.name} carries no {METADATA_KEY}", hint=f"srkit models import {path.name}")
    return spec


def load_model(path: Path) -> ModelProto:
    """Load an ONNX file.

    Raises:
        BadModel: the file is missing, unreadable or not ONNX; or its external weights are.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        if path.stat().st_size == 0:
            raise BadModel(f"{path.name} is empty", hint="is the download complete?")
        model = onnx.load(str(path))
        if not model.graph.node:
            raise BadModel(f"{path.name} is not an ONNX file, or one without a graph", hint="is the download complete?")
        return model
    except FileNotFoundError as error:
        raise BadModel(f"no model file {path}") from error
    except onnx.checker.ValidationError as error:  # what it says of a file of weights that is not beside the model
        raise BadModel(
            f"{path.name} keeps its weights in a file that cannot be read: {error}",
            hint="put that file beside the model, or export the model as one file",
        ) from error
    except (DecodeError, OSError) as error:
        raise BadModel(f"{path.name} is not a readable ONNX file: {error}") from error
