"""What a model is: the facts that travel inside its ONNX file.

A model on disk is one ONNX file, input `lr` [N, C, H, W], output `sr` [N, C, s*H, s*W], float32;
`C` is 3 (RGB, 0..1, gamma-encoded) or 1 (studio-swing luma / 255 as the papers train on:
16/255 is black, 235/255 is white). Its metadata property `srvid.model_spec` holds a ModelSpec as
JSON. Reading and writing that property is here; everything that needs `onnx` imports it late.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sr_core.errors import BadInput, BadModel
from sr_core.onnx_wire import properties_of
from sr_core.records import parse_json, record_from

if TYPE_CHECKING:
    from onnx import ModelProto

METADATA_KEY = "srvid.model_spec"
INPUT_NAME = "lr"
OUTPUT_NAME = "sr"
TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
NCNN_SUFFIX = ".param"  # its weights lie beside it in a .bin
MODEL_SUFFIXES = (".onnx", *TORCH_SUFFIXES, NCNN_SUFFIX)  # in small letters; files may have them in any
LARGEST_SIDE = 1 << 16  # pixels of anything a spec names
BORDER_STEP = 4  # the coarsest subsampling of chroma (4:1:1)
LARGEST_BORDER = 64
LARGEST_SCALE = 16  # two networks of 4 in a chain
ColorSpace = Literal["rgb", "y"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The contract of one model.

    Attributes:
        name: what users type, e.g. 'clear-x4'.
        scale: output pixels per input pixel along each axis, 1 to 16.
        color_space: 'rgb' (3 channels) or 'y' (luma only; chroma is interpolated beside it).
        halo_px: input pixels around an output pixel that can change it; None = unbounded.
        size_multiple: input width and height must be divisible by this.
        smallest: input width and height must be at least this; smaller frames are padded.
        fixed_size: the only (width, height) the graph takes; every tile is of that size. None = any.
        border_px: input pixels by which a picture is continued on every side for the network, its outermost
            samples repeated: then the zeros that convolutions see beyond it are that far away.
        keeps_gray: gray pictures are to come out gray; see Note [gray] in `sr_core.graph.color_edges`.
        sharpen: 0 to 1: how much luma is sharpened behind the network; see `sr_core.graph.sharpen`.
        purpose: what it is for, in a few words, e.g. 'clean photos', 'anime', 'JPEG damage'.
        licence: SPDX id or a short text.
        training: how and how long it was trained, in a sentence.
        trained_on: names of the training sets.
        psnr_y: measured Y PSNR in dB by set, e.g. {'set5': 31.07}.
        int8_loss: dB of Y PSNR by set that the file's quantizers cost; empty where it has none.
        attributions: credits the weights' licence asks for.
    """

    name: str
    scale: int
    color_space: ColorSpace = "rgb"
    halo_px: int | None = None
    size_multiple: int = 1
    smallest: int = 1
    fixed_size: tuple[int, int] | None = None
    border_px: int = 0
    keeps_gray: bool = False
    sharpen: float = 0.0
    purpose: str = ""
    licence: str = ""
    training: str = ""
    trained_on: tuple[str, ...] = ()
    psnr_y: dict[str, float] = field(default_factory=dict)
    int8_loss: dict[str, float] = field(default_factory=dict)
    attributions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        texts = (self.name, self.purpose, self.licence, self.training)
        for text in (*texts, *self.trained_on, *self.psnr_y, *self.attributions):
            if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text):
                raise BadModel(f"the model's {METADATA_KEY} holds control characters: {text[:40]!r}")
        if not self.name:
            raise BadModel(f"the model's {METADATA_KEY} holds no name")
        if not 1 <= self.scale <= LARGEST_SCALE:
            raise BadModel(f"model {self.name!r} has scale {self.scale}, expected 1 to {LARGEST_SCALE}")
        if self.color_space not in ("rgb", "y"):
            raise BadModel(f"model {self.name!r} has color space {self.color_space!r}, expected 'rgb' or 'y'")
        sides = (self.size_multiple, self.smallest, *(self.fixed_size or ()))
        if not all(1 <= side <= LARGEST_SIDE for side in sides):
            raise BadModel(
                f"model {self.name!r}: size_multiple {self.size_multiple}, smallest {self.smallest}, "
                f"fixed_size {self.fixed_size}, expected 1 to {LARGEST_SIDE}"
            )
        fits = self.border_px % self.size_multiple == self.border_px % BORDER_STEP == 0 and self.fixed_size is None
        if self.border_px and not (fits and 0 <= self.border_px <= LARGEST_BORDER):
            raise BadModel(
                f"model {self.name!r}: border_px {self.border_px}, expected a multiple of {BORDER_STEP} and of "
                f"size_multiple, at most {LARGEST_BORDER}, and 0 beside a fixed_size"
            )
        if not 0.0 <= self.sharpen <= 1.0:
            raise BadModel(f"model {self.name!r}: sharpen {self.sharpen}, expected 0 to 1")
        if self.halo_px is not None and not 0 <= self.halo_px <= LARGEST_SIDE:
            raise BadModel(f"model {self.name!r}: halo_px {self.halo_px}, expected 0 to {LARGEST_SIDE}")

    @property
    def channels(self) -> int:
        """Channels of input and output."""
        return 3 if self.color_space == "rgb" else 1

    def to_json(self) -> str:
        """The spec as one line of JSON with sorted keys."""
        held = asdict(self)
        if not self.sharpen:
            del held["sharpen"]  # versions before it read these files
        return json.dumps(held, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Parse `to_json`'s output; unknown keys are refused, because they may change meaning."""
        try:
            data = parse_json(text)
            if isinstance(data, dict) and "colour" in data:  # its name in files of version 0.1
                data["color_space"] = data.pop("colour")
            return record_from(data, cls)
        except BadModel:
            raise
        except BadInput as error:
            raise BadModel(
                f"the model's {METADATA_KEY} is not what srvid writes: {error.message}",
                hint="made by another version of srvid? update srvid or import the model again",
            ) from error


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
    text = (properties_of(path) or {}).get(METADATA_KEY)
    spec = spec_of(load_model(path)) if text is None else ModelSpec.from_json(text)
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
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadModel(f"no model file {path}") from error
    except onnx.checker.ValidationError as error:  # what it says of a file of weights that is not beside the model
        raise BadModel(
            f"{path.name} keeps its weights in a file that cannot be read: {error}",
            hint="put that file beside the model, or export the model as one file",
        ) from error
    except OSError as error:
        raise BadModel(f"{path.name} cannot be read: {error.strerror or error}") from error
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadModel(f"{path.name} is not a readable ONNX file", hint="is the download complete?") from error
    except (ValueError, RuntimeError) as error:  # of its loader of weights in other files
        reason = " ".join(str(error).split())[:120]
        raise BadModel(f"{path.name} names its file of weights wrongly: {reason}", hint="export it again") from error
