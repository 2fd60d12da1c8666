"""A model, clips with content, and processes that run scripts."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from sr_core.testing import nearest_model, random_model

PROJECT = Path(__file__).resolve().parents[2]
SCALE = 2
Process = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network x2: unlike nearest neighbour, it notices a wrong pixel or matrix."""
    path = tmp_path_factory.mktemp("models") / "random.onnx"
    onnx.save(random_model(SCALE, features=4, layers=1), path)
    return path


@pytest.fixture(scope="session")
def nearest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "nearest.onnx"
    onnx.save(nearest_model(SCALE), path)
    return path


@pytest.fixture(scope="session")
def hook() -> ModuleType:
    """The module hatch_build.py, which is no package's."""
    pytest.importorskip("hatchling", reason="the build hook needs hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", PROJECT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def plugin_folder(hook: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stub, compiled from this source tree."""
    compiler, headers = hook.find_compiler(), hook.find_headers()
    if compiler is None or headers is None:
        pytest.skip("needs a C compiler and VapourSynth's headers")
    folder = tmp_path_factory.mktemp("plugins")
    hook.compile_stub(compiler, headers, PROJECT / "vapoursynth_filter" / "native" / "srvid.c", folder)
    return folder


@pytest.fixture(scope="session")
def environment(plugin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a script's process needs: this source tree, this Python's vspipe, the stub, its own cache."""
    home = tmp_path_factory.mktemp("home")
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(paths),
        "VAPOURSYNTH_EXTRA_PLUGIN_PATH": str(plugin_folder),
        "XDG_CONFIG_HOME": str(home),
        "SRVID_CACHE": str(home / "cache"),
    }


@pytest.fixture(scope="session")
def run_python(environment: dict[str, str]) -> Callable[[str], Process]:
    """Run a script in a fresh interpreter."""

    def run(script: str) -> Process:
        return subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=600
        )

    return run
