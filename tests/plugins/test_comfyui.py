"""The ComfyUI node, as installed, against modules shaped as ComfyUI's: it is on no package index.

Its client, its worker and its torch are real.
"""

from __future__ import annotations

import importlib
import sys
import threading
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

import srvid
from sr_core.frame import Array
from sr_core.testing import random_model
from sr_core.upscaler import Upscaler
from sr_plugins.install import install
from sr_plugins.places import NAME, Place
from sr_plugins.testing import RunningWorker, through_worker
from srvid.model_choice import engine_scale

torch = pytest.importorskip("torch")


class Interrupted(Exception):
    """As comfy.model_management.InterruptProcessingException."""


class Comfy:
    """comfy.utils and comfy.model_management as nodes see them."""

    def __init__(self) -> None:
        self.interrupt = threading.Event()
        self.shown: list[int] = []
        self.total = 0

    def modules(self) -> dict[str, ModuleType]:
        comfy, utils = ModuleType("comfy"), ModuleType("comfy.utils")
        management: Any = ModuleType("comfy.model_management")
        outer = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                outer.total = total

            def update_absolute(self, value: int, total: int | None = None) -> None:
                outer.shown.append(value)

        def throw() -> None:
            if outer.interrupt.is_set():
                outer.interrupt.clear()  # as ComfyUI does
                raise Interrupted

        utils.ProgressBar = ProgressBar  # type: ignore[attr-defined]
        management.processing_interrupted = self.interrupt.is_set
        management.throw_exception_if_processing_interrupted = throw
        management.soft_empty_cache = lambda: None
        comfy.utils, comfy.model_management = utils, management  # type: ignore[attr-defined]
        return {"comfy": comfy, "comfy.utils": utils, "comfy.model_management": management}


@pytest.fixture
def comfy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comfy:
    """ComfyUI's modules in sys.modules, the node pack installed and importable."""
    fake = Comfy()
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    install(Place(host="comfyui", root=tmp_path), models=("nearest", "random"))
    monkeypatch.syspath_prepend(str(tmp_path / "custom_nodes"))
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        monkeypatch.delitem(sys.modules, name)
    return fake


@pytest.fixture
def node(comfy: Comfy) -> Any:
    return importlib.import_module(NAME).NODE_CLASS_MAPPINGS["SrvidUpscale"]()


def batch(count: int, height: int, width: int, channels: int = 3) -> Array:
    return np.random.default_rng(1).random((count, height, width, channels)).astype(np.float32)


def test_a_batch_equals_the_worker_s_images_and_keeps_its_layout(
    comfy: Comfy, node: Any, worker: RunningWorker
) -> None:
    images = batch(3, 40, 30)
    (large,) = node.upscale(torch.from_numpy(images), "random", 2)
    assert large.dtype == torch.float32
    assert tuple(large.shape) == (3, 80, 60, 3)
    for image, result in zip(images, large.numpy(), strict=True):
        np.testing.assert_array_equal(result, through_worker(image, model="random", scale=2).clip(0, 1))
    assert comfy.shown[-1] == comfy.total
    assert comfy.shown == sorted(comfy.shown)


def test_several_models_and_a_factor_between_two_are_asked_for_as_they_are_typed(
    comfy: Comfy, node: Any, worker_file: Path, tmp_path: Path
) -> None:
    """What a chain computes is compared in tests/contract."""
    onnx.save(random_model(2, seed=5), tmp_path / "own.onnx")
    chain = f"{tmp_path / 'own.onnx'}, clear-x2"
    asked: list[tuple[str, int | None]] = []

    def opener(model: str, *, scale: int | None, **options: Any) -> Upscaler:
        asked.append((model, scale))
        return srvid.open_upscaler(model, scale=scale, **options)

    with RunningWorker(worker_file, opener, scale_for=engine_scale):
        (large,) = node.upscale(torch.from_numpy(batch(1, 10, 14)), "clear", 2.5, model_file=f" {chain} ")
    assert asked == [(chain, 4)]
    assert tuple(large.shape) == (1, 25, 35, 3)


def test_an_interrupt_stops_the_job_and_is_passed_on(comfy: Comfy, node: Any, worker: RunningWorker) -> None:
    def stop() -> None:
        worker.wait_until_computing()
        comfy.interrupt.set()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Interrupted):
        node.upscale(torch.from_numpy(batch(4, 1500, 2000)), "random", 4)
    thread.join()
    assert worker.worker._jobs_done == 0


def test_without_a_worker_the_node_s_error_says_what_to_do(comfy: Comfy, node: Any, worker_file: Path) -> None:
    client = importlib.import_module(f"{NAME}.srvid_client")
    Path(client.__file__).with_name("launch.json").unlink()
    with pytest.raises(client.WorkerError, match="srkit serve"):
        node.upscale(torch.from_numpy(batch(1, 4, 4)), "nearest", 2)


def test_the_node_declares_its_inputs_as_comfyui_reads_them(comfy: Comfy, node: Any) -> None:
    inputs = node.INPUT_TYPES()
    assert node.CATEGORY == "image/upscaling"
    assert node.RETURN_TYPES == ("IMAGE",)
    assert inputs["required"]["image"] == ("IMAGE",)
    assert inputs["required"]["model"][0] == ["nearest", "random"]
    assert set(inputs["optional"]) == {"model_file", "tile", "device", "strength", "sharpen", "grain"}
    assert callable(getattr(node, node.FUNCTION))


def test_the_registry_s_metadata_pins_nothing_and_does_not_claim_the_host_s_name(tmp_path: Path) -> None:
    install(Place(host="comfyui", root=tmp_path), models=("clear",))
    facts = tomllib.loads((tmp_path / "custom_nodes" / NAME / "pyproject.toml").read_text())
    assert facts["project"]["dependencies"] == []
    assert "comfyui" not in facts["project"]["name"].lower()
    assert facts["tool"]["comfy"]["PublisherId"]
