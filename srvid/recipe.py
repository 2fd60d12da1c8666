"""Which engine, as a value: it can be sent to another process or machine, and opens the same there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Protocol, cast, get_args

from sr_core.backend import BACKENDS, Precision, Progress, backend_hint
from sr_core.errors import BadInput, NotAvailable
from sr_core.grain import check_grain
from sr_core.model_spec import LARGEST_SCALE
from sr_core.tiles.tiling import BegunTile
from sr_core.wording import option
from sr_work.likeness import installed_versions
from sr_zoo.models import DEFAULT_MODEL
from srvid.backend_choice import NVIDIA
from srvid.front_door import backend_names, open_upscaler
from srvid.model_choice import check_share, engine_scale, scales_of

if TYPE_CHECKING:
    from sr_image.strips import StripUpscaler
    from sr_video.segments.maker import SegmentEngine

    class Engine(SegmentEngine, StripUpscaler, Protocol):
        """Upscales video and images, and says what decides their bytes."""


NEAREST = "nearest"  # not a network: repeats pixels, for dry runs


@dataclass(frozen=True, kw_only=True)
class EngineRecipe:
    """The arguments of `open_upscaler`, see there; `progress` and `say` stay in this process."""

    model: str = DEFAULT_MODEL
    backend: str = "auto"
    precision: Precision = "auto"
    tile: int | tuple[int, int] | BegunTile | None = None
    threads: int | None = None
    strength: float = 1.0
    sharpen: float = 0.0
    self_ensemble: bool = False
    grain: float | Literal["keep"] = 0.0
    device: int | str | None = None
    shared_tiles: bool = False
    wait_for_engine: bool = True
    progress: Progress | None = None
    say: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        if self.backend not in backend_names():
            raise NotAvailable(f"unknown backend {self.backend!r}", hint=backend_hint(self.backend))
        check_share("strength", self.strength)
        check_share("sharpen", self.sharpen)
        check_grain(self.grain)
        if self.model == NEAREST:
            given = {
                "backend": self.backend != "auto", "precision": self.precision != "auto",
                "tile": self.tile is not None, "device": self.device is not None,
                "strength": self.strength != 1.0, "sharpen": self.sharpen != 0.0,
                "self_ensemble": self.self_ensemble, "grain": bool(self.grain),
            }  # fmt: skip
            if idle := [option(name) for name, is_given in given.items() if is_given]:
                raise BadInput(
                    f"{option('model', 'nearest')} runs no network: {', '.join(idle)} would do nothing",
                    hint=f"leave {' and '.join(idle)} out",
                )

    @property
    def gpus(self) -> int:
        """How many one engine needs."""
        return int(self.backend in NVIDIA)

    @property
    def takes_gpu(self) -> bool:
        """It would use one if there is one."""
        return self.backend in (*NVIDIA, "auto") and self.model != NEAREST

    def scales(self, wanted: Fraction | None = None) -> tuple[Fraction, tuple[int, ...]]:
        """(output over input, what the engine can be opened at, the smallest first).

        Args:
            wanted: output over input; None takes the model's own.

        Raises:
            BadInput, NotAvailable: the model cannot be opened.
        """
        if self.model == NEAREST:
            return (Fraction(4) if wanted is None else wanted), tuple(range(1, LARGEST_SCALE + 1))
        own = Fraction(engine_scale(self.model)) if wanted is None else wanted
        return own, scales_of(self.model)

    def open(self, scale: int) -> AbstractContextManager[Engine]:
        """Open the engine."""
        if self.model == NEAREST:
            from sr_video.nearest import NearestUpscaler

            return NearestUpscaler(scale)
        return open_upscaler(
            self.model,
            scale=scale,
            backend=self.backend,
            precision=self.precision,
            tile=self.tile,
            threads=self.threads,
            strength=self.strength,
            sharpen=self.sharpen,
            self_ensemble=self.self_ensemble,
            grain=self.grain,
            device=self.device,
            shared_tiles=self.shared_tiles,
            wait_for_engine=self.wait_for_engine,
            progress=self.progress,
            say=self.say,
        )

    def like(self, identity: dict[str, str]) -> EngineRecipe:
        """This choice, with what it leaves open bound to what `identity` found.

        Its 'tile now' is what memory left of 'tile'; both are taken for a beginning, which may give way again.
        """
        if self.model == NEAREST or "tile" not in identity:
            return self
        return replace(
            self,
            backend=identity["backend"] if self.backend == "auto" else self.backend,
            tile=_begun_tile(identity) if self.tile is None else self.tile,
            precision=_bound_precision(self.precision, identity),
            device=identity.get("device") if self.device is None else self.device,
        )

    def versions(self) -> dict[str, str]:
        """Of srvid and of every runtime installed here."""
        from srvid import __version__

        return {"srvid": __version__} | installed_versions(
            {module for _, module, _ in BACKENDS.values()} | {"numpy", "onnx"}
        )

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"progress": None, "say": None}


def _begun_tile(identity: dict[str, str]) -> BegunTile:
    first = identity["tile"]
    (width, height), (width_now, height_now) = (
        map(int, text.split("x")) for text in (first, identity.get("tile now", first))
    )
    return BegunTile((width, height), (width_now, height_now))


def _bound_precision(wanted: Precision, identity: dict[str, str]) -> Precision:
    """What `wanted` came to where the identity was found: a trial elsewhere could find otherwise."""
    found = identity["precision"]
    is_open = wanted in ("auto", "fast") and identity["backend"] == "openvino"
    return cast("Precision", found) if is_open and found in get_args(Precision) else wanted


def check_steady(steady: bool, grain: float | Literal["keep"]) -> None:
    """Refuse to average over three frames what is new in each.

    Raises:
        BadInput: both are asked for.
    """
    if steady and grain:
        raise BadInput(
            f"{option('steady', True)} would average the grain of {option('grain', grain)} away", hint="leave one out"
        )
