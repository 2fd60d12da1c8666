"""Python files in the folder where a command is called are never run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from sr_plugins import client
from sr_plugins.install import launch_content

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = "from srvid_cli.{0} import main\n\nif __name__ == '__main__':\n    main()\n"
SHADOWED = ("pickle", "torch", "numpy", "onnx", "json", "sr_core", "sitecustomize", "multiprocessing", "av", "openvino")


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """A folder whose modules, once run, leave a file RAN behind."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in SHADOWED:
        code = f"open({str(folder / 'RAN')!r}, 'a').write({name!r} + ' ')\nraise ImportError('planted')\n"
        (folder / f"{name}.py").write_text(code)
    return folder


def environment() -> dict[str, str]:
    """Where the packages are, with nothing that makes Python careful by itself."""
    paths = [str(PROJECT), str(PROJECT / "cli")]
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"} | {
        "PYTHONPATH": os.pathsep.join(paths)
    }


def call(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as pip installs it, a script in a folder of its own, from `folder`."""
    script = folder.parent / "bin" / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(PROGRAM.format(name))
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def ran(folder: Path) -> str:
    """The planted modules that were run."""
    return (folder / "RAN").read_text() if (folder / "RAN").exists() else ""


def test_planted_modules_do_run_where_python_is_careless(downloads: Path) -> None:
    """The trap works: this is what the commands below must not do."""
    command = [sys.executable, "-m", "sr_zoo.convert", "x.pth", "y.onnx"]
    subprocess.run(command, cwd=downloads, env=environment(), capture_output=True, check=False)
    assert ran(downloads)


def test_a_torch_file_is_imported_without_running_them(downloads: Path) -> None:
    (downloads / "x.pth").write_bytes(b"\x80no pickle")
    done = call("srkit", "models", "import", "x.pth", folder=downloads)
    assert done.returncode == 1, done.stderr
    assert "x.pth" in done.stderr
    assert ran(downloads) == ""


def test_worker_processes_do_not_run_them(downloads: Path) -> None:
    with av.open(str(downloads / "in.mkv"), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"g": "2", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        for index in range(8):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), index * 9, np.uint8), format="rgb24")))
        out.mux(video.encode(None))
    words = "in.mkv out.mkv --scale 2 --model nearest --codec ffv1 --segment 0.1 --workers 2".split()
    done = call("srvid", *words, folder=downloads)
    assert done.returncode == 0, done.stderr
    assert ran(downloads) == ""


def test_the_launcher_of_the_plug_ins_does_not_run_them(downloads: Path) -> None:
    command = json.loads(launch_content(()))["command"]
    assert os.path.isabs(command[0])
    done = subprocess.run([*command, "--help"], cwd=downloads, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ran(downloads) == ""


def test_a_launcher_that_an_older_version_wrote_is_started_safely(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRVID_WORKER_FILE", str(tmp_path / "worker" / "worker.json"))
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.chdir(downloads)
    process = client._started([sys.executable, "-c", "import pickle"])
    assert process.wait(60) == 0
    assert ran(downloads) == ""
