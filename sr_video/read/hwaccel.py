"""Decoding on the graphics card, where there is one.

NVDEC decodes to NV12 (8 bits) or P010 (10 bits), and the frames stay on the card for whoever can
read them there (`sr_video.read.device_frames`). Frames of a codec that NVDEC lacks come from the
CPU; FFmpeg decides that a stream at a time.

Note [context]: a pointer of CUDA means something in one context only. TensorRT runs in the primary
context of the card. FFmpeg shares it when told to take the thread's current one; told to take the
primary one it refuses if somebody else, with other flags, was there before.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.codec.hwaccel import HWAccel, HWDevice
from av.video.stream import VideoStream

from sr_core.backends.cuda import Cuda, find_gpus, gpu_at
from sr_core.engine_key import GpuFacts
from sr_core.errors import EngineError, NotAvailable
from sr_core.wording import option
from sr_video.native import last_words
from sr_video.read.device_frames import device_of, planes_on
from sr_video.read.facts import VideoFacts


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
        return HWAccel(
            "cuda",
            device=self.index,
            allow_software_fallback=True,
            is_hw_owned=self.shares_frames,
            options=self._in_context(),
        )

    def try_device(self) -> None:
        """Open the device and let it go; raises FFmpeg's or CUDA's error where it cannot be opened."""
        HWDevice("cuda", device=self.index, options=self._in_context())

    def _in_context(self) -> dict[str, object]:
        if not self.shares_frames:
            return {}
        Cuda().cudaSetDevice(self.index)  # makes TensorRT's context this thread's; see Note [context]
        return {"primary_ctx": "0", "current_ctx": "1"}


def find_departures(decoder: Decoder, stream: VideoStream, first: av.VideoFrame, facts: VideoFacts) -> list[str]:
    """What does not happen on the card although it was asked for, for people."""
    if not stream.codec_context.is_hwaccel or (decoder.shares_frames and first.sw_format is None):
        return [f"the card does not decode this {facts.codec}: decoding on the CPU"]
    if not decoder.shares_frames:
        return []
    if facts.is_interlaced:
        return ["frames are downloaded from the card to be deinterlaced"]
    if planes_on(device_of(first), first, facts.format) is None:
        return [f"{facts.pix_fmt} of {facts.width}x{facts.height} cannot stay on the card: frames are downloaded"]
    return []


def card_of_frames(decoder: Decoder | None, departures: list[str]) -> int | None:
    """The card that decoded frames stay on; None: they are in ordinary memory, or are not read on the card."""
    return decoder.index if decoder is not None and decoder.shares_frames and not departures else None


def decoding_threads(codec: str) -> int:
    """FFmpeg's threads for a decoder on the card, each of which takes surfaces of its own.

    NVDEC gives 32 to a stream. H.264 keeps up to 16 pictures, and every thread asks for as many again as it holds
    back: with one a CPU FFmpeg asked for more than there are, and the card "did not decode this".
    """
    return 1 if codec.startswith("h264") else 2


def decoder_on(name: str | None) -> tuple[Decoder | None, str]:
    """Return (the decoder called 'cuda' or 'cuda:1', '' or what it cannot do), or (None, why not).

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
    problem = ""
    for shares_frames in (True, False) if gpus else (False,):
        decoder = Decoder(index=index, shares_frames=shares_frames)
        try:
            decoder.try_device()
        except (av.FFmpegError, EngineError, OSError, ValueError, NotImplementedError) as error:
            problem = last_words(error)
        else:
            return decoder, f"frames are downloaded from the card: {problem}" if problem else ""
    return None, f"{option('hwaccel', name)} is not available here ({problem}): decoding on the CPU"


def _gpus() -> tuple[GpuFacts, ...]:
    """() where CUDA cannot be called, which FFmpeg may still do."""
    try:
        return find_gpus()
    except NotAvailable:
        return ()
