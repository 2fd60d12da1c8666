"""srvid inside VapourSynth: one filter, two ways to call it.

from vapoursynth_filter import upscale          clip = upscale(clip, scale=4)
core.srvid.Upscale(clip, scale=4)               the same, autoloaded (native/srvid.c)

filter      checks and the graph of nodes: phases of ModifyFrame, joined by Interleave
steady      each upscaled frame averaged with those beside it
formats     VapourSynth's formats and frame properties in srvid's words
engines     upscalers shared by every clip of the process
sizing      width and height: which scale reaches them, and the way down
jetpack     the same as a vs-jetpack scaler
bridge      what the native stub calls
"""

try:
    # Not the module alone: srvid's wheel puts its plugin into vapoursynth/plugins, and without VapourSynth
    # that folder imports as an empty namespace.
    from vapoursynth import core as _core
except ImportError as error:
    raise ModuleNotFoundError(
        "vapoursynth_filter needs VapourSynth R74 or newer: pip install 'srvid[vapoursynth]'", name="vapoursynth"
    ) from error

from vapoursynth_filter.filter import upscale

__all__ = ["upscale"]

del _core
