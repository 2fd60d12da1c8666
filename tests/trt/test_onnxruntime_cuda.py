"""ONNX Runtime's GPU providers where they do not start: refused, instead of the CPU under their name."""

from __future__ import annotations

import pytest

from sr_core.backends import onnxruntime
from sr_core.backends.onnxruntime import OnnxRuntime
from sr_core.errors import EngineError, NotAvailable
from tests.trt.networks import NV12, composed


def test_cuda_that_does_not_start_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real runtime without CUDA: asked for it, it opens the session on the CPU."""
    asked: list[str] = []

    def preload(directory: str) -> None:
        asked.append(directory)
        print("Failed to load libcublasLt.so.13: cannot open shared object file")

    monkeypatch.setattr(onnxruntime.ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime.ort, "preload_dlls", preload)
    with pytest.raises(NotAvailable, match=r"CUDA, but it does not start here: .*libcublasLt") as caught:
        OnnxRuntime()
    assert "srvid[cuda]" in caught.value.hint
    assert asked == [""]  # NVIDIA's packages, then the system's


def test_cuda_that_starts_runs_without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime.ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    started: list[dict[str, str]] = []
    monkeypatch.setattr(onnxruntime, "_start_cuda", started.append)
    assert OnnxRuntime().device.startswith("CUDA")
    assert started == [{"use_tf32": "0"}]


@pytest.mark.parametrize("provider", ["MIGraphX", "Dml", "CoreML"])
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_never_the_cpu_under_its_name(
    monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    """The real runtime, whose package has none of them: it would open the session on the CPU with a warning."""
    if f"{provider}ExecutionProvider" in onnxruntime.ort.get_available_providers():
        pytest.skip(f"this machine's package has {provider}")
    monkeypatch.setattr(onnxruntime.ort, "get_available_providers", lambda: [f"{provider}ExecutionProvider"])
    backend = OnnxRuntime()
    assert (backend.on_cpu, backend.device) == (False, f"{provider}, 2 contexts")
    monkeypatch.undo()
    with pytest.raises(EngineError, match=f"instead of {provider}ExecutionProvider|cannot load the graph"):
        backend.open(composed(NV12))
