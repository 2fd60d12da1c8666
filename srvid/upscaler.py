"""The upscaler that Python users hold: the engine, and the kinds of picture they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import sr_core.upscaler
from sr_core.color import ColorSpec
from sr_core.frame import Array, Device, GivenPlanes, PixelFormat, Planes
from sr_core.grain import film_of, lay, lay_as_asked
from sr_core.late_module import LateModule

if TYPE_CHECKING:
    import av
    import PIL.Image
    import torch
else:
    av = LateModule("av")


class Upscaler(sr_core.upscaler.Upscaler):
    """A model, open on a backend. Close it, or use it in a `with` block; any thread may call it.

    `image` takes pictures as people hold them, `frames` decoded video; `planes` and `submit` are the
    engine itself, for raw planes of any pixel format. Grain is laid by `image`, `frames` and the two that
    are told a moment.

    Attributes:
        grain: how much film grain is laid over the result: 0 to 1, or 'keep' for what the input had (`sr_core.grain`).
            `image` lays the same on every picture; `frames` another on each.
    """

    grain: float | Literal["keep"] = 0.0

    def submit_at(
        self, moment: int, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec, out: GivenPlanes | None = None
    ) -> Future[Planes]:
        """As `submit`, with the grain of the frame at `moment` of its source: pts or number."""
        if not self.grain:
            return self.submit(planes, fmt, color, out)
        laid: Future[Planes] = Future()

        def finish(made: Future[Planes]) -> None:
            try:
                laid.set_result(self._lay(moment, planes, made.result(), fmt, color, out))
            except BaseException as error:  # handed to whoever waits for the frame
                laid.set_exception(error)

        # not into `out`: the next frame copies tiles without grain from what is made here
        self.submit(planes, fmt, color).add_done_callback(finish)
        return laid

    def next_planes_at(
        self, moment: int, planes: Planes, fmt: PixelFormat, color: ColorSpec, out: Planes | None = None
    ) -> Planes:
        """As `next_planes`, with the grain of the frame at `moment`."""
        if not self.grain:
            return self.next_planes(planes, fmt, color, out)
        return self._lay(moment, planes, self.next_planes(planes, fmt, color), fmt, color, out)

    def _lay(
        self,
        moment: int,
        given: GivenPlanes,
        made: Planes,
        fmt: PixelFormat,
        color: ColorSpec,
        out: GivenPlanes | None = None,
    ) -> Planes:
        """All in memory: `device_for` and `lend_frame` said so."""
        film = film_of(self.grain, cast(Planes, given), made, fmt, color)
        return lay(film, made, fmt, color, moment=moment, out=cast("Planes | None", out))

    def device_for(self, fmt: PixelFormat, width: int, height: int) -> Device | None:
        """None where grain is laid: in memory."""
        return None if self.grain else super().device_for(fmt, width, height)

    def identity(self, frames: sr_core.upscaler.FrameKind) -> dict[str, str]:
        """With the grain, where there is any."""
        return super().identity(frames) | ({"grain": str(self.grain)} if self.grain else {})

    def _picture(self, array: Array) -> Array:
        """`sr_core`'s image, with grain over its colours."""
        made = super().image(array)
        return lay_as_asked(self.grain, array, made) if self.grain else made

    @overload
    def image(self, array: Array | str | PathLike[str]) -> Array: ...
    @overload
    def image(self, array: PIL.Image.Image) -> PIL.Image.Image: ...
    @overload
    def image(self, array: torch.Tensor) -> torch.Tensor: ...
    def image(self, array: Any) -> Any:
        """Upscale one picture; what comes back is of the kind that was given.

        Args:
            array: one of

                - a numpy array (H, W) or (H, W, 1 to 4): gray, gray + alpha, RGB, RGB + alpha; uint8,
                  uint16, or floats in 0..1;
                - a PIL image, whose ICC profile and resolution come along;
                - a torch tensor (C, H, W), (N, C, H, W) or (H, W), uint8 or floats in 0..1, on any device;
                - an array of CuPy, JAX or any other library with DLPack, shaped as numpy's;
                - a path, which is read upright and in its own depth, and gives an array.

            All are gamma-encoded, as images are.

        Raises:
            BadInput: another shape or type, NaN, or floats far outside 0..1.
        """
        from srvid.pictures import enlarge_picture

        return enlarge_picture(self._picture, array)

    def frames(self, frames: Iterable[av.VideoFrame], *, steady: bool = False) -> Iterator[av.VideoFrame]:
        """Upscale decoded frames of one video in order, a few ahead of the one that is handed out.

        Planes go through as they were decoded, without a detour over RGB. Each frame has its source's
        pts, time base, duration, colour tags and side data. Read it, encode it, copy it; do not draw
        into it: parts of the next frame may be copied from it.

        Args:
            steady: lower flicker: each frame is averaged with the one before and the one after where the input shows
                the same (`sr_core.steady`).

        Raises:
            BadInput: an interlaced frame, another size than the first, or colours that cannot be converted; `steady`
                beside grain, of floats or of less than 8 pixels.
        """
        from srvid.frames import enlarge_frames
        from srvid.recipe import check_steady

        check_steady(steady, self.grain)
        return enlarge_frames(self, frames, steady=steady)

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        runs = f"{self.backend.name} on {self.backend.device}"
        return f"<srvid.Upscaler {self.spec.name}: {self.scale} times, {runs}{state}>"
