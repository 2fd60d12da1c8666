"""Which backend 'auto' takes, and why not the ones before it.

    NVIDIA card, TensorRT package      tensorrt_rtx or tensorrt, whichever the card is made for; not measured,
                                       because that would build an engine, which takes minutes
    otherwise all of these that are here, measured for the model (`srvid.device_trial`):
        openvino                       the CPU, preferred where others are not clearly faster
        openvino                       Intel's GPUs and NPU
        onnxruntime                    CUDA, DirectML, CoreML
        webgpu                         any GPU; never one that the CPU pretends to be

A backend that is passed over always leaves a reason behind: falling to the CPU is said, not silent. The others
stand by: where the one that was taken cannot open the graph, the next one does (`sr_core.backends.next_best`).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from sr_core.backend import BACKENDS, Backend, open_backend
from sr_core.errors import NotAvailable, SrError
from sr_core.wording import option

NVIDIA = ("tensorrt_rtx", "tensorrt")
_LABELS = {
    "openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "webgpu": "WebGPU",
    "tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX",
}  # fmt: skip
Device = int | str | None
"""A GPU's number, OpenVINO's name of a device ('GPU.0', 'NPU'), or None."""
Measure = Callable[[Sequence[Backend]], Sequence[Backend]]
"""Puts the backend to take first, and leaves out those that do not run the model."""
_Candidate = tuple[str, Device, str]  # (backend, its device, why not)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The backend that was taken, and (name, reason) of each that was passed over.

    Attributes:
        others: those that stand by, in order; opened when they are asked for.
        measured: how many were measured against each other; 0 where there was nothing to choose.
    """

    backend: Backend
    passed_over: tuple[tuple[str, str], ...] = ()
    others: Callable[[], Iterator[Backend]] = lambda: iter(())
    measured: int = 0

    @property
    def line(self) -> str:
        """One line for the user: what runs, on what, and who says why nothing faster does."""
        name = _LABELS.get(self.backend.name, self.backend.name)
        where = "the CPU" if self.is_on_cpu else self.backend.device
        if self.measured:
            return f"{name} on {where}, measured against {self.measured - 1} more; srkit doctor shows how"
        return f"{name} on {where}" + ("; srkit doctor says why not faster" if self.passed_over else "")

    @property
    def is_on_cpu(self) -> bool:
        """No graphics card is used."""
        return self.backend.name not in NVIDIA and self.backend.on_cpu


def open_named(name: str, *, threads: int | None = None, device: Device = None) -> Backend:
    """Open one backend; the TensorRT ones come with their engine builder.

    Raises:
        NotAvailable: unknown name, or its package, driver or device is missing.
    """
    if name in NVIDIA and find_spec(name) is not None and not isinstance(device, str):
        from trt_build.opener import open_tensorrt

        return open_tensorrt(name, threads=threads, device=device)
    return open_backend(name, threads=threads, device=device)


def choose(*, threads: int | None = None, device: Device = None, measure: Measure | None = None) -> Choice:
    """Open the best backend of this machine, or the best that runs on `device`.

    Args:
        measure: where more than one could be taken; without it the preferred one is.

    Raises:
        NotAvailable: not even OpenVINO works; or there is no such device, or nothing that runs on it.
        EngineError: none of those that are here runs the model.
    """
    if isinstance(device, str):  # a name of OpenVINO's: nothing else has it, and its refusal is the answer
        return Choice(backend=open_named("openvino", threads=threads, device=device))
    passed_over: list[tuple[str, str]] = []
    opened = _open_each(_candidates(device), threads=threads, passed_over=passed_over)
    first = next(opened, None)
    if first is None:
        raise _nothing(passed_over, device)
    if first.name in NVIDIA:
        return Choice(backend=first, passed_over=tuple(passed_over), others=lambda: opened)
    ordered: Sequence[Backend] = (first, *opened)
    measured = len(ordered) if measure is not None and len(ordered) > 1 else 0
    if measure is not None and measured:
        ordered = measure(ordered)
    best, *rest = ordered
    return Choice(backend=best, passed_over=tuple(passed_over), others=lambda: iter(rest), measured=measured)


def has_nvidia_driver() -> bool:
    """Whether NVIDIA's driver library loads, without any package of ours."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _open_each(
    candidates: Iterator[_Candidate], *, threads: int | None, passed_over: list[tuple[str, str]]
) -> Iterator[Backend]:
    """Those that open, one by one; `passed_over` gets the others with their reasons."""
    for name, device, reason in candidates:
        if reason:
            passed_over.append((name, reason))
            continue
        try:
            backend = open_named(name, threads=threads, device=device)
        except SrError as error:
            if not isinstance(error, NotAvailable) and name == "openvino" and device is None:
                raise  # the CPU's own refusal is of what the user asked for, and nothing stands behind it
            passed_over.append((name, error.message + (f" ({error.unspelled_hint})" if error.unspelled_hint else "")))
            continue
        if name == "onnxruntime" and backend.on_cpu:  # OpenVINO is faster there
            passed_over.append((name, "the installed package reaches no GPU"))
        elif getattr(backend, "is_software", False):
            passed_over.append((name, f"{backend.device} is the CPU, pretending to be a GPU"))
        else:
            yield backend


def _nothing(passed_over: Sequence[tuple[str, str]], device: int | None) -> NotAvailable:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in passed_over)
    if device is not None:
        return NotAvailable(
            f"nothing runs on GPU {device} here: {reasons}", hint=f"leave {option('device')} out; see srkit doctor"
        )
    return NotAvailable(f"no backend works here: {reasons}", hint="reinstall srvid: it brings OpenVINO")


def _candidates(device: int | None = None) -> Iterator[_Candidate]:
    """Each worth opening, in order of preference, and each that is not, with the reason."""
    for name, reason in _nvidia(device):
        yield name, device, reason
    for name in ("openvino", "onnxruntime", "webgpu"):
        missing = "" if find_spec(BACKENDS[name][1]) is not None else "its package is not installed"
        yield name, device, missing
        if name == "openvino" and not missing and device is None:
            yield from ((name, found, "") for found in _intel_devices())


def _intel_devices() -> tuple[str, ...]:
    """OpenVINO's names of the GPUs and NPUs that it finds."""
    from sr_core.backends.openvino_devices import named_accelerators

    return tuple(device for device, _ in named_accelerators())


def _nvidia(device: int | None) -> Iterator[tuple[str, str]]:
    installed = [name for name in NVIDIA if find_spec(name) is not None]
    if installed:
        yield from _nvidia_candidates(installed, device)
        return
    found = "an NVIDIA driver is here, but no TensorRT: pip install 'srvid[rtx]'"
    yield "tensorrt_rtx", found if has_nvidia_driver() else "no NVIDIA driver was found"


def _nvidia_candidates(installed: list[str], device: int | None) -> Iterator[tuple[str, str]]:
    from sr_core.backends.cuda import find_gpus, gpu_at

    try:
        gpus = find_gpus()
    except NotAvailable as error:
        yield installed[0], error.message
        return
    gpu = gpu_at(device, gpus)  # a number that does not exist is an error, not a reason to go on
    for name in gpu.libraries:
        missing = f"{gpu.name} is here: pip install 'srvid[{BACKENDS[name][2]}]'"
        yield name, "" if name in installed else missing
