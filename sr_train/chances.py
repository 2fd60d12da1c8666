"""How often a training clip is soft, noisy, coded twice and so on: shares that decide what `restore` learns.

A blurred input with a sharp truth teaches to sharpen always, a soft truth to leave softness alone: between the two
lies the balance of sharpness (VMAF) against fidelity (PSNR, ringing, flicker). A recipe changes shares by name:

    [data]
    chances = { soft_truth = 0.2, blur = 0.12 }
"""

from collections.abc import Callable, Mapping
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
    drawn: float = 0.0  # of all clips, instead of a picture from the folders (sr_train.shapes)
    painted: float = 0.0  # not of clips: how far every truth goes towards a painting of it (sr_train.painting)
    coarser: int = 0  # steps of CRF (and half as many of MPEG-2's quantizer) that every last encode is worse


CHANCES = Chances()
_MOST_COARSER = 12  # x264 ends at 51, and every clip of CRF 48 is blocks


def chances_from_table(table: Mapping[str, Any]) -> Chances:
    """The usual chances, changed as a recipe's table says.

    Raises:
        BadInput: an unknown name; a share outside 0..1; a range that is not two rising numbers from 0 up; steps
            of CRF outside 0..12.
    """
    usual = {field.name: field.default for field in fields(Chances)}
    changed: dict[str, Any] = {}
    for name, value in table.items():
        if name not in usual:
            raise BadInput(f"unknown chance {name!r}", hint=f"expected {', '.join(usual)}")
        changed[name] = tuple(value) if isinstance(value, list) else value
        holds, expected = _RULES[type(usual[name])]
        if not holds(changed[name]):
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


def _is_coarser(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_COARSER


_RULES: dict[type, tuple[Callable[[object], bool], str]] = {  # by the type of the usual value
    float: (_is_share, "a share from 0 to 1"),
    tuple: (_is_range, "two rising numbers from 0 up"),
    int: (_is_coarser, f"a whole number from 0 to {_MOST_COARSER}"),
}
