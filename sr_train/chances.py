"""How often a training clip is soft, noisy, coded twice and so on: shares that decide what `restore` learns.

A blurred input with a sharp truth teaches to sharpen always, a soft truth to leave softness alone: between the two
lies the balance of sharpness (VMAF) against fidelity (PSNR, ringing, flicker). A recipe changes shares by name:

    [data]
    chances = { soft_truth = 0.2, blur = 0.12 }
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from sr_core.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Chances:
    """Shares of clips. Sigmas of the truth's blur are in HR pixels, of the input's in LR pixels, of noise in codes."""

    smaller: float = 0.3
    soft_truth: float = 0.35
    soft_sigma: tuple[float, float] = (0.6, 2.0)
    blur: float = 0.05
    blur_sigma: tuple[float, float] = (0.25, 1.1)
    rescale: float = 0.05
    rescale_factor: tuple[float, float] = (0.55, 0.9)
    gray: float = 0.08
    uncoded: float = 0.25
    noise: float = 0.5
    noise_sigma: tuple[float, float] = (0.3, 4.0)
    clean_noise: float = 0.25  # of uncoded clips, half as strong
    twice: float = 0.2
    jpeg: float = 0.0  # of uncoded clips
    jpeg_quality: tuple[float, float] = (60, 97)


CHANCES = Chances()


def chances_from_table(table: Mapping[str, Any]) -> Chances:
    """The usual chances, changed as a recipe's table says.

    Raises:
        BadInput: an unknown name; a share outside 0..1; a range that is not two rising numbers from 0 up.
    """
    usual = {field.name: field.default for field in fields(Chances)}
    changed: dict[str, Any] = {}
    for name, value in table.items():
        if name not in usual:
            raise BadInput(f"unknown chance {name!r}", hint=f"expected {', '.join(usual)}")
        is_range = isinstance(usual[name], tuple)
        changed[name] = tuple(value) if is_range and isinstance(value, list | tuple) else value
        if not (_is_range(changed[name]) if is_range else _is_share(value)):
            expected = "two rising numbers from 0 up" if is_range else "a share from 0 to 1"
            raise BadInput(f"data.chances.{name} is {value!r}", hint=f"expected {expected}")
    return replace(CHANCES, **changed)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_range(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in value):
        return False
    low, high = value
    return bool(0 <= low <= high)
