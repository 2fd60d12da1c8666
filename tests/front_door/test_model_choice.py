"""What --model means: names, files, chains, and how much each enlarges."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import srvid
from sr_core.backend import ComposedGraph, Precision, Progress
from sr_core.backends.openvino import OpenVino
from sr_core.color import FULL_RANGE_RGB
from sr_core.errors import BadInput, BadModel, NotAvailable, OutputExists
from sr_core.frame import rgb
from sr_core.graph.quantized import has_quantizers
from sr_core.model_spec import load_model, read_spec, spec_of
from sr_core.testing import nearest_model, random_model
from sr_zoo.library import forget_model, keep_model
from sr_zoo.models import find_model, known_names, named_models
from srvid import trial
from srvid.model_choice import engine_scale, load, scales_of
from srvid.trial import try_once


@pytest.fixture
def cleaner(tmp_path: Path) -> str:
    """A network that enlarges once."""
    onnx.save(random_model(1, seed=4), tmp_path / "cleaner.onnx")
    return str(tmp_path / "cleaner.onnx")


@pytest.mark.parametrize(
    ("model", "wanted", "scale"),
    [
        ("clear", None, 4),
        ("clear-x2", None, 2),
        ("clear", Fraction(3, 2), 2),
        ("clear", Fraction(5), 6),
        ("clear", Fraction(8), 8),
        ("clear,clear-x2", None, 4),
        ("clear-x3,clear-x3", None, 9),
    ],
)
def test_the_least_scale_that_reaches_the_wanted_one_is_taken(model: str, wanted: Fraction | None, scale: int) -> None:
    assert engine_scale(model, wanted) == scale


def test_a_files_own_scale_is_taken_and_a_family_behind_it_gives_the_rest(cleaner: str) -> None:
    assert engine_scale(cleaner) == 1
    assert engine_scale(f"{cleaner},clear") == 4
    assert scales_of(f"{cleaner},clear") == scales_of("clear")
    assert load(f"{cleaner},clear", scale=3).spec.name == "random4-x1+clear-x3"


def test_eight_times_is_two_networks_as_one() -> None:
    loaded = load("clear", scale=8)
    assert (loaded.spec.name, loaded.spec.scale, loaded.is_foreign) == ("clear-x4+clear-x2", 8, False)


def test_a_chain_runs_as_one_model(cleaner: str) -> None:
    with srvid.open_upscaler(f"{cleaner}, clear-x2", tile=64) as upscaler:
        assert upscaler.scale == 2
        (out,) = upscaler.planes((np.full((9, 14, 3), 90, np.uint8),), rgb(packed=True), FULL_RANGE_RGB)
    assert out.shape == (18, 28, 3)


@pytest.mark.parametrize(
    ("model", "wanted", "words"),
    [
        ("clear-x2", Fraction(3), "enlarges 2 times at most, not 3"),
        ("clear", Fraction(17), "enlarges 16 times at most"),
    ],
)
def test_more_than_a_model_gives_is_refused_with_a_chain_as_the_hint(model: str, wanted: Fraction, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refusal:
        engine_scale(model, wanted)
    assert "clear" in refusal.value.hint


def test_an_empty_place_between_commas_is_refused() -> None:
    with pytest.raises(BadInput, match="names no model between its commas"):
        load("clear,,clear-x2")


def test_a_file_that_has_a_comma_in_its_name_is_a_file(tmp_path: Path) -> None:
    onnx.save(nearest_model(2), tmp_path / "a,b.onnx")
    assert load(str(tmp_path / "a,b.onnx")).spec.name == "nearest-x2"


def test_an_imported_model_works_wherever_a_name_does(cleaner: str) -> None:
    keep_model(Path(cleaner), "my-cleaner", purpose="dirty tapes", licence="MIT", credit="me")
    try:
        spec = read_spec(find_model("my-cleaner"))
        assert (spec.name, spec.purpose, spec.licence, spec.attributions) == (
            "my-cleaner",
            "dirty tapes",
            "MIT",
            ("me",),
        )
        assert load("my-cleaner,clear-x2").spec.scale == 2
        assert load("my-cleaner").is_foreign
        assert named_models()[-1].purpose == "dirty tapes"
        with pytest.raises(OutputExists, match="already called 'my-cleaner'"):
            keep_model(Path(cleaner), "my-cleaner")
        keep_model(Path(cleaner), "my-cleaner", overwrite=True)
    finally:
        forget_model("my-cleaner")
    assert "my-cleaner" not in known_names()
    with pytest.raises(NotAvailable, match="no imported model is called 'my-cleaner'"):
        forget_model("my-cleaner")


@pytest.mark.parametrize("name", ["", "a,b", "../x", "x.onnx", "clear", "clear-x8", "-x", "a" * 65])
def test_a_name_that_would_be_taken_for_something_else_is_refused(name: str, cleaner: str) -> None:
    with pytest.raises(BadInput):
        keep_model(Path(cleaner), name)


def test_models_are_listed_by_what_they_are_for() -> None:
    families = list(dict.fromkeys(model.family for model in named_models() if model.is_shipped))
    assert families[:3] == ["clear", "restore", "anime"]
    assert all(model.purpose for model in named_models() if model.is_shipped)


def test_a_foreign_model_is_tried_once_on_the_backend(cleaner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(2, seed=41)
    spec = spec_of(model)
    assert spec is not None
    backend = OpenVino(threads=1)
    first = try_once(model, spec, backend)
    assert first is not None
    assert first > trial.SAME_DB
    monkeypatch.setattr(trial, "_try", lambda *_: pytest.fail("tried again"))
    assert try_once(model, spec, backend) == min(first, 999.0)


def test_a_backend_that_computes_something_else_is_found_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(2, seed=43)
    spec = spec_of(model)
    assert spec is not None
    runs = []
    run = trial._run

    def second_is_dark(session: object, pixels: np.ndarray) -> np.ndarray:
        runs.append(session)
        return run(session, pixels) // len(runs)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "_run", second_is_dark)
    with pytest.raises(BadModel, match="computes something else on openvino"):
        try_once(model, spec, OpenVino(threads=1))


@pytest.mark.parametrize("name", ["clear-x2", "clear-restore-x2", "swift-x2", "swift-x4", "srcnn-x3"])
def test_a_shipped_model_passes_the_trial_of_foreign_files_also_in_int8(name: str) -> None:
    """INT8 is taken where the file has it, however this CPU would decide."""
    model = load_model(find_model(name))
    spec = spec_of(model)
    assert spec is not None
    assert trial._try(model, spec, OpenVino(threads=1)) > trial.SAME_DB
    if has_quantizers(model):
        assert trial._try(model, spec, InInt8(threads=1)) > trial.SAME_DB


class InInt8(OpenVino):
    """Takes INT8 where it is free to choose, without asking which way is faithful."""

    def _way(self, graph: ComposedGraph, precision: Precision, progress: Progress | None) -> str:
        return "f32" if precision == "exact" else "int8+f32"


def test_quantizers_of_too_narrow_a_range_fail_the_trial() -> None:
    """Whoever converted it to INT8 took the ranges of darker pictures: it still gives a picture, and a wrong one."""
    model = load_model(find_model("swift-x2"))
    spec = spec_of(model)
    assert spec is not None
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    narrowed = 0
    for node in model.graph.node:
        tensor = held.get(node.input[1]) if node.op_type == "QuantizeLinear" else None
        if tensor is not None and not tensor.dims:  # of features; those of weights have a scale a channel
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 4, tensor.name))
            narrowed += 1
    assert narrowed
    with pytest.raises(BadModel, match="swift-x2 computes something else on openvino"):
        trial._try(model, spec, InInt8(threads=1))
