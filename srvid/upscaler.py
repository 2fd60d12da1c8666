"""The upscaler that Python users hold: the engine, and the kinds of picture they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

import sr_core.upscaler
from sr_core.frame import Array
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
    engine itself, for raw planes of any pixel format.
    """

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

        return enlarge_picture(super().image, array)

    def frames(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Upscale decoded frames of one video in order, a few ahead of the one that is handed out.

        Planes go through as they were decoded, without a detour over RGB. Each frame has its source's
        pts, time base, duration, colour tags and side data. Read it, encode it, copy it; do not draw
        into it: parts of the next frame may be copied from it.

        Raises:
            BadInput: an interlaced frame, another size than the first, or colours that cannot be converted.
        """
        from srvid.frames import enlarge_frames

        return enlarge_frames(self, frames)

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        runs = f"{self.backend.name} on {self.backend.device}"
        return f"<srvid.Upscaler {self.spec.name}: {self.scale} times, {runs}{state}>"
