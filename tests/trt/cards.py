"""NVIDIA cards as tests imagine them."""

from __future__ import annotations

import dataclasses

from sr_core.engine_key import GpuFacts

L4 = GpuFacts(
    index=0,
    name="NVIDIA L4",
    compute_capability=(8, 9),
    multiprocessors=58,
    memory_bytes=24 << 30,
    driver="CUDA 13.0",
)


H100 = dataclasses.replace(L4, name="NVIDIA H100", compute_capability=(9, 0))


BLACKWELL = dataclasses.replace(L4, name="NVIDIA RTX 5090", compute_capability=(12, 0))


def has_gpu() -> bool:
    from cuda.bindings import runtime

    code, count = runtime.cudaGetDeviceCount()
    return int(code) == 0 and count > 0
