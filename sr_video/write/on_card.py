"""Frames that the engine leaves on an NVIDIA card, for NVENC to read there.

    engine ─► planes on the card ─► VideoFrame('cuda', samples nv12 | p010le) ─► NVENC

The planes are complete when they come here: nothing is waited for. A frame in ordinary memory, which the engine
makes where the card has no room for more, is uploaded by PyAV to the same encoder.
"""

from __future__ import annotations

from functools import cache

import av
from av.video.frame import CudaContext

from sr_core.backends.cuda import Cuda
from sr_core.backends.dlpack import CUDA, DevicePlane
from sr_core.frame import Device, GivenPlanes, PixelFormat
from sr_video.decide.encoding import EncoderSettings
from sr_video.pixels import ffmpeg_name


def device_of_encoder(settings: EncoderSettings) -> Device | None:
    """Where the encoder reads frames besides ordinary memory."""
    return None if settings.card is None else (Cuda.device_kind, settings.card)


def frame_on_card(planes: GivenPlanes, fmt: PixelFormat) -> av.VideoFrame | None:
    """A frame of `planes`, which it keeps until the encoder has read them; None: they are arrays."""
    first = planes[0]
    if not isinstance(first, DevicePlane):
        return None
    kind, card = first.device
    context = None
    if kind == CUDA:
        Cuda().cudaSetDevice(card)  # see Note [context] in `sr_video.read.hwaccel`
        context = _context_of(card)
    return av.VideoFrame.from_dlpack(planes, format=ffmpeg_name(fmt), cuda_context=context)


@cache
def _context_of(card: int) -> CudaContext:
    """One for a card: FFmpeg's description of its frames is kept in it."""
    return CudaContext(device_id=card, primary_ctx=False, current_ctx=True)
