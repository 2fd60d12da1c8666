"""Quantizing a model file: ranges, what is given back to FP32, and what the file says afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto
from PIL import Image

from sr_core.errors import BadModel
from sr_core.graph.quantized import QUANTIZE, Range, has_quantizers, remove_quantizers
from sr_core.model_spec import load_model, spec_of, with_spec
from sr_core.testing import picture, random_model
from sr_train import quantization
from sr_train.quantization import (
    STREETS,
    Plan,
    calibration_batches,
    first_plan,
    inner_convolutions,
    measure_file,
    narrow,
    quantize_file,
    squared_error,
    without_worst,
)
from sr_zoo.models import find_model


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of small pictures, laid out as the real one."""
    root = tmp_path_factory.mktemp("data")
    names = {
        "train/photo640": ["a", "b", *STREETS[:2]],
        "train/vector": ["c"],
        "eval/Set5": ["d"],
        "eval/B100": ["e", "f"],
    }
    for index, (folder, stems) in enumerate(names.items()):
        (root / folder).mkdir(parents=True)
        for number, stem in enumerate(stems):
            pixels = np.rint(picture(72, 64, seed=10 * index + number) * 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{stem}.png")
    return root


@pytest.fixture
def model() -> ModelProto:
    return random_model(2, layers=3)


def test_the_first_convolution_and_the_base_stay_in_floats(model: ModelProto) -> None:
    first, *inner = [node.name for node in model.graph.node if node.op_type == "Conv" and "body" in node.name]
    assert inner_convolutions(model) == tuple(inner)
    assert first not in inner


def test_the_convolutions_of_color_differences_stay_in_floats() -> None:
    """PSNR on Y would not see what coarse steps of R-G and B-G do."""
    restore = load_model(find_model("restore-x2"))
    remove_quantizers(restore)
    held = {tensor.name: tensor for tensor in restore.graph.initializer}
    reads = {node.name: held[node.input[1]].dims[1] for node in restore.graph.node if node.op_type == "Conv"}
    inner = inner_convolutions(restore)
    assert min(reads.values()) == 2
    assert min(reads[name] for name in inner) >= 16
    assert len(inner) >= 16


def test_street_scenes_are_held_out_of_the_calibration(data_root: Path) -> None:
    assert len(calibration_batches(data_root, 2)) == 3, "a, b and c"


def test_ranges_hold_every_value_seen_and_narrower_ones_come_closer(model: ModelProto, data_root: Path) -> None:
    pictures = calibration_batches(data_root, 2)
    plan = first_plan(model, pictures)
    assert len(plan.ranges) == 3
    outlier = replace_range(plan, 4.0)
    error = squared_error(model, pictures)
    assert error(narrow(outlier, model, pictures)) < 0.5 * error(outlier)


def test_the_last_convolutions_stay_in_floats_where_asked(model: ModelProto, data_root: Path) -> None:
    pictures = calibration_batches(data_root, 2)
    whole = first_plan(model, pictures)
    short = first_plan(model, pictures, floats_at_end=1)
    assert short.convolutions == whole.convolutions[:-1]
    assert set(short.ranges) < set(whole.ranges)
    with pytest.raises(BadModel, match="may be INT8"):
        first_plan(model, pictures, floats_at_end=9)


def replace_range(plan: Plan, factor: float) -> Plan:
    """Every range `factor` times as wide: most codes never occur."""
    wide = {name: Range(limits.low * factor, limits.high * factor) for name, limits in plan.ranges.items()}
    return Plan(convolutions=plan.convolutions, ranges=wide)


def test_the_convolution_that_costs_most_is_given_back_first(model: ModelProto, data_root: Path) -> None:
    pictures = calibration_batches(data_root, 2)
    plan = first_plan(model, pictures)
    bad = list(plan.ranges)[1]  # far too coarse: what reads it is nearly destroyed
    spoilt = Plan(convolutions=plan.convolutions, ranges={**plan.ranges, bad: Range(-50.0, 50.0)})
    (reader,) = [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[0] == bad]
    assert set(plan.convolutions) - set(without_worst(spoilt, model, pictures).convolutions) == {reader}


def test_a_quantized_file_says_what_it_costs_and_keeps_its_floats(
    model: ModelProto, data_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    for _ in range(2):  # again, its old quantizers are replaced
        spec = quantize_file(path, data_root=data_root, b100_images=1)
        made = load_model(path)
        assert spec == spec_of(made)
        assert set(spec.int8_loss) == {"set5", "b100", "streets"}
        assert has_quantizers(made)
        assert sum(node.op_type == QUANTIZE for node in made.graph.node) <= 6
        remove_quantizers(made)
        assert list(made.graph.node) == list(model.graph.node)
        assert list(made.graph.initializer) == list(model.graph.initializer)


def test_measuring_again_changes_the_loss_that_is_told_and_nothing_else(
    model: ModelProto, data_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadModel, match="no quantizers"):
        measure_file(path, data_root=data_root, b100_images=1)
    right = quantize_file(path, data_root=data_root, b100_images=1)
    before = load_model(path)
    path.write_bytes(with_spec(before, replace(right, int8_loss={"set5": 9.0})).SerializeToString())
    assert measure_file(path, data_root=data_root, b100_images=1) == right
    after = load_model(path)
    assert after.graph == before.graph
    assert spec_of(after) == right


def test_convolutions_are_given_back_while_the_loss_is_too_large(
    model: ModelProto, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lines = tmp_path / "m.onnx", list[str]()
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr(quantization, "LIMIT_DB", -1.0)  # never enough
    quantize_file(path, data_root=data_root, b100_images=1, say=lines.append)
    assert [line.split()[1] for line in lines if "convolutions in INT8" in line] == ["3", "2", "1"]
