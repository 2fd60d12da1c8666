"""Upscalers in use, shared by every clip of the process.

Opening one compiles networks, so two calls of `upscale` with the same options in one script (the
halves of a split clip) share one. Each node graph holds a `Lease`; VapourSynth drops the graph's
callbacks when its last node is freed, after the last frame, and with the last lease the upscaler is
closed. Nothing depends on that: a host that is killed (Ctrl-C in vspipe, SIGTERM, a closed pipe) runs
no destructor at all.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass

import vapoursynth as vs

import srvid
from sr_core.backend import PRECISIONS, Precision, Progress
from sr_core.errors import BadInput
from sr_core.grain import check_grain
from sr_zoo.models import DEFAULT_MODEL


def demand_whole(name: str, value: object, *, least: int, may_be_none: bool = True) -> None:
    """Scripts pass what they like: raise BadInput unless `value` is a whole number from `least` on."""
    if value is None and may_be_none:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadInput(f"{name} must be a whole number from {least} on, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Everything that makes two upscalers different; see `srvid.open_upscaler`."""

    model: str = DEFAULT_MODEL
    scale: int | None = None
    backend: str = "auto"
    precision: Precision = "auto"
    tile: int | None = None
    threads: int | None = None
    reuse: bool = True
    strength: float = 1.0
    sharpen: float = 0.0
    self_ensemble: bool = False
    grain: float | str = 0.0
    device: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("scale", 1), ("tile", 1), ("threads", 1), ("device", 0)):
            demand_whole(name, getattr(self, name), least=least)
        object.__setattr__(self, "grain", check_grain(self.grain))  # "0" and 0 are one engine
        if self.precision not in PRECISIONS:
            raise BadInput(f"unknown precision {self.precision!r}", hint=f"one of: {', '.join(PRECISIONS)}")


class Lease:
    """The right to use `upscaler` for as long as this object lives."""

    def __init__(self, upscaler: srvid.Upscaler) -> None:
        self.upscaler = upscaler


@dataclass
class _Shared:
    upscaler: srvid.Upscaler
    leases: int = 0


# Reentrant: the collector may drop a lease while its own thread is inside `lease`.
_lock = threading.RLock()
# By environment too: for exact reuse an upscaler holds the last frame, which must not outlive its core.
_Key = tuple[int, EngineOptions]
_open: dict[_Key, _Shared] = {}


def lease(options: EngineOptions) -> Lease:
    """Share the current environment's upscaler with these options, opening it first if nobody has.

    Raises:
        SrError: what `srvid.open_upscaler` raises.
    """
    key = (vs.get_current_environment().env_id, options)
    with _lock:
        shared = _open.get(key)
        if shared is None:
            shared = _open[key] = _Shared(
                srvid.open_upscaler(
                    options.model,
                    scale=options.scale,
                    backend=options.backend,
                    precision=options.precision,
                    tile=options.tile,
                    threads=options.threads,
                    reuse=options.reuse,
                    strength=options.strength,
                    sharpen=options.sharpen,
                    self_ensemble=options.self_ensemble,
                    grain=check_grain(options.grain),
                    device=options.device,
                    progress=_tell_once(),
                    say=_tell,
                )
            )
        shared.leases += 1
        granted = Lease(shared.upscaler)
    # not at interpreter exit: worker threads may still be inside the upscaler then
    weakref.finalize(granted, _give_back, key).atexit = False
    return granted


def _tell(line: str, core: vs.Core | None = None) -> None:
    """One line for the host's log; vspipe and editors show it."""
    (core or vs.core.core).log_message(vs.MESSAGE_TYPE_INFORMATION, f"upscale: {line}")


def _tell_once() -> Progress:
    """A progress callback that names each phase when it begins; it may be called on any thread."""
    core, told = vs.core.core, set[str]()

    def progress(phase: str, share: float) -> None:
        if phase not in told:
            told.add(phase)
            _tell(phase, core)

    return progress


def open_count() -> int:
    """How many upscalers are open; 0 when no clip uses one."""
    with _lock:
        return len(_open)


def _give_back(key: _Key) -> None:
    with _lock:
        shared = _open[key]
        shared.leases -= 1
        if shared.leases:
            return
        del _open[key]
    shared.upscaler.close()
