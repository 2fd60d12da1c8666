"""A machine with a card, for the tests: the real builder, the fakes behind the runtime."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sr_core.backend import ComposedGraph
from sr_core.backends import tensorrt
from sr_core.backends.cuda import Cuda
from sr_core.engine_key import BuiltEngine
from tests.trt.cards import L4
from tests.trt.fake_cuda import FakeCuda
from tests.trt.fake_tensorrt import FakeRtxLibrary, FakeTensorRt
from tests.video.conftest import clip
from trt_build.ensure import ensure_engine, final_graph
from trt_build.store import EngineStore

__all__ = ["Machine", "clip", "machine"]


class Machine:
    """An L4 with the fakes behind it; `ensure` builds for real and swaps the plan for what the fake runs."""

    def __init__(self, folder: Path) -> None:
        self.store = EngineStore(folder)
        self.cuda = FakeCuda()
        self.trt = FakeTensorRt(self.cuda)
        self.references_computed = 0

    def ensure(self, graph: ComposedGraph, **arguments: Any) -> BuiltEngine:
        built = ensure_engine(graph, **(arguments | {"library": "tensorrt_rtx", "store": self.store}))
        compute = built.reference
        assert compute is not None

        def counted() -> Any:
            self.references_computed += 1
            return compute()

        plan = final_graph(graph, arguments["precision"]).model.SerializeToString()
        return replace(built, content=plan, reference=counted)


@contextmanager
def fake_machine(folder: Path, monkeypatch: pytest.MonkeyPatch, *also: Any) -> Iterator[Machine]:
    """A machine whose cache is `folder`; modules in `also` have imported Cuda themselves."""
    made = Machine(folder / "engines")
    monkeypatch.setenv("SRVID_CACHE", str(folder))
    monkeypatch.setattr(tensorrt, "find_gpus", lambda: (L4,))
    monkeypatch.setattr(tensorrt, "load_library", lambda name: FakeRtxLibrary(made.trt))

    class OnFake(Cuda):
        def __init__(self) -> None:
            super().__init__(made.cuda)

    for module in (tensorrt, *also):
        monkeypatch.setattr(module, "Cuda", OnFake)
    yield made
    gc.collect()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with fake_machine(tmp_path, monkeypatch) as made:
        yield made
    assert not made.cuda.memory
