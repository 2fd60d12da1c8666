"""Decoding on the graphics card, where there is one.

NVDEC decodes to NV12 (8 bits) or P010 (10 bits), and the frames stay on the card for whoever can
read them there (`sr_core.media.device_frames`). Frames of a codec that NVDEC lacks come from the
CPU; FFmpeg decides that a stream at a time.

Note [context]: a pointer of CUDA means something in one context only. TensorRT runs in the primary
context of the card. FFmpeg shares it when told to take the thread's current one; told to take the
primary one it refuses if somebody else, with other flags, was there before.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.codec.hwaccel import HWAccel, HWDevice

from sr_core.backends.cuda import Cuda, find_gpus, gpu_at
from sr_core.engine_key import GpuFacts
from sr_core.errors import NotAvailable
from sr_core.media.native import last_words

_IN_CURRENT_CONTEXT: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}  # See Note [context]


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """NVDEC of one card.

    Attributes:
        shares_frames: frames stay on the card; False: no cuda-bindings here, so nobody could read them there.
    """

    index: int
    shares_frames: bool

    def hwaccel(self) -> HWAccel:
        """What `av.open` takes, to be called in this thread."""
        if not self.shares_frames:
            return HWAccel("cuda", device=self.index, allow_software_fallback=True)
        Cuda().cudaSetDevice(self.index)
        return HWAccel(
            "cuda", device=self.index, allow_software_fallback=True, is_hw_owned=True, options=_IN_CURRENT_CONTEXT
        )


def decoder_on(name: str | None) -> tuple[Decoder | None, str]:
    """Return (the decoder called 'cuda' or 'cuda:1', '') or (None, why decoding stays on the CPU).

    The device is opened once as a probe: `av.open` itself fails where the driver is missing, and
    its error does not say so.

    Raises:
        NotAvailable: there are GPUs, but none of this number.
    """
    if name is None:
        return None, ""
    index = int(name.partition(":")[2] or 0)
    gpus = _gpus()
    if gpus:
        gpu_at(index, gpus)
    try:
        HWDevice("cuda", device=index)
    except (av.FFmpegError, OSError, ValueError, NotImplementedError) as error:
        return None, f"--hwaccel {name} is not available here ({last_words(error)}): decoding on the CPU"
    return Decoder(index=index, shares_frames=bool(gpus)), ""


def _gpus() -> tuple[GpuFacts, ...]:
    """() where CUDA cannot be called, which FFmpeg may still do."""
    try:
        return find_gpus()
    except NotAvailable:
        return ()
