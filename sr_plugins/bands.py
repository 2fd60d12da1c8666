"""A job's rows enlarged band by band.

    pixels ─► bands (own rows + the network's reach) ─► curve ─► upscale_image ─► curve ─► own rows

Bands equal the whole image where the network's reach is finite; a network without a finite reach
gets the whole image at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError

import numpy as np

from sr_core.color import ColorSpec
from sr_core.errors import BadInput, Cancelled
from sr_core.frame import Array, PixelFormat, Planes
from sr_core.image.alpha import BLEED_PX
from sr_core.image.array import upscale_image
from sr_core.image.curve import Curve, samples_from_unit
from sr_core.tiling import Span, plan_axis, round_up
from sr_core.upscaler import Upscaler
from sr_plugins.hangup import Cancellation
from sr_plugins.jobs import Job

BAND_PIXELS = 1 << 20  # input pixels of a band: a 12-megapixel photo shows progress a dozen times
LEAST_HALOS = 8  # a band reads at least so many halos, or its context costs more than itself


class CancellableUpscaler:
    """An Upscaler whose `planes` stops, the tiles not yet begun included, when `cancellation` is set."""

    def __init__(self, upscaler: Upscaler, cancellation: Cancellation) -> None:
        self._upscaler, self._cancellation = upscaler, cancellation
        self.scale = upscaler.scale

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


def enlarged_bands(job: Job, pixels: Array, upscaler: Upscaler, cancellation: Cancellation) -> Iterator[Array]:
    """Yield the rows of the result, top to bottom, in the samples and channel order of `pixels`.

    Raises:
        BadInput: NaN or infinity in the pixels.
        Cancelled: `cancellation` was set.
    """
    colors = job.channels - (job.channels % 2 == 0)
    curve = _curve_of(pixels[..., :colors], is_linear=job.transfer == "linear")
    alpha = pixels[..., -1]
    is_constant = job.channels % 2 == 0 and bool((alpha == alpha[0, 0]).all())
    engine = CancellableUpscaler(upscaler, cancellation)
    swap = [2, 1, 0, 3][: job.channels] if job.order == "bgr" and job.channels > 2 else None
    read_rows, spans = _spans(job, upscaler)
    for span in spans:
        band = pixels[span.read : span.read + read_rows]  # numpy ends at the last row by itself
        if swap:
            band = band[..., swap]
        large = _enlarged(engine, band, curve, colors, job, alpha_is_constant=is_constant)
        rows = min(span.stop, job.height) - span.start
        large = large[(span.start - span.read) * job.scale :][: rows * job.scale]
        if job.at_input_size:
            large = _averaged(large, job.scale)
        yield large[..., swap] if swap else large


def _spans(job: Job, upscaler: Upscaler) -> tuple[int, tuple[Span, ...]]:
    """Rows a band reads, and the bands, which own every row once."""
    halo, align = upscaler.halo_px, upscaler.spec.size_multiple
    height = round_up(job.height, align)
    if halo is None:
        return height, plan_axis(height, read=height, halo=0, align=align)
    halo = round_up(halo + (BLEED_PX if job.channels % 2 == 0 else 0), align)
    wanted = max(BAND_PIXELS // job.width, LEAST_HALOS * halo, 64)
    read = round_up(wanted + 2 * halo, align)
    return read, plan_axis(height, read=read, halo=halo, align=align)


def _curve_of(color: Array, *, is_linear: bool) -> Curve:
    """The curve that brings the whole image's range to what networks are trained on."""
    if color.dtype.kind == "u":
        return Curve(is_linear=is_linear)
    low, high = float(color.min()), float(color.max())
    if not np.isfinite([low, high]).all():
        raise BadInput("the image holds NaN or infinity", hint="replace these pixels first")
    return Curve(is_linear=is_linear, low=low, high=high)


def _enlarged(
    engine: CancellableUpscaler, band: Array, curve: Curve, colors: int, job: Job, *, alpha_is_constant: bool
) -> Array:
    is_premultiplied = job.alpha == "premultiplied"
    if curve.is_identity:
        return upscale_image(engine, band, is_premultiplied=is_premultiplied, alpha_is_constant=alpha_is_constant)
    coded = np.empty(band.shape, np.float32)
    coded[..., :colors] = curve.encode(band[..., :colors])
    if band.shape[2] > colors:
        peak = 1 if band.dtype.kind == "f" else np.iinfo(band.dtype).max
        coded[..., colors:] = band[..., colors:] / np.float32(peak)
    large = upscale_image(engine, coded, is_premultiplied=is_premultiplied, alpha_is_constant=alpha_is_constant)
    result = np.empty(large.shape, band.dtype)
    result[..., :colors] = curve.decode(large[..., :colors], band.dtype, is_linear_out=curve.is_linear)
    result[..., colors:] = samples_from_unit(large[..., colors:], band.dtype)
    return result


def _averaged(large: Array, scale: int) -> Array:
    """Each scale x scale block's mean."""
    height, width, channels = large.shape
    blocks = large.reshape(height // scale, scale, width // scale, scale, channels)
    mean = blocks.mean(axis=(1, 3), dtype=np.float32)
    return np.rint(mean).astype(large.dtype) if large.dtype.kind == "u" else mean.astype(large.dtype)
