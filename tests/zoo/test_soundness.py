"""Files that are no models, or hostile ones: refused in one line before a runtime sees them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from onnx import ModelProto, TensorProto, helper

from sr_core.errors import BadModel, SrError
from sr_core.model_spec import METADATA_KEY, load_model, spec_of, with_spec
from sr_core.testing import nearest_model, random_model
from sr_zoo.importing import _how_it_ended, imported_model
from sr_zoo.soundness import refuse_unsound
from tests.fuzz.mutations import damaged_onnx


def graph(*nodes: object, opset: int = 18, weights: tuple[TensorProto, ...] = ()) -> ModelProto:
    """A model of one input and one output around `nodes`."""
    shape = ["N", 3, "H", "W"]
    made = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info("lr", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("sr", TensorProto.FLOAT, shape)], list(weights),
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])


def node(kind: str, inputs: list[str], outputs: list[str], **attributes: object) -> object:
    return helper.make_node(kind, inputs, outputs, **attributes)


HOSTILE: dict[str, Callable[[], ModelProto]] = {
    "cycle": lambda: graph(
        node("Add", ["lr", "b"], ["a"]), node("Add", ["a", "lr"], ["b"]), node("Relu", ["b"], ["sr"])
    ),
    "itself": lambda: graph(node("Add", ["lr", "sr"], ["sr"])),
    "conv without weights": lambda: graph(node("Conv", ["lr"], ["sr"])),
    "pad without pads": lambda: graph(node("Pad", ["lr"], ["sr"])),
    "pad of nothing": lambda: graph(node("Pad", [], ["sr"])),
    "unknown attribute": lambda: graph(node("Relu", ["lr"], ["sr"], colour=3)),
    "weights of another shape": lambda: graph(
        node("Add", ["lr", "w"], ["sr"]),
        weights=(TensorProto(name="w", data_type=1, dims=[5], raw_data=b"\0" * 4),),
    ),
    "output of nothing": lambda: graph(node("Relu", ["lr"], ["other"])),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_graph_that_is_none_is_refused_before_a_runtime_sees_it(what: str) -> None:
    with pytest.raises(BadModel, match="is not a valid ONNX model") as refusal:
        refuse_unsound(HOSTILE[what](), "in.onnx")
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize("version", [0, -1, 2**40, 2**62, 1000])
def test_an_operator_set_that_nobody_has_defined_is_refused(version: int) -> None:
    model = random_model(2)
    model.opset_import[0].version = version
    with pytest.raises(BadModel, match="wants version"):
        refuse_unsound(model, "in.onnx")


def test_no_operator_set_at_all_is_refused() -> None:
    model = random_model(2)
    del model.opset_import[:]
    with pytest.raises(BadModel, match="names no set"):
        refuse_unsound(model, "in.onnx")


def test_a_newer_file_format_no_name_and_no_shape_pass_and_stay_as_they_are() -> None:
    model = random_model(2)
    model.ir_version, model.graph.name = 99, ""
    model.graph.output[0].type.tensor_type.ClearField("shape")
    before = model.SerializeToString(deterministic=True)
    refuse_unsound(model, "in.onnx")
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("with_facts", [False, True])
def test_the_door_refuses_a_hostile_file_in_one_line(tmp_path: Path, with_facts: bool) -> None:
    model = HOSTILE["conv without weights"]()
    if with_facts:
        spec = spec_of(nearest_model(2))
        assert spec is not None
        with_spec(model, spec)
    path = tmp_path / "in.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadModel, match="is not a valid ONNX model"):
        imported_model(path)


def test_a_header_that_states_another_scale_than_the_network_has_is_refused(tmp_path: Path) -> None:
    model, spec = nearest_model(2), spec_of(nearest_model(3))
    assert spec is not None
    path = tmp_path / "in.onnx"
    path.write_bytes(with_spec(model, spec).SerializeToString())
    with pytest.raises(BadModel, match=r"expected \[1, 3, 72, 72\]"):
        imported_model(path)


@pytest.mark.parametrize(
    ("key", "value"), [("location", "a" * 500), ("location", "../x"), ("offset", "x"), ("length", "-1")]
)
def test_weights_in_a_file_that_cannot_be_are_refused(tmp_path: Path, key: str, value: str) -> None:
    model = random_model(2)
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    if key != "location":
        model.graph.initializer[0].external_data.add(key="location", value="w.bin")
    model.graph.initializer[0].external_data.add(key=key, value=value)
    path = tmp_path / "in.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadModel, match="weights"):
        load_model(path)


def test_control_characters_in_a_models_facts_are_refused(tmp_path: Path) -> None:
    model = nearest_model(2)
    entry = next(entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = entry.value.replace("nearest-x2", "\\u001b[2Jx")
    path = tmp_path / "in.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadModel, match="control characters"):
        imported_model(path)


def test_a_foreign_file_whose_name_cannot_be_printed_gets_one_that_can(tmp_path: Path) -> None:
    model = nearest_model(2)
    del model.metadata_props[:]
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\x1b[31m\xff.onnx"))
    path.write_bytes(model.SerializeToString())
    spec = spec_of(load_model(imported_model(path)))
    assert spec is not None
    assert spec.name == "a_[31m_"


@pytest.mark.parametrize(
    ("code", "words"),
    [(-signal.SIGXCPU, "took too long"), (-signal.SIGSEGV, "crashed"), (-signal.SIGKILL, "too much memory")],
)
def test_a_child_that_was_ended_is_told_in_words(code: int, words: str) -> None:
    assert words in _how_it_ended(code)


def test_no_mutation_of_a_model_is_anything_but_sound_or_a_bad_model(tmp_path: Path) -> None:
    random, outcomes = Random(8), {True: 0, False: 0}
    seed = random_model(2, features=4, layers=1).SerializeToString()
    path = tmp_path / "in.onnx"
    for _ in range(400):
        path.write_bytes(damaged_onnx(seed, random))
        try:
            model = load_model(path)
            spec_of(model)
            refuse_unsound(model, path.name)
        except SrError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    assert min(outcomes.values()) > 40
