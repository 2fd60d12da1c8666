"""Why an engine on disk is used, or is not."""

from __future__ import annotations

from dataclasses import dataclass

from sr_core.backends.tensorrt_library import load_library
from sr_core.engine_key import EngineKey, GpuFacts
from sr_core.errors import NotAvailable
from sr_core.wording import as_argument
from trt_build.ensure import recipe
from trt_build.store import Entry


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What decides here: installed library versions, and the GPU or why there is none."""

    library_versions: dict[str, str]
    gpu: GpuFacts | None
    why_no_gpu: str = ""

    @classmethod
    def here(cls) -> Machine:
        """Look at this machine. One process loads one library; the other's version is its package's."""
        from importlib.metadata import PackageNotFoundError, version

        from sr_core.backends.cuda import find_gpus

        versions = {}
        for name, package in (("tensorrt_rtx", "tensorrt-rtx"), ("tensorrt", "tensorrt")):
            try:
                versions[name] = load_library(name).version
            except NotAvailable:
                try:
                    versions[name] = version(package)
                except PackageNotFoundError:
                    continue
        try:
            return cls(library_versions=versions, gpu=find_gpus()[0])
        except NotAvailable as error:
            return cls(library_versions=versions, gpu=None, why_no_gpu=error.as_told(as_argument)[0])


def stale_because(entry: Entry, machine: Machine) -> list[str]:
    """Why nothing on this machine will ever use the engine; empty if something may."""
    if entry.facts is None:
        return [entry.problem]
    key, reasons = entry.facts.key, []
    installed = machine.library_versions.get(key.library)
    if installed is not None and installed != key.library_version:
        reasons.append(f"built by {key.library} {key.library_version}, {installed} is installed")
    if key.recipe != recipe():
        reasons.append(f"lowered to FP16 by recipe {key.recipe!r}, now it is {recipe()!r}")
    return reasons


def unused_because(entry: Entry, machine: Machine) -> list[str]:
    """Why the engine does not run here today, beginning with `stale_because`; empty if it does."""
    reasons = stale_because(entry, machine)
    if entry.facts is None:
        return reasons
    key = entry.facts.key
    if key.library not in machine.library_versions:
        reasons.append(f"{key.library} is not installed")
    if machine.gpu is None:
        return [*reasons, f"there is no GPU to run it: {machine.why_no_gpu}"]
    if key.library == "tensorrt_rtx":
        reasons += _rtx_target(key, machine.gpu)
    elif key.gpu_name not in ("", machine.gpu.name):
        reasons.append(f"built for {key.gpu_name!r}, here is {machine.gpu.name!r}")
    return reasons


def _rtx_target(key: EngineKey, gpu: GpuFacts) -> list[str]:
    if not gpu.rtx_targets:
        return [f"tensorrt_rtx does not support {gpu.name} ({gpu.target})"]
    if key.target in gpu.rtx_targets:
        return []
    return [f"built for {key.target}, here is {gpu.name} ({gpu.target})"]
