"""A job's rows enlarged strip by strip, as long as somebody waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError

import numpy as np

from sr_core.color import ColorSpec
from sr_core.errors import Cancelled
from sr_core.frame import Array, PixelFormat, Planes
from sr_core.upscaler import Upscaler
from sr_image.in_memory import enlarge_in_strips
from sr_image.strips import resize_strips
from sr_plugins.hangup import Cancellation
from sr_plugins.jobs import Job

_BGR = (2, 1, 0, 3)


class CancellableUpscaler:
    """An Upscaler whose `planes` stops, the tiles not yet begun included, when `cancellation` is set."""

    def __init__(self, upscaler: Upscaler, cancellation: Cancellation) -> None:
        self._upscaler, self._cancellation = upscaler, cancellation
        self.scale, self.halo_px, self.align = upscaler.scale, upscaler.halo_px, upscaler.align

    def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec, out: Planes | None = None) -> Planes:
        """As `Upscaler.planes`.

        Raises:
            Cancelled: nobody waits for the result any more; a tile that has begun is computed in vain.
        """
        if not self._cancellation.is_set():
            future = self._upscaler.submit(planes, fmt, color, out)  # opened with reuse=False: no copies
            with self._cancellation.stopping(future.cancel):
                try:
                    return future.result()
                except CancelledError as error:
                    raise Cancelled(self._cancellation.why) from error
        raise Cancelled(self._cancellation.why)


def enlarge_job(job: Job, pixels: Array, upscaler: Upscaler, cancellation: Cancellation) -> Iterator[Array]:
    """Yield the rows of the result, top to bottom, in the samples and channel order of `pixels`.

    Raises:
        BadInput: NaN or infinity in the pixels.
        Cancelled: `cancellation` was set.
    """
    strips = enlarge_in_strips(
        pixels,
        CancellableUpscaler(upscaler, cancellation),
        is_linear=job.transfer == "linear",
        is_premultiplied=job.alpha == "premultiplied",
        grain=0.0 if job.at_input_size else job.grain,
        moment=job.moment,
        rgb_order=_BGR[: job.channels] if job.order == "bgr" and job.channels > 2 else None,
    )
    if job.at_input_size:
        yield from (_mean_of_blocks(strip, upscaler.scale) for strip in strips)
        return
    large = job.width * upscaler.scale, job.height * upscaler.scale
    if large == job.output_size:
        yield from strips
        return
    is_straight = job.channels % 2 == 0 and job.alpha == "straight"
    yield from resize_strips(strips, large, job.output_size, is_straight=is_straight)


def _mean_of_blocks(large: Array, scale: int) -> Array:
    """Each scale x scale block's mean."""
    height, width, channels = large.shape
    blocks = large.reshape(height // scale, scale, width // scale, scale, channels)
    mean = blocks.mean(axis=(1, 3), dtype=np.float32)
    return np.rint(mean).astype(large.dtype) if large.dtype.kind == "u" else mean.astype(large.dtype)
