"""What an `upscale` request asks for, checked at the door. PROTOCOL.md describes it for people."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.grain import KEEP
from sr_plugins.client import BYTES_PER_SAMPLE, DEFAULT_MODEL, scaled

DTYPES = {"u8": "u1", "u16": "<u2", "f16": "<f2", "f32": "<f4"}
MAX_SIDE = 1 << 20
MAX_SCALE = 16


@dataclass(frozen=True, kw_only=True)
class Job:
    """An `upscale` request.

    Attributes:
        channels: 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha, interleaved.
        sample: 'u8', 'u16', 'f16' or 'f32', little-endian.
        scale: 1 to 16, 1.5 too; one that the model does not give is made by the next larger and a resize down.
        order: 'rgb' or 'bgr' of 3 and 4 channels.
        strength: that much of the model, the rest of 'clear'.
        sharpen: how much luma is sharpened.
        grain: how much film grain is laid over the result, or 'keep' for what the input had; not where it is averaged
            back to the input's size.
        moment: of the picture among others of one film: each has its own grain.
        transfer: 'encoded' (gamma, as images are) or 'linear' light.
        alpha: 'straight' or 'premultiplied'.
        at_input_size: the result is averaged back to the input's size: a cleaner image, not a larger one.
    """

    width: int
    height: int
    channels: int
    sample: str
    scale: float
    model: str = DEFAULT_MODEL
    strength: float = 1.0
    sharpen: float = 0.0
    grain: float | Literal["keep"] = 0.0
    moment: int = 0
    backend: str = "auto"
    tile: int | None = None
    order: str = "rgb"
    transfer: str = "encoded"
    alpha: str = "straight"
    at_input_size: bool = False

    def __post_init__(self) -> None:
        for name, most in (("width", MAX_SIDE), ("height", MAX_SIDE), ("channels", 4), ("scale", MAX_SCALE)):
            value = getattr(self, name)
            kinds = (int, float) if name == "scale" else (int,)
            if type(value) not in kinds or not 1 <= value <= most:
                raise BadInput(f"{name} is {value!r}, expected 1 to {most}")
        if type(self.moment) is not int or not 0 <= self.moment < 1 << 53:
            raise BadInput(f"moment is {self.moment!r}, expected a whole number from 0 on")
        if self.tile is not None and type(self.tile) is not int:
            raise BadInput(f"tile is {self.tile!r}, expected a number of pixels or null")
        for name in ("strength", "sharpen", "grain"):
            share = getattr(self, name)
            if name == "grain" and share == KEEP:
                continue
            if type(share) not in (int, float) or not 0.0 <= share <= 1.0:
                raise BadInput(f"{name} is {share!r}, expected 0 to 1")
        if type(self.at_input_size) is not bool:
            raise BadInput(f"at_input_size is {self.at_input_size!r}, expected true or false")
        for name, choices in (
            ("sample", tuple(DTYPES)),
            ("order", ("rgb", "bgr")),
            ("transfer", ("encoded", "linear")),
            ("alpha", ("straight", "premultiplied")),
        ):
            if getattr(self, name) not in choices:
                raise BadInput(f"{name} is {getattr(self, name)!r}", hint=f"one of {', '.join(choices)}")
        for name in ("model", "backend"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise BadInput(f"{name} is {getattr(self, name)!r}, expected a name")

    @property
    def input_bytes(self) -> int:
        """Bytes of all rows together."""
        return self.width * self.height * self.channels * BYTES_PER_SAMPLE[self.sample]

    @property
    def output_size(self) -> tuple[int, int]:
        """(width, height) of the result."""
        factor = 1 if self.at_input_size else self.scale
        return scaled(self.width, factor), scaled(self.height, factor)

    @property
    def factor(self) -> Fraction:
        """`scale` exactly as it reads: 1.1 is 11/10."""
        return Fraction(str(self.scale))

    @property
    def output_row_bytes(self) -> int:
        """Bytes of one row of the result."""
        return self.output_size[0] * self.channels * BYTES_PER_SAMPLE[self.sample]

    def pixels(self, received: bytearray) -> Array:
        """The rows as an array (height, width, channels); a view of `received`."""
        return np.frombuffer(received, DTYPES[self.sample]).reshape(self.height, self.width, self.channels)


def job_from_request(request: dict[str, Any]) -> Job:
    """Return the Job in a request's JSON.

    Raises:
        BadInput: a field is missing, unknown or out of range.
    """
    known = {field.name for field in fields(Job)}
    given = {name: value for name, value in request.items() if name not in ("do", "protocol", "token")}
    if unknown := set(given) - known:
        raise BadInput(f"the request has unknown fields: {', '.join(sorted(unknown))}")
    try:
        return Job(**given)
    except TypeError as error:
        raise BadInput(f"the request is incomplete: {error}") from error
