"""Every TensorRT name the code uses exists in the libraries it claims to support.

`tensorrt` cannot be run without a GPU, so its names come from a committed table made from the real
binding modules (make_api_table.py); `tensorrt_rtx` is installed, and the table is compared with it.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from sr_core.engine_key import RTX_TARGETS
from tests.trt.make_api_table import TABLE

ROOT = Path(__file__).parents[2]
SOURCES = (
    "sr_core/backends/tensorrt_library.py",
    "sr_core/backends/tensorrt_session.py",
    "trt_build/build.py",
)
# How the sources call what they hold. A variable of one of these names is of that class.
VARIABLES = {
    "trt": "",
    "builder": "Builder",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "runtime_config": "IRuntimeConfig",
    "runtime_cache": "IRuntimeCache",
}
ATTRIBUTES = {name: VARIABLES[name] for name in ("trt", "engine", "context")}
RTX_ONLY, TENSORRT_ONLY = "TensorRtRtxLibrary", "TensorRtLibrary"

Table = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module")
def table() -> Table:
    return {label: entry["names"] for label, entry in json.loads(TABLE.read_text()).items()}


def class_of(expression: ast.expr, classes: set[str]) -> str | None:
    """The TensorRT class of an expression, '' for the module, None for anything else."""
    if isinstance(expression, ast.Name):
        return VARIABLES.get(expression.id)
    if isinstance(expression, ast.Attribute):
        if expression.attr in ATTRIBUTES:
            return ATTRIBUTES[expression.attr]
        owner = class_of(expression.value, classes)
        dotted = expression.attr if owner == "" else f"{owner}.{expression.attr}"
        return dotted if owner is not None and dotted in classes else None
    return None


def names_used(source: str, classes: set[str]) -> set[tuple[str, str, str]]:
    """(scope: the enclosing library class or '', TensorRT class, name) for each use in `source`."""
    found: set[tuple[str, str, str]] = set()

    def visit(node: ast.AST, scope: str) -> None:
        if isinstance(node, ast.ClassDef):
            scope = node.name if node.name in (RTX_ONLY, TENSORRT_ONLY) else ""
            for base in node.bases:  # class Logger(trt.ILogger): what it defines must exist there
                owner = class_of(base, classes)
                if owner:
                    methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
                    found.update((scope, owner, name) for name in methods if not name.startswith("_"))
        if isinstance(node, ast.Attribute):
            owner = class_of(node.value, classes)
            if owner is not None:
                found.add((scope, owner, node.attr))
        for child in ast.iter_child_nodes(node):
            visit(child, scope)

    visit(ast.parse(source), "")
    return found


def missing(source: str, table: Table) -> list[str]:
    classes = {name for names in table.values() for name in names}
    lines = []
    for scope, owner, name in sorted(names_used(source, classes)):
        for label, names in table.items():
            is_rtx = label.startswith("tensorrt_rtx")
            if (scope == RTX_ONLY and not is_rtx) or (scope == TENSORRT_ONLY and is_rtx):
                continue
            if name not in names.get(owner, []):
                lines.append(f"{label} has no {owner or 'module'}.{name}")
    return lines


def test_the_table_covers_three_library_generations(table: Table) -> None:
    assert list(table) == ["tensorrt 10.16", "tensorrt 11.4", "tensorrt_rtx 1.7"]


@pytest.mark.parametrize("path", SOURCES)
def test_every_name_in_the_source_exists_in_every_library(path: str, table: Table) -> None:
    assert missing((ROOT / path).read_text(encoding="utf-8"), table) == []


def test_the_scan_sees_the_names_that_matter(table: Table) -> None:
    classes = {name for names in table.values() for name in names}
    used = {entry[1:] for path in SOURCES for entry in names_used((ROOT / path).read_text(encoding="utf-8"), classes)}
    expected = {
        ("Builder", "build_serialized_network"),
        ("IBuilderConfig", "set_compute_capability"),
        ("BuilderFlag", "TF32"),
        ("IExecutionContext", "execute_async_v3"),
        ("IProgressMonitor", "step_complete"),
        ("CudaGraphStrategy", "WHOLE_GRAPH_CAPTURE"),
        ("Runtime", "get_engine_validity"),
    }
    assert expected <= used
    assert len(used) > 35


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("builder.platform_has_fast_fp16", "tensorrt 11.4 has no Builder.platform_has_fast_fp16"),
        ("config.set_flag(trt.BuilderFlag.FP16)", "tensorrt 11.4 has no BuilderFlag.FP16"),
        ("runtime.get_engine_validity(plan)", "tensorrt 10.16 has no Runtime.get_engine_validity"),
    ],
)
def test_a_name_that_one_library_lacks_is_reported(source: str, complaint: str, table: Table) -> None:
    assert complaint in missing(source, table)


def test_every_target_we_offer_is_one_the_library_knows(table: Table) -> None:
    known = table["tensorrt_rtx 1.7"]["ComputeCapability"]
    assert [target for target in RTX_TARGETS if target.upper() not in known] == []


def test_the_compatibility_levels_we_offer_exist(table: Table) -> None:
    for label in ("tensorrt 10.16", "tensorrt 11.4"):
        assert {"AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"} <= set(table[label]["HardwareCompatibilityLevel"])


def test_the_table_says_what_the_installed_rtx_library_says(table: Table) -> None:
    import tensorrt_rtx

    for owner, names in table["tensorrt_rtx 1.7"].items():
        found = tensorrt_rtx
        for part in filter(None, owner.split(".")):
            found = getattr(found, part)
        assert [name for name in names if not hasattr(found, name)] == []


def test_every_cuda_call_exists_in_cuda_bindings() -> None:
    from cuda.bindings import runtime

    paths = (
        "sr_core/backends/cuda.py",
        "sr_core/backends/tensorrt_session.py",
        "sr_video/read/hwaccel.py",
        "trt_build/build.py",
        "benchmarks/trt_gpu.py",
    )
    used = {
        node.attr
        for path in paths
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr.startswith("cuda") and node.attr != "cuda"
    }
    assert {"cudaMemcpy2DAsync", "cudaStreamCaptureModeThreadLocal", "cudaGraphInstantiate"} <= used
    homes = (runtime, runtime.cudaStreamCaptureMode, runtime.cudaMemcpyKind)
    assert [name for name in sorted(used) if not any(hasattr(home, name) for home in homes)] == []
