"""What native/srvid.c calls for `core.srvid.Upscale(...)`.

The stub cannot turn a VSNode into a Python VideoNode, but VapourSynth can, whenever one of its functions
returns a clip or takes one. So `dispatch` calls the stub's only function once more for the clip, and once
more with the result; `scale=token` names the call in progress, and the stub refuses any other.
"""

from __future__ import annotations

from typing import Any

import vapoursynth as vs

from vapoursynth_filter.filter import upscale


def dispatch(token: int, options: dict[str, Any]) -> str:
    """Run `upscale` with the clip and the `options` of the native call `token`; return its error, '' for none."""
    core = vs.core.core
    clip = core.srvid.Upscale(core.std.BlankClip(length=1), scale=token)
    try:
        result = upscale(clip, **options)
    except vs.Error as error:
        return str(error)
    except Exception as error:  # a bug of ours: the stub's caller sees no traceback, so its kind is said
        return f"upscale: unexpected {type(error).__name__}: {error}"
    core.srvid.Upscale(result, scale=token)
    return ""
