"""The Metadata of an output: sizes, orientation, resolution and thumbnail brought up to date."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sr_core.frame import Array, unit_from_samples
from sr_image.color.curve import samples_from_unit, srgb_from_linear
from sr_image.metadata.carried import Header, Metadata
from sr_image.metadata.exif import MAX_JPEG_EXIF_BYTES, THUMBNAIL_SIDE_PX, exif_for_output, xmp_for_output


def metadata_for_output(
    metadata: Metadata, source: Header, output: Header, *, dpi: str, thumbnail: Callable[[], bytes] | None
) -> Metadata:
    """`meaning` as it is true of `output`.

    Args:
        dpi: 'keep' leaves the resolution, 'scale' multiplies it so that the print keeps its size.
        thumbnail: makes the JPEG that replaces an EXIF thumbnail; None drops it.
    """
    size = output.width, output.height
    source_size = source.size if output.orientation == 1 else (source.width, source.height)
    resolution = metadata.dpi
    if resolution is not None and dpi == "scale":
        turned = output.orientation == 1 and source.orientation >= 5
        before = source.size if output.orientation == 1 else (source.width, source.height)
        if turned:
            resolution = resolution[1], resolution[0]
        resolution = resolution[0] * size[0] / before[0], resolution[1] * size[1] / before[1]
    exif = metadata.exif
    if exif is not None:
        exif = exif_for_output(
            exif,
            size,
            orientation=output.orientation,
            dpi=resolution if dpi == "scale" else None,
            thumbnail=thumbnail,
            limit_bytes=MAX_JPEG_EXIF_BYTES,
            source_size=source_size,
        )
    ratio = size[0] / source_size[0], size[1] / source_size[1]
    place = metadata.georeference.scaled(*ratio) if metadata.georeference is not None else None
    xmp = metadata.xmp
    if xmp is not None:
        xmp = xmp_for_output(xmp, size, orientation=output.orientation)
    return replace(metadata, exif=exif, xmp=xmp, dpi=resolution, georeference=place)


def thumbnail_jpeg(pixels: Array, *, is_linear: bool) -> bytes:
    """A small JPEG of upright `pixels` (H, W, 1 to 4), at most `THUMBNAIL_SIDE_PX` a side."""
    from PIL import Image

    step = max(1, max(pixels.shape[:2]) // (4 * THUMBNAIL_SIDE_PX))
    small = pixels[::step, ::step, : 1 if pixels.shape[2] <= 2 else 3]
    values = np.clip(np.nan_to_num(unit_from_samples(small)), 0, 1)
    if is_linear:
        values = srgb_from_linear(values)
    codes = samples_from_unit(values, np.dtype(np.uint8))
    image = Image.fromarray(codes[..., 0] if codes.shape[2] == 1 else codes)
    image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return stream.getvalue()
