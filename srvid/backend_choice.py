"""Which backend 'auto' takes, and why not the ones before it.

    NVIDIA card, TensorRT package     tensorrt_rtx or tensorrt, whichever the card is made for
    onnxruntime that reaches a GPU    onnxruntime (CUDA, DirectML, CoreML)
    anything else                     openvino

A backend that is passed over always leaves a reason behind: falling to the CPU is said, not silent.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from sr_core.backend import BACKENDS, Backend, open_backend
from sr_core.errors import NotAvailable

NVIDIA = ("tensorrt_rtx", "tensorrt")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The backend that was taken, and (name, reason) of each that was passed over."""

    backend: Backend
    passed_over: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        """One line for the user: what runs, on what, and why nothing better."""
        why = "; ".join(f"{name}: {reason}" for name, reason in self.passed_over)
        return f"{self.backend.name} on {self.backend.device}" + (f" ({why})" if why else "")


def open_named(name: str, *, threads: int | None = None, device: int | None = None) -> Backend:
    """Open one backend; the TensorRT ones come with their engine builder.

    Raises:
        NotAvailable: unknown name, or its package, driver or device is missing.
    """
    if name in NVIDIA and find_spec(name) is not None:
        from trt_build.opener import open_tensorrt

        return open_tensorrt(name, threads=threads, device=device)
    return open_backend(name, threads=threads, device=device)


def choose(*, threads: int | None = None, device: int | None = None) -> Choice:
    """Open the best backend of this machine, or the best that runs on GPU `device`.

    Raises:
        NotAvailable: not even OpenVINO works; or there is no GPU `device`, or nothing that runs on it.
    """
    passed_over: list[tuple[str, str]] = []
    for name, reason in _candidates(device):
        if reason:
            passed_over.append((name, reason))
            continue
        try:
            backend = open_named(name, threads=threads, device=device)
        except NotAvailable as error:
            passed_over.append((name, f"{error}" + (f" ({error.hint})" if error.hint else "")))
            continue
        if name == "onnxruntime" and backend.tunes_tiles:  # True on a CPU, where OpenVINO is faster
            passed_over.append((name, "the installed package reaches no GPU"))
            continue
        return Choice(backend=backend, passed_over=tuple(passed_over))
    reasons = "; ".join(f"{name}: {reason}" for name, reason in passed_over)
    if device is not None:
        raise NotAvailable(f"nothing runs on GPU {device} here: {reasons}", hint="leave --device out; see srkit doctor")
    raise NotAvailable(f"no backend works here: {reasons}", hint="reinstall srvid: it brings OpenVINO")


def has_nvidia_driver() -> bool:
    """Whether NVIDIA's driver library loads, without any package of ours."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _candidates(device: int | None = None) -> Iterator[tuple[str, str]]:
    """(backend, '') for each worth opening, in order of preference, or (backend, why not)."""
    installed = [name for name in NVIDIA if find_spec(name) is not None]
    if not installed:
        found = "an NVIDIA driver is here, but no TensorRT: pip install 'srvid[rtx]'"
        yield "tensorrt_rtx", found if has_nvidia_driver() else "no NVIDIA driver was found"
    else:
        yield from _nvidia_candidates(installed, device)
    for name in ("onnxruntime", "openvino"):
        yield name, "" if find_spec(BACKENDS[name][1]) is not None else "its package is not installed"


def _nvidia_candidates(installed: list[str], device: int | None) -> Iterator[tuple[str, str]]:
    from sr_core.backends.cuda import find_gpus, gpu_at

    try:
        gpus = find_gpus()
    except NotAvailable as error:
        yield installed[0], f"{error}"
        return
    gpu = gpu_at(device, gpus)  # a number that does not exist is an error, not a reason to go on
    for name in gpu.libraries:
        missing = f"{gpu.name} is here: pip install 'srvid[{BACKENDS[name][2]}]'"
        yield name, "" if name in installed else missing
