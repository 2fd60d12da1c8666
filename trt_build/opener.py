"""The runtime of floor 1 and the builder of floor 2, put together for floor 3.

`sr_core.backends.tensorrt` runs engines and may not import what builds them, so it takes the
builder as an argument. This is where it gets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sr_core.backends.tensorrt import TensorRt


def open_tensorrt(name: str, *, threads: int | None = None, device: int | None = None) -> TensorRt:
    """Open backend 'tensorrt' or 'tensorrt_rtx', able to build the engines it lacks.

    Raises:
        NotAvailable: the package, the driver or a supported GPU is missing.
    """
    from sr_core.backends.tensorrt import TensorRt, TensorRtRtx
    from trt_build.ensure import ensure_engine

    return {"tensorrt": TensorRt, "tensorrt_rtx": TensorRtRtx}[name](
        threads=threads, ensure_engine=ensure_engine, device_index=device
    )
