"""JSON of our own, damaged: either a record whose every field has its type, or one line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Literal, get_type_hints

import pytest

from sr_core.errors import BadInput, BadModel, EngineError
from sr_core.model_spec import ModelSpec
from sr_core.records import check, parse_json, record_from_json
from tests.fuzz.mutations import damaged_json


@dataclass(frozen=True, kw_only=True)
class Inner:
    names: tuple[str, ...] = ()
    pair: tuple[int, str] = (1, "x")


@dataclass(frozen=True, kw_only=True)
class Outer:
    number: int
    share: float
    way: Literal["a", "b"]
    maybe: int | None
    inner: Inner
    costs: dict[str, float] = field(default_factory=dict)
    is_done: bool = False
    time_base: Fraction = Fraction(1)


GOOD = {"number": 3, "share": 1, "way": "a", "maybe": None, "inner": {"names": ["n"]}, "time_base": "1/1000"}


def test_a_record_comes_back_with_its_types() -> None:
    record = record_from_json(json.dumps(GOOD), Outer)
    assert record == Outer(
        number=3, share=1.0, way="a", maybe=None, inner=Inner(names=("n",)), time_base=Fraction(1, 1000)
    )
    assert isinstance(record.share, float)


@pytest.mark.parametrize(
    "change",
    [
        {"number": True}, {"number": 2**70}, {"number": 1.0}, {"number": "3"}, {"number": None}, {"share": "x"},
        {"way": "c"}, {"way": 1}, {"maybe": "1"}, {"inner": []}, {"inner": {"names": "n"}}, {"inner": {"pair": [1]}},
        {"inner": {"names": [1]}}, {"costs": {"a": {}}}, {"costs": []}, {"is_done": 1}, {"time_base": "1/0"},
        {"time_base": 3}, {"another": 1}, {"way": "\ud800"},
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_in_one_line(change: dict[str, object]) -> None:
    with pytest.raises(BadInput) as refusal:
        record_from_json(json.dumps(GOOD | change), Outer)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": NaN}', '{"a": Infinity}', "\xff", "1" * 5000])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        check(parse_json(text.encode("latin-1")), dict[str, float])


def test_no_mutation_of_a_record_gets_through_with_a_wrong_type() -> None:
    random, kept = Random(5), 0
    hints = get_type_hints(Outer)
    for _ in range(3000):
        try:
            record = record_from_json(damaged_json(json.dumps(GOOD).encode(), random), Outer)
        except BadInput:
            continue
        kept += 1
        for name in ("number", "share", "inner", "is_done", "time_base", "costs"):
            assert isinstance(getattr(record, name), getattr(hints[name], "__origin__", hints[name])), name
    assert kept > 100  # of 3000: else the mutations test nothing but the parser


def test_no_mutation_of_a_model_spec_is_anything_but_a_spec_or_a_bad_model() -> None:
    random = Random(6)
    text = ModelSpec(name="a", scale=2, halo_px=3, trained_on=("b",), psnr_y={"set5": 31.0}).to_json()
    kept = 0
    for _ in range(3000):
        data = damaged_json(text.encode(), random).decode("utf-8", "replace")
        try:
            spec = ModelSpec.from_json(data)
        except BadModel:
            continue
        kept += 1
        assert "\x1b" not in spec.name
        assert all(isinstance(value, float) for value in spec.psnr_y.values())
        assert spec.scale in range(1, 17)
    assert kept > 100


def test_no_mutation_of_an_engine_sidecar_is_anything_but_facts_or_an_engine_error() -> None:
    from sr_core.engine_key import EngineFacts, EngineKey

    key = EngineKey(
        graph_sha256="0", recipe="1", precision="fp32", library="tensorrt_rtx", library_version="1", target="sm89"
    )
    text = EngineFacts(
        key=key, label="a", scale=2, width=8, height=8, depth=8, planes=(("y", "uint8", (8, 8)),), engine_sha256="0",
        engine_bytes=1, activation_bytes=1, weights_bytes=1, build_seconds=1.0, final_onnx_sha256="0",
    ).to_json()  # fmt: skip
    assert EngineFacts.from_json(text).key == key
    random = Random(7)
    for _ in range(2000):
        data = damaged_json(text.encode(), random).decode("utf-8", "replace")
        try:
            facts = EngineFacts.from_json(data)
        except EngineError:
            continue
        assert isinstance(facts.engine_bytes, int)
        assert all(isinstance(part, int) for _, _, shape in facts.planes for part in shape)
