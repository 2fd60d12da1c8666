"""What native/srvid.c calls for `core.srvid.Upscale(...)`.

The stub cannot turn a VSNode into a Python VideoNode, but VapourSynth can: `dispatch` hands a Python
function back to the stub (`core.srvid.BridgeCall`), which lets VapourSynth call it with the arguments
of the call in progress. The token names that call; the stub refuses any other.
"""

from __future__ import annotations

from typing import Any

import vapoursynth as vs

from vapoursynth_filter.filter import upscale


def dispatch(token: int) -> str:
    """Run `upscale` with the arguments of the native call `token`; return its error, '' for none."""
    errors: list[str] = []

    def call(**arguments: Any) -> dict[str, vs.VideoNode]:
        plain: dict[str, Any] = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in arguments.items()
        }
        try:
            return {"clip": upscale(**plain)}
        except vs.Error as error:
            errors.append(str(error))
            return {}

    vs.core.srvid.BridgeCall(token=token, func=call)
    return errors[0] if errors else ""
