"""Which size an output gets: the model's scale, or an exact target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from sr_core.errors import BadInput
from sr_core.wording import option


@dataclass(frozen=True, kw_only=True)
class SizeTarget:
    """What the user asked for; all None = the model's scale.

    Attributes:
        width, height: exact side; the other follows the aspect ratio; both = the largest size
            that fits inside.
        max_side: the longer side.
        megapixels: area, in millions of pixels.
        factor: output over input, where it is not the model's and nothing else is asked for.
    """

    width: int | None = None
    height: int | None = None
    max_side: int | None = None
    megapixels: float | None = None
    factor: Fraction | None = None

    def __post_init__(self) -> None:
        kinds = (self.width or self.height, self.max_side, self.megapixels)
        if sum(kind is not None for kind in kinds) > 1:
            raise BadInput(
                f"{option('width')}/{option('height')}, {option('max_size')} and {option('megapixels')} exclude "
                "each other",
                hint="give one of them",
            )
        for value in (self.width, self.height, self.max_side, self.megapixels):
            if value is not None and not 0 < value < math.inf:
                raise BadInput(f"a target of {value} is not a size")

    def size_for(self, size: tuple[int, int], scale: int) -> tuple[int, int]:
        """(width, height) of the output for an input of `size`."""
        width, height = size
        if self.width or self.height:
            ratios = [ask / have for ask, have in ((self.width, width), (self.height, height)) if ask]
            ratio = min(ratios)
        elif self.max_side:
            ratio = self.max_side / max(size)
        elif self.megapixels:
            ratio = (self.megapixels * 1e6 / (width * height)) ** 0.5
        else:
            factor = scale if self.factor is None else self.factor
            return max(1, round(width * factor)), max(1, round(height * factor))
        result = max(1, round(width * ratio)), max(1, round(height * ratio))
        if self.width and ratio == self.width / width:
            return self.width, result[1]
        if self.height and ratio == self.height / height:
            return result[0], self.height
        return result
