"""A stream of row strips through an Upscaler, and through a resize, with exact seams.

rows of the source   ├ context ┼──── own ────┼ context ┤      one call of the upscaler
                     └ dropped ┘─► own rows × scale ◄─ dropped
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sr_core.alpha import BLEED_PX
from sr_core.array import PlaneUpscaler, upscale_image
from sr_core.frame import Array
from sr_core.storage import storage_error
from sr_core.tiles.tiling import round_up


class StripUpscaler(PlaneUpscaler, Protocol):
    """An Upscaler, which knows how much context a strip needs and where one may begin."""

    @property
    def halo_px(self) -> int | None: ...

    @property
    def align(self) -> int: ...


UNBOUNDED_CONTEXT = 64  # rows of context where a network sees everything; strips then differ slightly
_LANCZOS_RADIUS = 3  # Pillow's LANCZOS reaches 3 source pixels (times the reduction)


def context_rows(halo_px: int | None) -> int:
    """Rows a strip needs above and below so that its own rows come out as in the whole image."""
    return (UNBOUNDED_CONTEXT if halo_px is None else halo_px) + BLEED_PX


def windows(strips: Iterable[Array], *, rows: int, context: int) -> Iterator[tuple[Array, int, int]]:
    """Yield (window, context rows above, own rows): own parts of `rows` rows cover the image once."""
    source = iter(strips)
    held: Array | None = None
    above, ended = 0, False
    while True:
        while not ended and (held is None or len(held) - above < rows + context):
            strip = next(source, None)
            if strip is None:
                ended = True
            else:
                held = strip if held is None else np.concatenate([held, strip])
        if held is None or len(held) == above:
            return
        own = min(rows, len(held) - above)
        if ended and len(held) - above - own <= context:
            own = len(held) - above  # a thin remainder would cost more context than rows
        yield held[: above + own + context], above, own
        keep = min(context, above + own)
        held = held[above + own - keep :]
        above = keep


def make_ahead(pool: Executor, strips: Iterator[Array]) -> Iterator[Array]:
    """The same strips, each made in `pool` while the one before it is being written."""
    ahead = pool.submit(next, strips, None)
    while (strip := ahead.result()) is not None:
        ahead = pool.submit(next, strips, None)
        yield strip


def enlarge_strips(
    upscaler: StripUpscaler,
    strips: Iterable[Array],
    *,
    rows: int,
    context: int,
    is_premultiplied: bool = False,
    alpha_is_constant: bool | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Iterator[Array]:
    """Upscale `strips` (rows, width, channels) about `rows` at a time; as the whole image would be.

    Every window begins on a multiple of `upscaler.align`: a network that looks at blocks of pixels sees
    the same blocks as in the whole image.

    Args:
        on_rows: called with the number of source rows done; may raise to stop.
    """
    scale, align = upscaler.scale, upscaler.align
    rows, context = round_up(rows, align), round_up(context, align)
    for window, above, own in windows(strips, rows=rows, context=context):
        if on_rows is not None:
            on_rows(0)
        large = upscale_image(upscaler, window, is_premultiplied=is_premultiplied, alpha_is_constant=alpha_is_constant)
        yield large[above * scale : (above + own) * scale]
        if on_rows is not None:
            on_rows(own)


def held_on_disk(folder: Path, strips: Iterable[Array]) -> Iterator[Array]:
    """All `strips`, made when this is called; until they are read they lie in a file without a name in `folder`.

    Raises:
        StorageError: there is no room for them.
    """
    kinds: list[tuple[np.dtype[Any], tuple[int, ...]]] = []
    with ExitStack() as stack:
        # not buffered: what a full disk did not take would be tried again, and fail again, while the file is closed
        file = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
        for strip in strips:
            kinds.append((strip.dtype, strip.shape))
            left = memoryview(np.ascontiguousarray(strip)).cast("B")
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError as error:
                raise storage_error(error, folder, "cannot keep a picture for a moment in") from error
        file.seek(0)
        return _read_back(stack.pop_all(), io.BufferedReader(file), kinds)


def _read_back(
    stack: ExitStack, file: io.BufferedReader, kinds: list[tuple[np.dtype[Any], tuple[int, ...]]]
) -> Iterator[Array]:
    with stack:
        for dtype, shape in kinds:
            yield np.frombuffer(file.read(dtype.itemsize * prod(shape)), dtype).reshape(shape)


def resize_strips(
    strips: Iterable[Array], source_size: tuple[int, int], size: tuple[int, int], *, is_straight: bool
) -> Iterator[Array]:
    """Resample strips of an image of `source_size` to `size` with Lanczos.

    Args:
        is_straight: the last channel is straight alpha: colour is weighted by it.
    """
    (width, height), (new_width, new_height) = source_size, size
    ratio = height / new_height
    reach = int(_LANCZOS_RADIUS * max(ratio, 1.0)) + 2
    held: Array | None = None
    start = done = 0  # first row held; output rows made
    for strip in strips:
        held = strip if held is None else np.concatenate([held, strip])
        end = start + len(held)
        ready = new_height if end == height else max(done, int((end - reach) / ratio))
        if ready <= done:
            continue
        box = (0.0, done * ratio - start, float(width), min(ready * ratio, height) - start)
        yield _resample(held, (new_width, ready - done), box, is_straight)
        done = ready
        first = max(start, int(done * ratio) - reach)
        held, start = held[first - start :], first


def _resample(pixels: Array, size: tuple[int, int], box: tuple[float, float, float, float], is_straight: bool) -> Array:
    from PIL import Image

    def plane(values: Array) -> Array:
        image = Image.fromarray(np.ascontiguousarray(values, np.float32))
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box))

    channels = pixels.shape[2]
    result = np.empty((size[1], size[0], channels), np.float32)
    if is_straight:
        alpha = pixels[..., -1].astype(np.float32)
        weight = result[..., -1] = plane(alpha)
        for index in range(channels - 1):
            weighted = plane(pixels[..., index] * alpha)
            np.divide(weighted, weight, out=result[..., index], where=weight > 0)
            result[..., index][weight <= 0] = 0
    else:
        for index in range(channels):
            result[..., index] = plane(pixels[..., index])
    if pixels.dtype.kind == "f":
        return result.astype(pixels.dtype)
    return np.rint(np.clip(result, 0, np.iinfo(pixels.dtype).max)).astype(pixels.dtype)
