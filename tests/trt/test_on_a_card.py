"""The command that someone with a card runs: every step here with stand-ins, and what it makes of trouble."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "on_a_card.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location("on_a_card", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "on_a_card", module)
    spec.loader.exec_module(module)
    return module


def test_the_steps_of_a_card_run_on_the_fakes() -> None:
    command = [sys.executable, str(SCRIPT), "--dry", "--only", "tensorrt,nvenc"]
    done = subprocess.run(command, cwd=ROOT, env=None, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for row in (
        "| tensorrt, lean | NVIDIA L4",
        "| tensorrt, careful, numbers | ten runs agree |",
        "| frames stayed | 24",
    ):
        assert row in done.stdout


def test_what_is_missing_and_what_breaks_are_rows(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(here: object) -> object:
        raise script.NotHere("no such card")

    def broken(here: object) -> object:
        raise ValueError("3 | 4")

    for step, code, row in (
        (absent, 0, "| auto | not here | no such card |"),
        (broken, 1, "| auto | FAILED | ValueError: 3 / 4 |"),
    ):
        monkeypatch.setitem(script.STEPS, "auto", step)
        monkeypatch.setattr(sys, "argv", ["on_a_card.py", "--only", "auto"])
        assert script.main() == code
        assert row in capsys.readouterr().out


def test_another_picture_and_another_length_are_seen(script: ModuleType, tmp_path: Path) -> None:
    clip = script.write_clip(tmp_path / "a.mp4", frames=4)
    assert "4 frames, worst" in script.same_picture(clip, script.write_clip(tmp_path / "b.mp4", frames=4))
    assert script.same_picture(clip, script.write_clip(tmp_path / "c.mp4", frames=3)) == "4 FRAMES OF 3"
    frames = script.luma_of(clip)
    frames[2] = frames[2] + 20
    script.luma_of = lambda path: frames if path == clip else script.__dict__["kept"]
    script.kept = [frame if index != 2 else frame - 20 for index, frame in enumerate(frames)]
    assert "ONLY 2" in script.same_picture(clip, tmp_path / "d.mp4")
