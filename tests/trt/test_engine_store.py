"""What an engine is tied to, and that no damaged or foreign file is ever used for it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sr_core.engine_key import BuildOptions, EngineFacts, EngineKey, GpuFacts
from sr_core.errors import BadInput, EngineError, NotAvailable
from tests.trt.cards import BLACKWELL, H100, L4
from tests.trt.networks import NV12, YUV420P8, composed
from trt_build.ensure import engine_key, ensure_engine, graph_hash, is_built
from trt_build.explain import Machine, stale_because, unused_because
from trt_build.store import ENGINE_ENDING, SIDECAR_ENDING, EngineStore

ROOT = Path(__file__).parents[2]
TURING = dataclasses.replace(L4, name="NVIDIA T4", compute_capability=(7, 5))

KEY = EngineKey(
    graph_sha256="ab" * 32,
    recipe="fp16-1",
    precision="fp16+fp32",
    library="tensorrt",
    library_version="11.4.0",
    target="this-gpu",
    options=BuildOptions(),
    gpu_name="NVIDIA L4",
    gpu_compute_capability="8.9",
    gpu_multiprocessors=58,
    gpu_memory_bytes=24 << 30,
    system="Linux",
    machine="x86_64",
)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path)


@pytest.fixture
def built(store: EngineStore) -> EngineStore:
    """A store with the small NV12 engine for an L4 in it."""
    ensure_engine(composed(NV12), library="tensorrt_rtx", gpu=L4, store=store)
    return store


def ensure(store: EngineStore, **changes: object) -> tuple[bytes, tuple[str, ...]]:
    arguments = {"library": "tensorrt_rtx", "gpu": L4, "store": store} | changes
    engine = ensure_engine(composed(NV12), **arguments)  # type: ignore[arg-type]
    return engine.content, engine.notes


# ---- the key


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(EngineKey) if field.name != "options"])
def test_each_field_of_the_key_changes_the_digest_and_is_named(name: str) -> None:
    value = getattr(KEY, name)
    other = dataclasses.replace(KEY, **{name: value + 1 if isinstance(value, int) else f"{value}x"})
    assert other.digest != KEY.digest
    assert [line.split(":")[0] for line in KEY.differences(other)] == [name]


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(workspace_bytes=1 << 30),
        BuildOptions(optimization_level=5),
        BuildOptions(hardware_compatibility="AMPERE_PLUS"),
        BuildOptions(max_aux_streams=0),
    ],
)
def test_each_builder_setting_changes_the_digest(options: BuildOptions) -> None:
    assert dataclasses.replace(KEY, options=options).digest != KEY.digest


def test_every_builder_setting_is_in_the_test_above() -> None:
    assert {field.name for field in dataclasses.fields(BuildOptions)} == {
        "workspace_bytes",
        "optimization_level",
        "hardware_compatibility",
        "max_aux_streams",
    }


def test_a_label_from_anywhere_becomes_a_safe_file_name() -> None:
    stem = KEY.file_stem("../../my model: x4/" + "long" * 40)
    assert "/" not in stem
    assert ".." not in stem
    assert len(stem) < 100
    assert stem.endswith(KEY.digest[:20])


def test_weights_size_format_and_kept_nodes_change_the_graphs_hash() -> None:
    first = composed(NV12)
    variants = [composed(YUV420P8), composed(NV12, width=128), composed(NV12, gain=2.0)]
    variants.append(dataclasses.replace(first, keep_fp32=first.keep_fp32 | {"net/other"}))
    assert len({graph_hash(graph) for graph in (first, *variants)}) == 5
    assert graph_hash(first) == graph_hash(composed(NV12))


def test_remarks_in_the_file_do_not_change_the_graphs_hash() -> None:
    first, second = composed(NV12), composed(NV12)
    second.model.producer_name, second.model.doc_string = "somebody", "made on a Tuesday"
    second.model.graph.node[0].doc_string = "first"
    assert graph_hash(first) == graph_hash(second)


def test_bad_builder_settings_are_refused() -> None:
    with pytest.raises(BadInput, match="optimization_level is 9"):
        BuildOptions(optimization_level=9)
    with pytest.raises(BadInput, match="hardware_compatibility"):
        BuildOptions(hardware_compatibility="EVERYTHING")


# ---- finding and building


def test_an_engine_is_built_once_and_then_found(built: EngineStore) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.folder.iterdir() if path.is_file()}
    plan, notes = ensure(built)
    assert notes == ()
    assert plan
    assert {path: path.stat().st_mtime_ns for path in built.folder.iterdir() if path.is_file()} == before
    assert is_built(composed(NV12), library="tensorrt_rtx", gpu=L4, store=built)
    assert not is_built(composed(YUV420P8), library="tensorrt_rtx", gpu=L4, store=built)


def test_a_portable_engine_serves_every_card_but_turing(store: EngineStore) -> None:
    from sr_core.backends.tensorrt_library import load_library
    from trt_build.ensure import build_engine

    native = load_library("tensorrt_rtx")
    portable = build_engine(composed(NV12), native, target="portable", store=store)
    for gpu in (L4, BLACKWELL):
        assert ensure(store, gpu=gpu)[0] == portable.content
    assert not is_built(composed(NV12), library="tensorrt_rtx", gpu=TURING, store=store)


def test_an_engine_for_the_exact_card_is_preferred_to_a_portable_one(built: EngineStore) -> None:
    from sr_core.backends.tensorrt_library import load_library
    from trt_build.ensure import build_engine

    build_engine(composed(NV12), load_library("tensorrt_rtx"), target="portable", store=built)
    engine = ensure_engine(composed(NV12), library="tensorrt_rtx", gpu=L4, store=built)
    assert engine.facts.key.target == "sm89"


def test_a_data_centre_card_is_told_which_library_it_needs(store: EngineStore) -> None:
    with pytest.raises(NotAvailable, match="H100") as caught:
        ensure(store, gpu=H100)
    assert "srvid[tensorrt]" in caught.value.hint


def test_exact_precision_is_another_engine_without_fp16(built: EngineStore) -> None:
    engine = ensure_engine(composed(NV12), library="tensorrt_rtx", gpu=L4, store=built, precision="exact")
    assert engine.facts.key.precision == "fp32"
    assert engine.facts.psnr_db is None
    assert "precision: 'fp16+fp32', expected 'fp32'" in engine.notes[0]
    assert len(built.entries()) == 2


def test_layers_that_fail_in_fp16_are_said_and_stand_in_the_sidecar(store: EngineStore) -> None:
    hot = composed(NV12, gain=3e5)  # activations around 1e6
    engine = ensure_engine(hot, library="tensorrt_rtx", gpu=L4, store=store)
    assert engine.facts.fp32_layers
    assert f"{len(engine.facts.fp32_layers)} of " in engine.notes[-1]
    assert "layers run in FP32" in engine.notes[-1]
    assert engine.facts.peak_activation < 3e4


def test_the_sidecar_says_what_was_checked_and_how(built: EngineStore) -> None:
    (entry,) = built.entries()
    facts = entry.facts
    assert facts is not None
    assert facts.psnr_db is not None
    assert facts.psnr_db >= 50
    assert "onnxruntime" in facts.checked_by
    assert [plane[:2] for plane in facts.planes] == [(n, "uint8") for n in ("y", "uv", "y_out", "uv_out")]
    assert EngineFacts.from_json(facts.to_json()) == facts
    assert facts.key == engine_key_of_nv12()


def flipped(content: bytes) -> bytes:
    """`content` with one bit changed."""
    return content[:5000] + bytes([content[5000] ^ 4]) + content[5001:]


def engine_key_of_nv12() -> EngineKey:
    from sr_core.backends.tensorrt_library import load_library

    return engine_key(composed(NV12), load_library("tensorrt_rtx"), target="sm89", gpu=L4)


# ---- damage


@pytest.mark.parametrize(
    ("ending", "damage", "complaint"),
    [
        (ENGINE_ENDING, lambda content: content[: len(content) // 2], "bytes, expected"),
        (ENGINE_ENDING, lambda content: flipped(content), "not those that were written"),
        (ENGINE_ENDING, lambda content: b"", "0 bytes, expected"),
        (SIDECAR_ENDING, lambda content: content[:300], "damaged"),
        (SIDECAR_ENDING, lambda content: b"\xff\xfe\x00", "decode"),
        (SIDECAR_ENDING, lambda content: b"[]", "damaged"),
        (SIDECAR_ENDING, lambda content: content.replace(b'"format": 1', b'"format": 7'), "format"),
        (SIDECAR_ENDING, lambda content: content.replace(b'"sm89"', b'"sm86"'), "digest"),
        (SIDECAR_ENDING, None, "never finished"),
        (ENGINE_ENDING, None, "bytes are missing"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_rebuilt_with_one_line_of_explanation(
    built: EngineStore, ending: str, damage: object, complaint: str
) -> None:
    (path,) = built.folder.glob(f"*{ending}")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    plan, notes = ensure(built)
    assert len(notes) == 1
    assert notes[0].startswith("rebuilt: ")
    assert complaint in notes[0]
    assert "\n" not in notes[0]
    assert ensure(built) == (plan, ())  # and is whole now


def test_an_engine_under_a_wrong_name_is_not_used(built: EngineStore) -> None:
    other = dataclasses.replace(engine_key_of_nv12(), library_version="9.9")
    label = composed(NV12).model.graph.name
    for path in list(built.folder.glob("*.*")):
        path.rename(path.with_name(other.file_stem(label) + path.suffix))
    found, problem = built.find(other, label)
    assert found is None
    assert "library_version: '1.7" in problem


def test_an_engine_of_another_version_is_named_when_a_new_one_is_built(built: EngineStore) -> None:
    (entry,) = built.entries()
    assert entry.facts is not None
    old = dataclasses.replace(entry.facts, key=dataclasses.replace(entry.facts.key, library_version="1.0.0.1"))
    plan = (built.folder / (entry.stem + ENGINE_ENDING)).read_bytes()
    built.remove(entry.stem)
    built.put(plan, old)
    _, notes = ensure(built)
    assert "was not used: library_version: '1.0.0.1', expected '1.7" in notes[0]


def test_a_plan_with_another_hash_does_not_pass_its_sidecar(built: EngineStore) -> None:
    (entry,) = built.entries()
    assert entry.facts is not None
    with pytest.raises(EngineError, match="bytes"):
        entry.facts.check_content(b"short")


def test_two_processes_that_need_the_same_engine_build_it_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.trt.networks import NV12, composed\n"
        "from tests.trt.test_engine_store import L4\n"
        "from trt_build import ensure; from trt_build.store import EngineStore\n"
        "calls = []; real = ensure.serialize_engine\n"
        "ensure.serialize_engine = lambda *a, **k: (calls.append(1), real(*a, **k))[1]\n"
        "store = EngineStore(Path(sys.argv[1]))\n"
        "e = ensure.ensure_engine(composed(NV12), library='tensorrt_rtx', gpu=L4, store=store)\n"
        "print(len(calls), e.facts.engine_sha256)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(answer[0] for answer in answers) == ["0", "1"]
    assert answers[0][1] == answers[1][1]


# ---- explaining and pruning


def machine(gpu: GpuFacts | None = L4, version: str | None = None) -> Machine:
    from sr_core.backends.tensorrt_library import load_library

    return Machine(
        library_versions={"tensorrt_rtx": version or load_library("tensorrt_rtx").version},
        gpu=gpu,
        why_no_gpu="no NVIDIA driver was found",
    )


def test_why_names_the_gpu_the_version_and_the_missing_driver(built: EngineStore) -> None:
    (entry,) = built.entries()
    assert unused_because(entry, machine()) == []
    assert "built for sm89, here is NVIDIA RTX 5090 (sm120)" in unused_because(entry, machine(BLACKWELL))
    assert "does not support NVIDIA H100" in unused_because(entry, machine(H100))[0]
    assert "no NVIDIA driver was found" in unused_because(entry, machine(None))[0]
    assert "2.0 is installed" in unused_because(entry, machine(version="2.0"))[0]


def test_only_engines_that_nothing_will_use_are_stale(built: EngineStore) -> None:
    (entry,) = built.entries()
    assert stale_because(entry, machine(None)) == []  # no GPU today is no reason to delete
    assert stale_because(entry, machine(version="2.0"))
    (built.folder / (entry.stem + SIDECAR_ENDING)).unlink()
    (entry,) = built.entries()
    assert "never finished" in stale_because(entry, machine())[0]


def test_removing_an_engine_takes_its_runtime_cache_along(built: EngineStore) -> None:
    (entry,) = built.entries()
    (built.folder / f"{entry.stem}.NVIDIA-L4.jit").write_bytes(b"kernels")
    assert built.remove(entry.stem) > 10_000
    assert [path.name for path in built.folder.iterdir() if path.is_file()] == []
