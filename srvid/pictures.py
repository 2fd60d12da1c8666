"""Pictures as Python users hold them: numpy, PIL, torch, DLPack and paths, and back to the same kind.

Nothing here is imported for the sake of asking: a PIL image or a tensor can only be given by somebody
who has loaded that library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sr_core.errors import BadInput, SrError
from sr_core.frame import Array

if TYPE_CHECKING:
    import PIL.Image
    import torch

EnlargeArray = Callable[[Array], Array]
# Overshoot of an earlier network, or a little HDR, passes; values of 0..255 or linear light do not.
_LEAST, _MOST = -1.0, 4.0
_PIL_MODES = {"1": "L", "P": "RGB", "PA": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
_PIL_MODES |= {"LAB": "RGB", "La": "LA", "RGBa": "RGBA", "I;16B": "I;16", "I;16L": "I;16", "I;16N": "I;16"}
_PIL_DIRECT = ("L", "LA", "RGB", "RGBA", "I;16")
_PIL_WITH_ALPHA = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}  # where one colour is transparent
_KEPT_INFO = ("icc_profile", "dpi")


def enlarge_picture(enlarge: EnlargeArray, picture: Any) -> Any:
    """`picture` through `enlarge`, as the kind it came in; see `srvid.Upscaler.image`.

    Raises:
        BadInput: a kind, shape or value that is not taken.
    """
    if isinstance(picture, np.ndarray):
        return _through_float32(enlarge, picture)
    if isinstance(picture, (str, PathLike)):
        return _through_float32(enlarge, read_picture(Path(picture)))
    if _is_from("PIL.Image", "Image", picture):
        return _enlarge_pil(enlarge, picture)
    if _is_from("torch", "Tensor", picture):
        return _enlarge_tensor(enlarge, picture)
    if hasattr(picture, "__dlpack__"):
        return _enlarge_foreign(enlarge, picture)
    raise BadInput(
        f"{type(picture).__name__} is no picture", hint="give a numpy array, a PIL image, a torch tensor or a path"
    )


def read_picture(path: Path) -> Array:
    """The first frame of an image file, upright, in its own depth: (H, W, C).

    Raises:
        BadInput, DamagedMedia: not an image, or one that does not decode.
    """
    from sr_image.formats.reader import decode_frames, open_image
    from sr_image.pipeline import orient

    try:
        with open_image(path) as image:
            return orient(next(decode_frames(image)).whole(), image.header.orientation)
    except SrError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.unspelled_hint) from error


def _is_from(module: str, name: str, value: object) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))


def _through_float32(enlarge: EnlargeArray, array: Array) -> Array:
    """float64 is computed in float32, which holds more than any network gives."""
    if array.dtype.kind == "f":
        _check_range(array)
    if array.dtype == np.float64:
        return enlarge(array.astype(np.float32)).astype(np.float64)
    return enlarge(array)


def _check_range(array: Array) -> None:
    """Refuse floats that are not meant as 0..1; NaN and infinity are told apart by whoever comes next."""
    finite = array[np.isfinite(array)]
    if finite.size and (finite.min() < _LEAST or finite.max() > _MOST):
        raise BadInput(
            f"floats from {finite.min():g} to {finite.max():g} are far outside 0..1",
            hint="0..255 floats? divide by 255",
        )


def _enlarge_pil(enlarge: EnlargeArray, image: PIL.Image.Image) -> PIL.Image.Image:
    import PIL.Image

    mode = image.mode
    if "transparency" in image.info and mode in _PIL_WITH_ALPHA:
        image = image.convert(_PIL_WITH_ALPHA[mode])
    elif mode in _PIL_MODES:
        image = image.convert(_PIL_MODES[mode])
    elif mode not in _PIL_DIRECT:
        raise BadInput(
            f"PIL's mode {mode} is not taken",
            hint="its samples have no known range: give numpy.asarray(image) as uint8, uint16, or floats in 0..1",
        )
    large = PIL.Image.fromarray(enlarge(np.asarray(image)))
    large.info.update({key: image.info[key] for key in _KEPT_INFO if key in image.info})
    return large


def _enlarge_tensor(enlarge: EnlargeArray, tensor: torch.Tensor) -> torch.Tensor:
    """(H, W), (C, H, W) or (N, C, H, W), as torch lays pictures out; back on the same device."""
    import torch

    if tensor.ndim == 4 and len(tensor):
        return torch.stack([_enlarge_tensor(enlarge, one) for one in tensor])
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and tensor.shape[0] not in (1, 2, 3, 4)):
        raise BadInput(
            f"a tensor of shape {tuple(tensor.shape)} is no picture",
            hint="torch's order is (C, H, W) or (N, C, H, W): tensor.permute(2, 0, 1)",
        )
    is_small = tensor.dtype in (torch.bfloat16, torch.float16)  # numpy has no bfloat16
    array = (tensor.float() if is_small else tensor).detach().cpu().numpy()
    array = array if array.ndim == 2 else np.ascontiguousarray(array.transpose(1, 2, 0))
    large = _through_float32(enlarge, array)
    large = large if large.ndim == 2 else np.ascontiguousarray(large.transpose(2, 0, 1))
    return torch.from_numpy(large).to(device=tensor.device, dtype=tensor.dtype)


def _enlarge_foreign(enlarge: EnlargeArray, picture: Any) -> Any:
    """CuPy, JAX and whatever else speaks DLPack, in numpy's layout; from a GPU its library copies it to the host.

    It goes back through the picture's own array API (`__array_namespace__`), onto its device; a library without
    one gets a numpy array.
    """
    try:
        array = np.from_dlpack(picture, device="cpu")
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise BadInput(
            f"{type(picture).__name__} cannot be handed over by DLPack: {error}", hint="give numpy.asarray of it"
        ) from error
    large = _through_float32(enlarge, array)
    if not hasattr(picture, "__array_namespace__"):
        return large
    return picture.__array_namespace__().asarray(large, device=picture.device)
