"""A model's name becomes a running Upscaler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sr_core.backend import BACKENDS, Backend, Precision, Progress
from sr_core.errors import BadInput, NotAvailable
from srvid.backend_choice import NVIDIA, Choice, choose, open_named

if TYPE_CHECKING:
    from onnx import ModelProto

    from sr_core.model_spec import ModelSpec
    from sr_core.upscaler import Upscaler

DEFAULT_MODEL = "clear"
SCALES = (2, 3, 4)  # that front ends offer


def backend_names() -> tuple[str, ...]:
    """What `backend=` accepts."""
    return ("auto", *BACKENDS)


def resolve_model(
    model: str = DEFAULT_MODEL, *, scale: int | None = None, self_ensemble: bool = False
) -> tuple[ModelProto, ModelSpec]:
    """Load a shipped model by name ('clear', 'clear-x4') or a user's own file by path.

    Args:
        scale: the wanted scale; needed for a name without '-xN', checked for everything else.
        self_ensemble: average it over eight flips and turns (`sr_core.ensemble`).

    Raises:
        BadInput: an unreadable file, a folder, or another scale than the model's.
        NotAvailable: unknown name, or no such scale; a .pth or .safetensors file without the `[import]` extra.
    """
    from sr_core.model_spec import MODEL_SUFFIXES, load_model, spec_of

    is_path = model.lower().endswith(MODEL_SUFFIXES) or "/" in model or "\\" in model
    if is_path:
        from sr_zoo.importing import imported_model

        path = imported_model(Path(model))
    else:
        from sr_zoo.models import find_model

        try:
            path = find_model(model, scale=scale)
        except NotAvailable as error:
            if not model or not Path(model).exists():
                raise
            kind = "a folder" if Path(model).is_dir() else f"a file that does not end in {', '.join(MODEL_SUFFIXES)}"
            raise BadInput(f"{model} is {kind}, and no model is called so", hint=error.hint) from error
    proto = load_model(path)
    spec = spec_of(proto)
    if spec is None:
        raise AssertionError(f"{path} passed import without a spec")
    if scale is not None and spec.scale != scale:
        raise BadInput(
            f"model {spec.name!r} enlarges {spec.scale} times, but scale {scale} was asked for",
            hint=f"use --scale {spec.scale}, or another model"
            if spec.scale in SCALES
            else "give a model that enlarges 2, 3 or 4 times",
        )
    if self_ensemble:
        from sr_core.ensemble import self_ensembled

        proto = self_ensembled(proto)
    return proto, spec


def open_upscaler(
    model: str = DEFAULT_MODEL,
    *,
    scale: int | None = 4,
    backend: str = "auto",
    precision: Precision = "auto",
    tile: int | tuple[int, int] | None = None,
    threads: int | None = None,
    self_ensemble: bool = False,
    device: int | None = None,
    shared_tiles: bool = False,
    reuse: bool = True,
    wait_for_engine: bool = True,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Upscaler:
    """Open `model` on the best backend of this machine; close the result, or use `with`.

    Args:
        model: a shipped name, or a path to .onnx, .pth or .safetensors.
        scale: 2, 3 or 4; None takes the scale of a model given by path or full name.
        backend: 'auto', or a name of `backend_names()`.
        precision: 'auto', 'exact' (FP32 throughout) or 'fast'.
        tile: side, or (width, height), of what a tile reads, in input pixels; None = chosen here.
        threads: CPU threads to use; None = all.
        self_ensemble: see `resolve_model`: a little better, eight times slower.
        device: number of the GPU to use, as `srkit doctor` lists them; None = chosen here.
        shared_tiles, reuse: see `sr_core.upscaler.Upscaler`.
        wait_for_engine, say: see `choose_backend`.
        progress: called as (phase, share done) while engines are built or tiles are measured.

    Raises:
        SrError: with what to do next; nothing is left open.
    """
    from sr_core.upscaler import Upscaler

    proto, spec = resolve_model(model, scale=scale, self_ensemble=self_ensemble)
    return Upscaler(
        proto,
        spec,
        choose_backend(backend, threads=threads, device=device, wait_for_engine=wait_for_engine, say=say),
        precision=precision,
        tile=tile,
        shared_tiles=shared_tiles,
        reuse=reuse,
        progress=progress,
    )


def choose_backend(
    name: str = "auto",
    *,
    threads: int | None = None,
    device: int | None = None,
    wait_for_engine: bool = True,
    say: Callable[[str], None] | None = None,
) -> Backend:
    """Open the named backend; 'auto' takes the best one here (`srvid.backend_choice`).

    Args:
        device: the GPU's number; then nothing but that GPU is taken.
        wait_for_engine: False starts on OpenVINO while a TensorRT engine is being built, and swaps
            between two frames (`sr_core.handover`).
        say: gets one line: which backend, on what, and why nothing better.

    Raises:
        NotAvailable: a named backend is not here, or 'auto' found none.
    """
    if name == "auto":
        choice = choose(threads=threads, device=device)
    else:
        choice = Choice(backend=open_named(name, threads=threads, device=device))
    if say is not None:
        say(choice.line)
    if wait_for_engine or choice.backend.name not in NVIDIA:
        return choice.backend
    from sr_core.handover import HandoverBackend

    return HandoverBackend(open_named("openvino", threads=threads), choice.backend)
