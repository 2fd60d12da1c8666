"""Models tried on moments of a file, with what they measured: the columns of `srkit compare --model`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sr_core.errors import BadInput
from sr_core.wording import text_from_bytes
from sr_ui.library import kind_of
from sr_ui.looks import Asked, Looks, exact
from sr_ui.suggested import suggest_target

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class Way:
    """A model, and how it is used."""

    model: str
    strength: float = 1.0
    sharpen: float = 0.0
    grain: float | Literal["keep"] = 0.0

    @property
    def name(self) -> str:
        """Such as 'restore, strength 0.5, grain keep'."""
        _, *shares = ((field, getattr(self, field.name)) for field in fields(self))
        return self.model + "".join(f", {field.name} {value}" for field, value in shares if value != field.default)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One model.

    Attributes:
        pictures: one for each moment.
        words: its scale, its speed here, and what the whole file would take.
    """

    name: str
    pictures: tuple[Image, ...]
    words: tuple[str, ...]


def try_ways(path: Path, ways: Sequence[Way], moments: Sequence[float | None], scale: float | None) -> list[Tried]:
    """Each way on each of the `moments` of a video; of an image there is one, None.

    Args:
        scale: output over input; None takes the first model's own.

    Raises:
        SrError: the file cannot be read, a model cannot run, or the pictures are too large for a page.
    """
    from srvid.recipe import EngineRecipe

    wanted = EngineRecipe(model=ways[0].model).scales()[0] if scale is None else exact(scale)
    looks = Looks()
    try:
        return [_try(looks, path, way, moments, wanted) for way in ways]
    finally:
        looks.close()


def _try(looks: Looks, path: Path, way: Way, moments: Sequence[float | None], scale: Fraction) -> Tried:
    from PIL import Image

    pictures, seconds = [], 0.0
    for at in moments:
        begin = Fraction(at or 0).limit_denominator(1000)
        asked = Asked(
            path=path, kind=kind_of(path), seconds=begin, scale=scale,
            **asdict(way),
        )  # fmt: skip
        look = looks.look(asked)
        pictures.append(Image.open(io.BytesIO(look.png)).convert("RGB"))
        seconds = look.engine_seconds
    if kind_of(path) == "image":
        figures: tuple[str, ...] = (f"{seconds:.1f} s here",)
    else:
        options = {"scale": float(scale)} | asdict(way)
        figures = _figures(looks.estimate(path, suggest_target(path, options), options))
    return Tried(name=way.name, pictures=tuple(pictures), words=(f"×{float(scale):g}", *figures))


def _figures(found: dict[str, Any]) -> tuple[str, ...]:
    from sr_video.timing import text_from_seconds

    words = [f"{found['fps']:.3g} frames a second here"]
    if found["seconds"] is not None:
        words.append(f"{text_from_seconds(found['seconds'])} for all of it")
    if found["output_bytes"] is not None:
        words.append(f"about {text_from_bytes(found['output_bytes'])}")
    return tuple(words)


def check_sizes(tried: Sequence[Tried], size: tuple[int, int]) -> None:
    """Refuse pictures that cannot lie over others.

    Raises:
        BadInput: one is of another size than `size`.
    """
    for column in tried:
        for picture in column.pictures:
            if picture.size != size:
                raise BadInput(
                    f"{column.name} makes {picture.width}x{picture.height} of it, and the others are "
                    f"{size[0]}x{size[1]}",
                    hint="give the --scale of the others" if picture.width < size[0] else "try a smaller --scale",
                )
