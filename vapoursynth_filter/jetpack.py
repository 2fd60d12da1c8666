"""srvid as a scaler of vs-jetpack: give it to whatever takes one.

    from vapoursynth_filter.jetpack import Srvid
    clip = Srvid(model="clear").scale(clip, 1920, 1080)
    clip = some_function(clip, scaler=Srvid)

Needs `pip install vsjetpack`; nothing else of srvid does.
"""

from __future__ import annotations

from typing import Any

import vapoursynth as vs

try:
    from vskernels import Scaler
except ImportError as error:
    raise ModuleNotFoundError(
        "vapoursynth_filter.jetpack needs vs-jetpack: pip install vsjetpack", name="vskernels"
    ) from error

from sr_core.errors import SrError
from sr_zoo.models import DEFAULT_MODEL
from vapoursynth_filter.filter import sentence, upscale
from vapoursynth_filter.sizing import resize_to, scale_for


class Srvid(Scaler):  # type: ignore[misc]  # vs-jetpack is optional
    """AI super-resolution as a `vskernels.Scaler`; keyword arguments are those of `vapoursynth_filter.upscale`."""

    _static_kernel_radius = 8  # pixels that matter around one; vs-jetpack pads by it

    def scale(
        self,
        clip: vs.VideoNode,
        width: int | None = None,
        height: int | None = None,
        shift: tuple[float, float] = (0, 0),
        **kwargs: Any,
    ) -> vs.VideoNode:
        """Return `clip` at width x height: by the smallest scale that reaches it, then down by Lanczos.

        Args:
            width, height: as everywhere in vs-jetpack, the clip's own where they are left out.
            shift: (top, left) in pixels of `clip`.
            kwargs: win over those given to the class.
        """
        width, height = self._wh_norm(clip, width, height)
        arguments = {**self.kwargs, **kwargs}
        if not any(shift):
            return upscale(clip, width=width, height=height, **arguments)
        try:
            scale = scale_for(clip, (width, height), arguments.get("model", DEFAULT_MODEL))
        except SrError as error:
            raise vs.Error(f"upscale: {sentence(error)}") from error
        large = upscale(clip, scale=scale, **arguments)
        factor = large.height / clip.height
        return resize_to(large, (width, height), (shift[0] * factor, shift[1] * factor))
