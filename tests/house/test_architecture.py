"""The house rules a machine can hold: floors, import budget, contents of the wheel."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = ("av", "openvino", "torch", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx", "vapoursynth", "PIL")
LICENSED_MEDIA = {"trt_build/check_images.png"}  # credited in NOTICE


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in sys.modules of a fresh interpreter after `statement`."""
    script = f"{statement}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize("package", ["srvid", "sr_core", "sr_zoo", "sr_core.backend", "sr_core.tiles.tiling"])
def test_importing_loads_nothing_heavier_than_numpy(package: str) -> None:
    assert loaded_by(f"import {package}") & set(HEAVY) == set()


@pytest.mark.parametrize(
    ("module", "command"), [("srvid", "srvid_command"), ("srbatch", "srbatch_command"), ("srkit", "group")]
)
def test_a_command_answers_help_without_loading_an_engine(module: str, command: str) -> None:
    imports = f"from click.testing import CliRunner; from srvid_cli.{module} import {command} as c"
    assert loaded_by(f"{imports}; assert CliRunner().invoke(c, ['--help']).exit_code == 0") & set(HEAVY) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "import sr_core.backends.openvino",
        "import sr_core.testing as t; from sr_zoo.onnx_run import open_runner; open_runner(t.random_model(2))",
    ],
)
def test_openvino_phones_nobody_and_writes_nothing_at_home(
    statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its telemetry is silent by itself where CI=true."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    loaded = loaded_by(statement)
    assert "openvino" in loaded
    assert "openvino_telemetry" not in loaded
    assert os.listdir(tmp_path) == []


def test_onnxruntime_phones_nobody_and_writes_nothing_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its telemetry is silent by itself where CI=true."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    code = "import sr_core.testing as t, sr_core.backends.onnxruntime as o; o.OnnxRuntime()"
    assert "onnxruntime" in loaded_by(code)
    assert os.listdir(tmp_path) == []


def test_imports_point_down() -> None:
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_test_imports_from_another_test_module() -> None:
    pattern = re.compile(r"^(?:from|import) tests\.[\w.]*\btest_\w+", re.MULTILINE)
    assert [str(path) for path in (PROJECT / "tests").rglob("*.py") if pattern.search(path.read_text())] == []


def test_hosts_that_import_nothing_of_ours_name_the_same_default_model() -> None:
    from sr_plugins import client
    from sr_zoo.models import DEFAULT_MODEL

    assert client.DEFAULT_MODEL == DEFAULT_MODEL


def packages() -> list[Path]:
    found = subprocess.run(
        ["git", "ls-files", "*/__init__.py"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return [PROJECT / line for line in found.stdout.split() if not line.startswith("tests/")]


@pytest.mark.parametrize("package", packages(), ids=lambda path: path.parent.name)
def test_a_package_s_docstring_names_every_module_in_it(package: Path) -> None:
    map_of = ast.get_docstring(ast.parse(package.read_text())) or ""
    inside = {path.stem for path in package.parent.glob("*.py")} - {"__init__"}
    inside |= {path.parent.name for path in package.parent.glob("*/__init__.py")}
    assert {name for name in inside if not re.search(rf"\b{name}\b", map_of)} == set()


def test_the_wheel_holds_every_package_and_no_tests_or_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    packages = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    expected = {Path(entry).name for entry in packages["packages"]}
    assert {top for top in tops if not top.endswith(".dist-info")} - {"vapoursynth"} == expected
    assert any(name.startswith("sr_zoo/weights/clear-x4") for name in names)
    media = {name for name in names if name.endswith((".pt", ".npy", ".png", ".jpg", ".mp4"))}
    assert media <= LICENSED_MEDIA
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names if "licenses" in name}


def test_the_weights_stay_under_25_megabytes(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        total = sum(entry.file_size for entry in archive.infolist() if entry.filename.endswith(".onnx"))
    assert 0 < total < 25_000_000
