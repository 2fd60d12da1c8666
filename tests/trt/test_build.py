"""The real TensorRT-RTX builder, ahead of time, on a machine without a GPU."""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from sr_core.backends.tensorrt_library import TensorRtLibrary, load_library
from sr_core.engine_key import PORTABLE, SHIPPED_TARGETS, BuildOptions
from sr_core.errors import BadInput, BadModel, Cancelled, EngineError, NotAvailable
from tests.trt.networks import NV12, P010, RGB24, YUV420P8, composed, network
from trt_build.build import serialize_engine
from trt_build.byte_planes import with_byte_planes
from trt_build.ensure import final_graph
from trt_build.fp16 import lower_to_fp16

ROOT = Path(__file__).parents[2]
FORMATS = {"yuv420p8": YUV420P8, "nv12": NV12, "p010": P010, "rgb24": RGB24}
# Stated bound for the small network at 64x48: TensorRT-RTX 1.7.1 takes 2.0 to 9.3 MiB, most of it fixed.
ACTIVATION_BOUND_BYTES = 16 << 20


@pytest.fixture(scope="module")
def rtx() -> TensorRtLibrary:
    return load_library("tensorrt_rtx")


@pytest.fixture(scope="module")
def graphs() -> dict[str, bytes]:
    return {name: final_graph(composed(fmt)).model.SerializeToString() for name, fmt in FORMATS.items()}


@pytest.mark.parametrize("target", [*SHIPPED_TARGETS, PORTABLE])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_builds_for_every_target(
    rtx: TensorRtLibrary, graphs: dict[str, bytes], name: str, target: str
) -> None:
    plan = serialize_engine(rtx, graphs[name], target=target, options=BuildOptions())
    assert len(plan.content) > 10_000
    assert 0 < plan.activation_bytes < ACTIVATION_BOUND_BYTES
    assert plan.weights_bytes > 0
    assert plan.warnings == ()


def test_a_luma_only_network_builds(rtx: TensorRtLibrary) -> None:
    graph = final_graph(composed(P010, color_space="y")).model.SerializeToString()
    assert serialize_engine(rtx, graph, target="sm89", options=BuildOptions()).content


def test_progress_rises_to_the_end_and_names_its_phases(rtx: TensorRtLibrary, graphs: dict[str, bytes]) -> None:
    seen: list[tuple[str, float]] = []
    serialize_engine(
        rtx,
        graphs["nv12"],
        target="sm89",
        options=BuildOptions(),
        progress=lambda phase, share: seen.append((phase, share)),
    )
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1
    assert {phase for phase, _ in seen} >= {"Building engine"}


def test_a_progress_callback_that_cancels_stops_the_build(rtx: TensorRtLibrary, graphs: dict[str, bytes]) -> None:
    calls: list[float] = []

    def stop(phase: str, share: float) -> None:
        calls.append(share)
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        serialize_engine(rtx, graphs["nv12"], target="sm89", options=BuildOptions(), progress=stop)
    assert len(calls) == 1  # not called again after it said stop


def test_ctrl_c_stops_the_build(rtx: TensorRtLibrary) -> None:
    graph = final_graph(composed(YUV420P8, depth=24)).model.SerializeToString()
    started = threading.Event()

    def interrupt() -> None:
        started.wait(30)
        _thread.interrupt_main()

    def slow(phase: str, share: float) -> None:
        started.set()
        time.sleep(0.02)  # hold the build open until the signal arrives

    helper_thread = threading.Thread(target=interrupt)
    helper_thread.start()
    with pytest.raises(Cancelled, match="nothing was written"):
        serialize_engine(rtx, graph, target="sm89", options=BuildOptions(), progress=slow)
    helper_thread.join()


def test_a_program_that_ends_during_a_build_ends_cleanly() -> None:
    script = (
        "import threading\n"
        "from sr_core.backends.tensorrt_library import load_library\n"
        "from sr_core.engine_key import BuildOptions\n"
        "from tests.trt.networks import composed\n"
        "from trt_build.build import serialize_engine\n"
        "from trt_build.ensure import final_graph\n"
        "graph, begun = final_graph(composed(depth=24), 'exact').model.SerializeToString(), threading.Event()\n"
        "def report(phase, share): begun.set()\n"
        "rtx, options = load_library('tensorrt_rtx'), BuildOptions()\n"
        "build = lambda: serialize_engine(rtx, graph, target='sm89', options=options, progress=report)\n"
        "threading.Thread(target=build, daemon=True).start()\n"
        "begun.wait(60); print('leaving', flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "leaving\n"
        assert process.wait(60) == 0  # with a daemon thread it was -6, an abort inside the library


def test_a_broken_onnx_file_is_refused_in_words(rtx: TensorRtLibrary, graphs: dict[str, bytes]) -> None:
    with pytest.raises(BadModel, match=r"tensorrt_rtx cannot read the graph: .+"):
        serialize_engine(rtx, graphs["nv12"][:200], target="sm89", options=BuildOptions())


def test_an_operator_the_parser_lacks_is_named(rtx: TensorRtLibrary) -> None:
    graph = helper.make_graph(
        [helper.make_node("Det", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(BadModel, match="Det"):
        serialize_engine(rtx, model.SerializeToString(), target="sm89", options=BuildOptions())


def test_a_graph_of_open_size_is_refused_for_it_has_no_profile(rtx: TensorRtLibrary) -> None:
    model, _ = network()  # N, H and W are free; engines are for one size
    with pytest.raises(EngineError, match=r"could not build the engine: .*optimization profile"):
        serialize_engine(rtx, model.SerializeToString(), target="sm89", options=BuildOptions())


def test_planes_whose_sizes_do_not_fit_each_other_are_refused_in_words(rtx: TensorRtLibrary) -> None:
    model = composed(NV12).model
    (uv,) = (value for value in model.graph.input if value.name == "uv")
    uv.type.tensor_type.shape.dim[1].dim_value += 2
    with pytest.raises((BadModel, EngineError), match=r"(?s)cannot read the graph: In node .*broadcast dimensions"):
        serialize_engine(rtx, model.SerializeToString(), target="sm89", options=BuildOptions())


def test_too_little_workspace_says_what_to_change(rtx: TensorRtLibrary) -> None:
    graph = final_graph(composed(YUV420P8, width=512, height=512)).model.SerializeToString()
    with pytest.raises(EngineError, match="could not build") as caught:
        serialize_engine(rtx, graph, target="sm89", options=BuildOptions(workspace_bytes=1 << 20))
    assert "tile" in caught.value.hint


def test_a_target_the_library_does_not_build_for_is_refused_with_the_list(
    rtx: TensorRtLibrary, graphs: dict[str, bytes]
) -> None:
    with pytest.raises(BadInput, match="sm90") as caught:
        serialize_engine(rtx, graphs["nv12"], target="sm90", options=BuildOptions())
    assert "sm120" in caught.value.hint


def test_uint16_planes_do_not_build_which_is_why_they_are_byte_pairs(rtx: TensorRtLibrary) -> None:
    graph = composed(P010)
    as_uint16 = lower_to_fp16(graph.model, graph.keep_fp32)
    with pytest.raises((BadModel, EngineError)):
        serialize_engine(rtx, as_uint16.SerializeToString(), target="sm89", options=BuildOptions())
    as_bytes, added = with_byte_planes(graph.model)
    lowered = lower_to_fp16(as_bytes, graph.keep_fp32 | added)
    assert serialize_engine(rtx, lowered.SerializeToString(), target="sm89", options=BuildOptions()).content


def test_the_runtime_refuses_garbage_as_malformed_and_a_plan_for_another_reason(
    rtx: TensorRtLibrary, graphs: dict[str, bytes]
) -> None:
    """The library's validity check works without a GPU."""
    from sr_core.backends.tensorrt_library import native_log

    plan = serialize_engine(rtx, graphs["nv12"], target="sm89", options=BuildOptions())
    with native_log(rtx) as (logger, _):
        runtime = rtx.trt.Runtime(logger)
        on_plan, on_garbage = rtx.refusal(runtime, plan.content), rtx.refusal(runtime, b"x" * 4096)
    assert "malformed" in on_garbage
    assert "malformed" not in on_plan


def test_the_two_libraries_never_share_a_process(rtx: TensorRtLibrary) -> None:
    with pytest.raises(NotAvailable, match="beside tensorrt_rtx"):
        load_library("tensorrt")


def test_an_unknown_library_lists_the_known_ones() -> None:
    with pytest.raises(NotAvailable, match="'cudnn'") as caught:
        load_library("cudnn")
    assert "tensorrt_rtx" in caught.value.hint
