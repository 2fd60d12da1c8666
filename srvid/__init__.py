"""srvid: AI super-resolution for video and images.

    import srvid
    with srvid.open_upscaler("clear", scale=4) as upscaler:
        large = upscaler.image(rgb)          # H x W x 3, uint8

`open_upscaler` is the one sentence every front end says: this model, this scale, the best backend
here. Importing this package loads numpy and nothing heavier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from srvid.front_door import backend_names, open_upscaler, resolve_model

if TYPE_CHECKING:
    from sr_core.upscaler import Upscaler

__version__ = "0.1.0"
__all__ = ["Upscaler", "__version__", "backend_names", "open_upscaler", "resolve_model"]


def __getattr__(name: str) -> object:
    if name == "Upscaler":
        from sr_core.upscaler import Upscaler

        return Upscaler
    raise AttributeError(f"module 'srvid' has no attribute {name!r}")
