"""Which engine, as a value: it can be sent to another process or machine, and opens the same there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Protocol

from sr_core.backend import BACKENDS, Precision, Progress
from sr_core.errors import BadInput, NotAvailable
from srvid.backend_choice import NVIDIA
from srvid.front_door import DEFAULT_MODEL, backend_names, open_upscaler, resolve_model

if TYPE_CHECKING:
    from sr_core.color import ColorSpec
    from sr_core.frame import PixelFormat
    from sr_core.image.bands import BandUpscaler
    from sr_core.media.transcode import FrameEngine

    class Engine(FrameEngine, BandUpscaler, Protocol):
        """Upscales video and images."""


NEAREST = "nearest"  # not a network: repeats pixels, for dry runs


class FrameKind(Protocol):
    """The frames an engine is for; a video's facts are one."""

    @property
    def format(self) -> PixelFormat: ...

    @property
    def color(self) -> ColorSpec: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """The arguments of `open_upscaler`, see there; `progress` and `say` stay in this process."""

    model: str = DEFAULT_MODEL
    backend: str = "auto"
    precision: Precision = "auto"
    tile: int | tuple[int, int] | None = None
    threads: int | None = None
    self_ensemble: bool = False
    device: int | None = None
    shared_tiles: bool = False
    wait_for_engine: bool = True
    progress: Progress | None = None
    say: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        if self.backend not in backend_names():
            raise NotAvailable(f"unknown backend {self.backend!r}", hint=f"choose one of: {', '.join(backend_names())}")
        if self.model == NEAREST:
            given = {
                "--backend": self.backend != "auto", "--precision": self.precision != "auto",
                "--tile": self.tile is not None, "--device": self.device is not None,
                "--self-ensemble": self.self_ensemble,
            }  # fmt: skip
            if idle := [option for option, is_given in given.items() if is_given]:
                raise BadInput(
                    f"--model nearest runs no network: {', '.join(idle)} would do nothing", hint=f"leave {idle[0]} out"
                )

    @property
    def gpus(self) -> int:
        """How many one engine needs."""
        return int(self.backend in NVIDIA)

    @property
    def takes_gpu(self) -> bool:
        """It would use one if there is one."""
        return self.backend in (*NVIDIA, "auto") and self.model != NEAREST

    def __call__(self, scale: int) -> AbstractContextManager[Engine]:
        """Open the engine."""
        if self.model == NEAREST:
            from sr_core.media.nearest import NearestUpscaler

            return NearestUpscaler(scale)
        return open_upscaler(
            self.model,
            scale=scale,
            backend=self.backend,
            precision=self.precision,
            tile=self.tile,
            threads=self.threads,
            self_ensemble=self.self_ensemble,
            device=self.device,
            shared_tiles=self.shared_tiles,
            wait_for_engine=self.wait_for_engine,
            progress=self.progress,
            say=self.say,
        )

    def identity(self, scale: int, facts: FrameKind) -> dict[str, str]:
        """Everything about the engine that decides the output's bytes; opens it to find out."""
        if self.model == NEAREST:
            return {"model": NEAREST}
        from sr_core.upscaler import Upscaler

        proto, spec = resolve_model(self.model, scale=scale, self_ensemble=self.self_ensemble)
        frames = (facts.format, facts.color, facts.width, facts.height)
        with replace(self, say=None)(scale) as upscaler:
            assert isinstance(upscaler, Upscaler)
            width, height = upscaler.read_size_for(*frames)
            return {
                "model": spec.name,
                "model digest": hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()[:32],
                "backend": upscaler.backend.name,
                "precision": upscaler.precision_for(*frames),
                "tile": f"{width}x{height}",
            }

    def like(self, identity: dict[str, str]) -> EngineChoice:
        """This choice, with what it leaves open bound to what `identity` found."""
        if self.model == NEAREST or "tile" not in identity:
            return self
        width, _, height = identity["tile"].partition("x")
        return replace(
            self,
            backend=identity["backend"] if self.backend == "auto" else self.backend,
            tile=(int(width), int(height)) if self.tile is None else self.tile,
        )

    def versions(self) -> dict[str, str]:
        """Of srvid and of every runtime installed here."""
        from srvid import __version__

        return {"srvid": __version__} | installed({module for _, module, _ in BACKENDS.values()} | {"numpy", "onnx"})

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"progress": None, "say": None}


def installed(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those of `packages` that are installed."""
    found: dict[str, str] = {}
    for package in sorted(packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
