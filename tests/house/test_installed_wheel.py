"""What a stranger gets: the wheel in an environment of its own, away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

PROJECT = Path(__file__).resolve().parents[2]
LARGEST_INSTALL_BYTES = 550_000_000  # the promise of `make demo`


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of programs of a new environment that holds only the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(PROJECT / "constraints.txt"), str(wheel)], check=True, cwd=folder)
    yield programs
    shutil.rmtree(folder)


def run(program: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["SRVID_CACHE"] = str(cwd / "cache")
    command = [str(program), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def test_srvid_upscales_a_real_clip(installed: Path, tmp_path: Path) -> None:
    clip = PROJECT / "examples" / "flower.mp4"
    done = run(installed / "srvid", clip, "large.mkv", "--scale", 2, "--end", 0.2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "large.mkv")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 6
    assert (frames[0].width, frames[0].height) == (480, 268)


def test_the_other_commands_start(installed: Path, tmp_path: Path) -> None:
    for program, expected in (("srbatch", "Usage: srbatch"), ("srkit", "Usage: srkit")):
        done = run(installed / program, "--help", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    doctor = run(installed / "srkit", "doctor", cwd=tmp_path)
    assert "openvino       yes" in doctor.stdout, doctor.stderr


def test_neither_torch_nor_a_gpu_package_is_installed(installed: Path, tmp_path: Path) -> None:
    listed = run(installed / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path).stdout.lower()
    assert "openvino==" in listed
    assert not [name for name in ("torch", "nvidia", "tensorrt", "cuda") if name in listed]


def test_the_installation_stays_under_its_promised_size(installed: Path) -> None:
    total = sum(path.lstat().st_size for path in installed.parent.rglob("*") if not path.is_dir())
    assert total < LARGEST_INSTALL_BYTES
