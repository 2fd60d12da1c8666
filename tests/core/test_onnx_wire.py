"""The properties of an ONNX file are those that `onnx` reads; a damaged file is left to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sr_core.errors import BadModel
from sr_core.model_spec import read_spec
from sr_core.onnx_wire import properties_of
from sr_core.testing import random_model
from sr_zoo.models import weights_dir

SHIPPED = sorted(weights_dir().glob("*.onnx"))


def test_the_properties_of_every_shipped_model_are_those_that_onnx_reads() -> None:
    assert SHIPPED
    for path in SHIPPED:
        expected = {entry.key: entry.value for entry in onnx.load(str(path), load_external_data=False).metadata_props}
        assert properties_of(path) == expected, path.name
        assert expected


@given(st.dictionaries(st.text(), st.text(max_size=300), max_size=5), st.text(), st.integers(0, 1 << 62))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_and_any_number_beside_it_is_read(
    tmp_path: Path, properties: dict[str, str], producer: str, version: int
) -> None:
    model = random_model(2)
    del model.metadata_props[:]
    model.producer_name, model.model_version = producer, version
    for key, value in properties.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(tmp_path / "a.onnx"))
    assert properties_of(tmp_path / "a.onnx") == properties


@given(st.floats(0, 1, exclude_max=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_was_cut_is_never_a_model(tmp_path: Path, share: float) -> None:
    whole = random_model(2).SerializeToString()
    path = tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BadModel):
        read_spec(path)


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"PK\3\4" + bytes(99), b"\xff" * 99, b"\x3a\x01"])
def test_what_is_no_onnx_file_has_no_properties(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    assert properties_of(tmp_path / "a.onnx") is None


def test_listing_the_models_loads_neither_onnx_nor_numpy() -> None:
    code = (
        "import sys; from sr_zoo.models import named_models; assert named_models();"
        "assert not {'onnx', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
