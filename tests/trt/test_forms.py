"""How much of a network is FP16: the gate takes the leanest form that keeps the picture, and says which it did not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sr_core.backend import ComposedGraph
from sr_core.backends.tensorrt_library import load_library
from sr_core.color import ColorSpec
from sr_core.difference import difference
from sr_core.frame import PixelFormat, yuv
from sr_core.graph.compose import compose
from srvid.front_door import resolve_model
from srvid_cli.srkit.build import command as build
from srvid_cli.srkit.doctor import command as doctor
from srvid_cli.srkit.engines import command as engines
from tests.trt.networks import NV12, P010
from tests.trt.running import session
from trt_build import check, ensure
from trt_build.check import lower_and_check, round_after_every_node
from trt_build.ensure import build_engine, engine_key
from trt_build.forms import CAREFUL, FIRST, LEAN, form_called, forms_of
from trt_build.fp16 import fp16_nodes, lower_to_fp16
from trt_build.store import EngineStore

MODEL = "swift-x2"
YUV_FLOAT = PixelFormat(family="yuv", depth=32, is_float=True)


def graph_of(fmt: PixelFormat = NV12) -> ComposedGraph:
    model, spec = resolve_model(MODEL)
    return compose(model, spec, fmt, ColorSpec(), width=64, height=48)


def test_the_lean_form_is_fp16_throughout_with_one_shuffle() -> None:
    lean, first, careful = forms_of(graph_of())
    assert (lean.name, first.name, careful.name) == (LEAN, FIRST, CAREFUL)
    shuffles = [[n.op_type for n in form.model.graph.node].count("DepthToSpace") for form in (careful, lean)]
    assert shuffles[0] - shuffles[1] == 1  # the base's
    network = {node.name for node in lean.model.graph.node if node.name.startswith("net/")}
    assert set(fp16_nodes(lower_to_fp16(lean.model, lean.keep_fp32))) == network
    grew = {node.op_type for node in first.model.graph.node if node.name in careful.keep_fp32 - first.keep_fp32}
    assert grew == {"Conv"}  # the base stays as it is


@pytest.mark.parametrize("fmt", [yuv("420", 12), yuv("444", 16), YUV_FLOAT], ids=str)
def test_deep_samples_keep_their_picture_in_fp32(fmt: PixelFormat) -> None:
    assert [form.name for form in forms_of(graph_of(fmt))] == [FIRST, CAREFUL]


def test_a_smooth_ramp_of_10_bits_keeps_every_step() -> None:
    """The lean form's picture has 11 bits: no code of a ramp moves by more than one, and none is skipped."""
    graph = graph_of(P010)
    lean = form_called(LEAN, graph)
    ramp = np.tile(np.arange(700, 764, dtype=np.uint16) << 6, (48, 1))[None, None]
    feeds = {"y": ramp, "uv": np.full((1, 24, 32, 2), 512 << 6, np.uint16)}
    wanted = session(graph.model).run(None, feeds)[0]
    got = session(round_after_every_node(lower_to_fp16(lean.model, lean.keep_fp32))).run(None, feeds)[0]
    assert difference(got >> 6, wanted >> 6).worst <= 1
    inner = (got[0, 0, 16:-16, 16:-16] >> 6).astype(int)
    assert np.diff(inner, axis=1).max() <= 1
    assert np.diff(inner, axis=1).min() >= 0


@pytest.mark.parametrize(("required", "form"), [(0.0, LEAN), (900.0, CAREFUL)])
def test_decibels_decide_and_the_careful_form_is_not_held_to_them(
    monkeypatch: pytest.MonkeyPatch, required: float, form: str
) -> None:
    monkeypatch.setattr(check, "least_db", lambda graph: required)
    checked = lower_and_check(graph_of(), required_psnr_db=0.0)
    assert checked.form == form
    assert checked.fp32_layers == ()
    said = [] if form == LEAN else [r"lean: \d+\.\d dB of 900", r"first: \d+\.\d dB of 900"]
    assert all(re.fullmatch(line, found) for line, found in zip(said, checked.passed_over, strict=True))


def test_values_that_leave_fp16_are_no_question_of_decibels() -> None:
    checked = lower_and_check(graph_of(), peak_limit=1e-3)
    assert checked.form == CAREFUL
    assert [line.split(" up to")[0] for line in checked.passed_over] == ["lean: values", "first: values"]


def test_another_target_of_a_graph_takes_what_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, store, graph = load_library("tensorrt_rtx"), EngineStore(tmp_path), graph_of()
    monkeypatch.setattr(check, "least_db", lambda graph: 900.0)
    first = build_engine(graph, library, target="sm89", store=store).facts
    monkeypatch.setattr(ensure, "lower_and_check", lambda graph: pytest.fail("checked again"))
    second = build_engine(graph, library, target="sm120", store=store).facts
    assert second.form == CAREFUL
    assert (second.form, second.passed_over, second.psnr_db, second.final_onnx_sha256) == (
        first.form, first.passed_over, first.psnr_db, first.final_onnx_sha256,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [("RECIPE", "fp16-0"), ("LEAST_DB", ((8, 50.0),)), ("REQUIRED_PSNR_DB", 1)])
def test_an_engine_is_tied_to_the_recipe(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    library, graph = load_library("tensorrt_rtx"), graph_of()
    before = engine_key(graph, library, target="sm89", gpu=None)
    monkeypatch.setattr(ensure, name, value)
    after = engine_key(graph, library, target="sm89", gpu=None)
    assert [line.partition(":")[0] for line in before.differences(after)] == ["recipe"]


def test_build_engines_and_doctor_say_what_was_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path))
    monkeypatch.setattr(check, "least_db", lambda graph: 900.0)
    run = CliRunner().invoke
    arguments = [MODEL, "--target", "sm89", "--format", "nv12", "--tile", "64x64"]
    for said in (run(build, arguments).output, run(build, arguments).output, run(engines, ["list"]).output):
        assert "careful" in said
        assert re.search(r"not lean: \d+\.\d dB of 900", said)
    assert re.search(r"64x64 sm89: careful, not lean: \d+\.\d dB of 900, not first", run(doctor, []).output)
