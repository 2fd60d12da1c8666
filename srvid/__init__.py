"""srvid: AI super-resolution for video and images.

    import srvid

    srvid.upscale_video("in.mp4", "out.mp4", scale=2)      # as the command srvid
    srvid.upscale_image("photo.jpg", "large.png")          # as the command srbatch

    with srvid.open_upscaler("clear", scale=4) as upscaler:
        large = upscaler.image(picture)      # numpy array, PIL image, torch tensor or path: the same kind comes back
        for frame in upscaler.frames(container.decode(video=0)):   # av.VideoFrame in, av.VideoFrame out
            ...

Everything raises `SrError`, whose text ends with a `hint`: what to do next.

Importing this package loads nothing heavy: every name is loaded when it is used. Its modules:

    front_door      a model's name becomes an Upscaler
    recipe          the same as a value, for other processes
    backend_choice  on what it runs, and why
    device_trial    the fastest device for a model, measured once
    model_choice    what a model's name, file or chain means, and how much it enlarges
    trial           a foreign model tried on the backend, once, before it is used
    upscaler        pictures and frames through it
    pictures        what kinds of picture are taken
    frames          av.VideoFrame in and out
    files           whole files, as the commands do them
    comparison      before and after, as Jupyter shows it
    sheet           pictures under their names: what is shown where two are compared
    advice          what a file is, in words, and what to make of it: the same for every front end
    __main__        `python -m srvid [FILES…]`: the page in the browser, as `srkit ui` opens it
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sr_core.errors import SrError
    from sr_video.transcode import Progress, Summary
    from srvid.comparison import Comparison, compare
    from srvid.files import upscale_image, upscale_images, upscale_video
    from srvid.front_door import backend_names, model_names, open_upscaler, resolve_model
    from srvid.upscaler import Upscaler

__version__ = "0.1.0"
__all__ = [
    "Comparison", "Progress", "SrError", "Summary", "Upscaler", "__version__", "backend_names", "compare",
    "model_names", "open_upscaler", "resolve_model", "upscale_image", "upscale_images", "upscale_video",
]  # fmt: skip
_HOMES = {
    "Comparison": "srvid.comparison",
    "Progress": "sr_video.transcode",
    "SrError": "sr_core.errors",
    "Summary": "sr_video.transcode",
    "Upscaler": "srvid.upscaler",
    "backend_names": "srvid.front_door",
    "compare": "srvid.comparison",
    "model_names": "srvid.front_door",
    "open_upscaler": "srvid.front_door",
    "resolve_model": "srvid.front_door",
    "upscale_image": "srvid.files",
    "upscale_images": "srvid.files",
    "upscale_video": "srvid.files",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'srvid' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
