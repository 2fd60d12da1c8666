"""Decoding on the graphics card, where there is one.

NVDEC decodes to NV12 (8 bits) or P010 (10 bits) and FFmpeg downloads the frame, 1.5 or 3 bytes a
pixel. Frames of a codec that NVDEC lacks come from the CPU; FFmpeg decides that a stream at a time.
"""

from __future__ import annotations

import av
from av.codec.hwaccel import HWAccel, HWDevice

from sr_core.media.native import last_words

CHOICES = ("cuda",)


def decoder_on(name: str | None) -> tuple[HWAccel | None, str]:
    """Return (what `av.open` takes, '') or (None, why decoding stays on the CPU).

    The device is opened once as a probe: `av.open` itself fails where the driver is missing, and
    its error does not say so.
    """
    if name is None:
        return None, ""
    try:
        HWDevice(name)
    except (av.FFmpegError, OSError, ValueError, NotImplementedError) as error:
        return None, f"--hwaccel {name} is not available here ({last_words(error)}): decoding on the CPU"
    return HWAccel(name, allow_software_fallback=True, is_hw_owned=False), ""
