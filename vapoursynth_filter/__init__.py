"""srvid inside VapourSynth: one filter, two ways to call it.

from vapoursynth_filter import upscale          clip = upscale(clip, scale=4)
core.srvid.Upscale(clip, scale=4)               the same, autoloaded (native/srvid.c)

filter      checks and the graph of nodes: phases of ModifyFrame, joined by Interleave
formats     VapourSynth's formats and frame properties in srvid's words
engines     upscalers shared by every clip of the process
bridge      what the native stub calls
"""

try:
    import vapoursynth
except ModuleNotFoundError as error:
    if error.name != "vapoursynth":
        raise
    raise ModuleNotFoundError(
        "vapoursynth_filter needs VapourSynth R74 or newer: pip install 'srvid[vapoursynth]'", name=error.name
    ) from error

from vapoursynth_filter.filter import upscale

__all__ = ["upscale"]

del vapoursynth
