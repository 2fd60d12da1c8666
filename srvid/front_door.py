"""A model's name becomes a running Upscaler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from onnx import ModelProto

from sr_core.backend import BACKENDS, Backend, Precision, Progress
from sr_core.grain import check_grain
from sr_core.model_spec import ModelSpec
from sr_core.tiles.tiling import BegunTile
from sr_zoo.models import DEFAULT_MODEL
from srvid.backend_choice import NVIDIA, Choice, Device, Measure, choose, open_named
from srvid.model_choice import load
from srvid.trial import try_once
from srvid.upscaler import Upscaler


def model_names() -> tuple[str, ...]:
    """Every model that has a name, as `open_upscaler` takes it: 'clear-x4'."""
    from sr_zoo.models import known_names

    return known_names()


def backend_names() -> tuple[str, ...]:
    """What `backend=` accepts."""
    return ("auto", *BACKENDS)


def resolve_model(
    model: str = DEFAULT_MODEL,
    *,
    scale: int | None = None,
    strength: float = 1.0,
    sharpen: float = 0.0,
    self_ensemble: bool = False,
) -> tuple[ModelProto, ModelSpec]:
    """Load a model by name ('clear', 'clear-x4'), a user's own file by path, or a chain of them.

    Args:
        scale: the wanted scale; None takes the model's own.
        strength: 0 to 1: that much of the model, the rest of 'clear', in one graph.
        sharpen: 0 to 1: how much the edges of the result are sharpened, in the same graph; luma only.
        self_ensemble: average it over eight flips and turns (`sr_core.graph.ensemble`).

    Raises:
        BadInput: an unreadable file, a folder, or another scale than the model's.
        NotAvailable: unknown name, or no such scale; a .pth or .safetensors file without the `[import]` extra.
    """
    loaded = load(model, scale=scale, strength=strength, sharpen=sharpen)
    return _add_ensemble(loaded.proto) if self_ensemble else loaded.proto, loaded.spec


def _add_ensemble(proto: ModelProto) -> ModelProto:
    from sr_core.graph.ensemble import self_ensembled

    return self_ensembled(proto)


def open_upscaler(
    model: str = DEFAULT_MODEL,
    *,
    scale: int | None = None,
    backend: str = "auto",
    precision: Precision = "auto",
    tile: int | tuple[int, int] | BegunTile | None = None,
    threads: int | None = None,
    strength: float = 1.0,
    sharpen: float = 0.0,
    self_ensemble: bool = False,
    grain: float | Literal["keep"] = 0.0,
    device: Device = None,
    shared_tiles: bool = False,
    reuse: bool = True,
    wait_for_engine: bool = True,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Upscaler:
    """Open `model` on the best backend of this machine; close the result, or use `with`.

    Args:
        model: a name, a path to .onnx, .pth, .safetensors or .param, or a chain: 'clean.pth,clear'.
        scale: output pixels per input pixel; None takes the model's own, and 4 of a family such as 'clear'.
        backend: 'auto', or a name of `backend_names()`.
        precision: 'auto', 'exact' (FP32 throughout) or 'fast'.
        tile: side, or (width, height), of what a tile reads, in input pixels; None = chosen here.
        threads: CPU threads to use; None = all.
        strength, sharpen, self_ensemble: see `resolve_model`; the last is a little better, eight times slower.
        grain: film grain over the result: 0 to 1, or 'keep' for what the input had and the network took away.
        device: the GPU's number, as `srkit doctor` lists them, or 'GPU.0' or 'NPU', as OpenVINO calls Intel's;
            None = chosen here.
        shared_tiles, reuse: see `sr_core.upscaler.Upscaler`.
        wait_for_engine, say: see `choose_backend`.
        progress: called as (phase, share done) while engines are built or ways are tried.

    Raises:
        SrError: with what to do next; nothing is left open.
    """
    grain = check_grain(grain)
    loaded = load(model, scale=scale, strength=strength, sharpen=sharpen)
    opened = choose_backend(
        backend,
        threads=threads,
        device=device,
        wait_for_engine=wait_for_engine,
        say=say,
        measure=partial(_fastest_first, loaded.proto, loaded.spec, precision, progress),
    )
    if loaded.is_foreign:
        try_once(loaded.proto, loaded.spec, opened)
    upscaler = Upscaler(
        _add_ensemble(loaded.proto) if self_ensemble else loaded.proto,
        loaded.spec,
        opened,
        precision=precision,
        tile=tile,
        shared_tiles=shared_tiles,
        reuse=reuse,
        progress=progress,
    )
    upscaler.grain = grain
    return upscaler


def _fastest_first(
    proto: ModelProto, spec: ModelSpec, precision: Precision, progress: Progress | None, backends: Sequence[Backend]
) -> Sequence[Backend]:
    from srvid.device_trial import fastest_first

    return fastest_first(backends, proto, spec, precision=precision, progress=progress)[0]


def choose_backend(
    name: str = "auto",
    *,
    threads: int | None = None,
    device: Device = None,
    wait_for_engine: bool = True,
    say: Callable[[str], None] | None = None,
    measure: Measure | None = None,
) -> Backend:
    """Open the named backend; 'auto' takes the best one here (`srvid.backend_choice`).

    Args:
        device: as of `open_upscaler`; then nothing but that device is taken.
        wait_for_engine: False starts on OpenVINO while a TensorRT engine is being built, and swaps
            between two frames (`sr_core.backends.handover`).
        say: gets one line: which backend, on what, and why nothing better; and one where 'auto' has to go on
            with another one, because the graph does not open there.
        measure: see `srvid.backend_choice.choose`.

    Raises:
        NotAvailable: a named backend is not here, or 'auto' found none.
        EngineError: none that is here runs the model.
    """
    if name == "auto":
        choice = choose(threads=threads, device=device, measure=measure)
    else:
        choice = Choice(backend=open_named(name, threads=threads, device=device))
    if say is not None:
        say(choice.line)
    if wait_for_engine or choice.backend.name not in NVIDIA:
        if name != "auto" or choice.is_on_cpu:
            return choice.backend  # what was asked for, or what is always there
        from sr_core.backends.next_best import NextBest

        return NextBest(choice.backend, choice.others(), say=say)
    from sr_core.backends.handover import HandoverBackend

    return HandoverBackend(open_named("openvino", threads=threads), choice.backend)
