"""The shipped models: found by name, small, honest about themselves, and usable without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sr_core.errors import NotAvailable
from sr_core.graph.receptive_field import receptive_radius
from sr_core.model_spec import load_model, read_spec
from sr_train.evaluation import evaluate
from sr_zoo.cost import macs_per_output_pixel, parameter_count
from sr_zoo.models import find_model, shipped_models, shipped_names, weights_dir

WHEEL_SHARE_BYTES = 25e6  # what all weights may take
MEASURED_DB = 0.01  # rounding to two decimals, and other summation orders on other CPUs
VDSR_MACS = 20 * 64 * 64 * 9 - 2 * 64 * 63 * 9  # per output pixel: 20 layers, the first and last with one plane
FSRCNN_SET5_DB = {2: 37.00, 3: 33.16, 4: 30.71}  # what first light had to reach


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_model_is_named_as_its_file_and_says_what_it_is(name: str) -> None:
    spec = read_spec(weights_dir() / f"{name}.onnx")
    assert spec.name == name
    assert name.endswith(f"-x{spec.scale}")
    assert spec.licence
    assert spec.training
    assert spec.attributions
    assert all(entry.startswith("train/") for entry in spec.trained_on)
    assert {"set5", "set14"} <= set(spec.psnr_y)


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_models_halo_is_what_its_graph_says(name: str) -> None:
    path = weights_dir() / f"{name}.onnx"
    spec = read_spec(path)
    assert spec.halo_px == receptive_radius(load_model(path), scale=spec.scale)


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_model_measures_what_it_claims_on_set5(name: str, shared_data: Path) -> None:
    path = weights_dir() / f"{name}.onnx"
    (found,) = evaluate(path, sets=["set5"], data_root=shared_data)
    assert found.mean("psnr_y") == pytest.approx(read_spec(path).psnr_y["set5"], abs=MEASURED_DB)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_default_model_is_at_least_fsrcnn_and_50_times_cheaper_than_vdsr(scale: int) -> None:
    path = find_model("clear", scale=scale)
    spec = read_spec(path)
    assert spec.psnr_y["set5"] >= FSRCNN_SET5_DB[scale]
    cost = macs_per_output_pixel(load_model(path), spec)
    if scale == 4:
        assert cost < VDSR_MACS / 50


def test_the_cost_of_clear_x4_is_its_layers() -> None:
    path = find_model("clear-x4")
    head, body, tail, base = 3 * 32 * 9, 8 * 32 * 32 * 9, 32 * 48 * 9, 3 * 48 * 9
    expected = (head + body + tail + base) / 16
    # the base pads before its convolution, so it sees no fewer pixels than the rest
    assert macs_per_output_pixel(load_model(path), read_spec(path)) == pytest.approx(expected, rel=1e-3)
    assert parameter_count(load_model(path)) == 88_752


def test_all_weights_fit_into_the_wheel() -> None:
    assert sum(model.path.stat().st_size for model in shipped_models()) < WHEEL_SHARE_BYTES


def test_a_name_needs_its_scale_or_the_option() -> None:
    assert find_model("clear", scale=4) == find_model("clear-x4")
    with pytest.raises(NotAvailable, match="needs a scale") as refusal:
        find_model("clear")
    assert "clear-x2" in refusal.value.hint


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(NotAvailable) as refusal:
        find_model("claer-x4")
    assert "clear-x4" in refusal.value.hint


def test_finding_models_imports_neither_torch_nor_a_runtime() -> None:
    code = (
        "import sys; from sr_zoo.models import find_model, shipped_models; shipped_models(); "
        "print([m for m in ('torch', 'openvino', 'onnxruntime', 'av') if m in sys.modules])"
    )
    paths = {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", code], env=paths, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
