"""Facts travel inside the ONNX file, and a file that breaks the contract is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, helper

from sr_core.color import FULL_RANGE_RGB
from sr_core.errors import BadModel
from sr_core.frame import rgb
from sr_core.graph.compose import compose
from sr_core.graph.network import merge_base, prepare_network, sensitive_nodes
from sr_core.model_spec import METADATA_KEY, ModelSpec, read_spec, spec_of, with_spec
from sr_core.testing import nearest_model, random_model

PRINTED = st.characters(exclude_categories=("Cc", "Cs"))  # control characters are refused
SPECS = st.builds(
    ModelSpec,
    name=st.text(PRINTED, min_size=1),
    scale=st.integers(1, 8),
    color_space=st.sampled_from(["rgb", "y"]),
    halo_px=st.none() | st.integers(0, 500),
    trained_on=st.lists(st.text(PRINTED)).map(tuple),
    psnr_y=st.dictionaries(st.text(PRINTED), st.floats(0, 60)),
)


@given(SPECS)
def test_a_spec_survives_its_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_a_spec_survives_its_file(tmp_path: Path) -> None:
    model = random_model(2)
    spec = spec_of(model)
    assert spec is not None
    with_spec(model, replace(spec, psnr_y={"set5": 37.5}))
    onnx.save(model, tmp_path / "model.onnx")
    assert read_spec(tmp_path / "model.onnx").psnr_y == {"set5": 37.5}


@pytest.mark.parametrize(("content", "says"), [(b"", "is empty"), (b"\x89PNG not a model", "not a readable")])
def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(BadModel, match=says):
        read_spec(path)


def test_a_spec_of_another_version_is_not_half_read() -> None:
    with pytest.raises(BadModel, match="tone_curve"):
        ModelSpec.from_json('{"name": "x", "scale": 2, "tone_curve": "pq"}')


def test_a_model_with_other_names_or_channels_is_refused() -> None:
    model = nearest_model(2)
    spec = spec_of(model)
    assert spec is not None
    with pytest.raises(BadModel, match="expected \\[N, 1, H, W\\]"):
        prepare_network(model, replace(spec, color_space="y"))
    model.graph.input[0].name = "image"
    with pytest.raises(BadModel, match="'image'"):
        prepare_network(model, spec)


class Counted(list[NodeProto]):
    """Counts how often it is gone through."""

    times = 0

    def __iter__(self) -> Iterator[NodeProto]:
        self.times += 1
        return super().__iter__()


def test_sensitive_nodes_are_found_in_a_few_passes_over_a_graph_of_thousands() -> None:
    """A transformer has 5,000 nodes or more: one pass for each of them took minutes."""
    chain = [helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], name=f"net/{i}") for i in range(200)]
    nodes = Counted([*chain, helper.make_node("Identity", ["t200"], ["sr"], name="exit")])
    composed = cast("ModelProto", SimpleNamespace(graph=SimpleNamespace(node=nodes)))
    assert sensitive_nodes(composed) == set()
    assert nodes.times < 10


def test_base_first_convolution_and_final_add_are_the_sensitive_nodes() -> None:
    model = random_model(2, layers=3)
    spec = spec_of(model)
    assert spec is not None
    composed = compose(model, spec, rgb(), FULL_RANGE_RGB, width=32, height=32)
    kinds = sorted(node.op_type for node in composed.model.graph.node if node.name in sensitive_nodes(composed.model))
    assert kinds == ["Add", "Conv", "Conv", "DepthToSpace", "Pad"]


def test_merging_the_base_saves_a_shuffle() -> None:
    model = random_model(2)
    spec = spec_of(model)
    assert spec is not None
    composed = compose(model, spec, rgb(), FULL_RANGE_RGB, width=32, height=32).model
    merged = merge_base(composed)
    onnx.checker.check_model(merged, full_check=True)

    def shuffles(graph: onnx.ModelProto) -> int:
        return sum(node.op_type == "DepthToSpace" for node in graph.graph.node)

    assert (shuffles(composed), shuffles(merged)) == (2, 1)


def test_every_prelu_gets_a_slope_of_its_own() -> None:
    model = random_model(2, layers=2)
    slopes = [node for node in model.graph.node if node.op_type == "PRelu"]
    slopes[1].input[1] = slopes[0].input[1]
    spec = spec_of(model)
    assert spec is not None
    clean, _ = prepare_network(model, spec)
    names = [node.input[1] for node in clean.graph.node if node.op_type == "PRelu"]
    assert len(set(names)) == 2


def test_the_metadata_key_is_written_once() -> None:
    model = nearest_model(2)
    spec = spec_of(model)
    assert spec is not None
    with_spec(with_spec(model, spec), spec)
    assert [entry.key for entry in model.metadata_props].count(METADATA_KEY) == 1
