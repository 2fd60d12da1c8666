"""GIMP 3 with its windows, under Xvfb: the procedure's own dialog, and undo by keyboard."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_core.frame import Array
from sr_core.testing import picture
from sr_plugins.install import install, uninstall
from sr_plugins.places import Place
from sr_plugins.testing import RunningWorker


def screen(folder: Path) -> Image.Image:
    """GIMP as Xvfb shows it: the frame buffer file is an X window dump (XWD, X11/XWDFile.h)."""
    dump = (folder / "Xvfb_screen0").read_bytes()
    header = struct.unpack(">25I", dump[:100])
    width, height, line_bytes, colors = header[4], header[5], header[12], header[19]
    start = header[0] + 12 * colors
    pixels = np.frombuffer(dump, np.uint8, line_bytes * height, start).reshape(height, line_bytes // 4, 4)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :width, 2::-1])).crop((0, 0, 800, 606))


def wait_for(path: Path, process: subprocess.Popen[Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "GIMP ended"
        assert time.monotonic() < deadline, f"GIMP did not make {path.name}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def session(host_tree: Any, host_folder: Path) -> tuple[dict[str, Any], Array, Path]:
    """One GIMP session: dialog accepted by Return, result taken back by one Ctrl+Z."""
    photo = np.rint(picture(300, 200) * 255).astype(np.uint8)
    (host_folder / "photo.in").write_bytes(photo.tobytes())
    driver = Path(__file__).parent / "hosts" / "gimp_gui_driver.py"
    (host_folder / "driver.py").write_bytes(driver.read_bytes())
    home = host_tree.root / "tmp/srvid-gimp-home"
    place = Place(host="gimp", root=home / ".config/GIMP/3.0")
    uninstall(place)
    install(place, models=("clear",))
    inside = host_tree.inside(host_folder)
    options = f"-screen 0 1280x800x24 -fbdir {inside}"
    with RunningWorker(host_folder / "worker.json"):
        gimp = subprocess.Popen(
            host_tree.command(
                "xvfb-run", "-a", "-f", f"{inside}/auth", "-s", options,
                "gimp", "-n", "-s", "--batch-interpreter=python-fu-eval",
                "-b", f"exec(open('{inside}/driver.py').read())", "--quit",
                HOME=host_tree.inside(home), SRVID_TEST_FOLDER=inside, SRVID_WORKER_FILE=f"{inside}/worker.json",
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(host_folder / "asking", gimp)
            time.sleep(3)
            keep(host_folder, "gimp-dialog")
            deadline = time.monotonic() + 60
            while not (host_folder / "done").exists() and time.monotonic() < deadline:
                press(host_tree, host_folder, "Return", "Upscale .srvid")
                time.sleep(2)
            wait_for(host_folder / "done", gimp)
            keep(host_folder, "gimp-result")
            press(host_tree, host_folder, "ctrl+z", "GIMP")
            (host_folder / "undone").touch()
            wait_for(host_folder / "gui.json", gimp)
            gimp.wait(60)
        finally:
            gimp.kill()
            gimp.wait()
    return json.loads((host_folder / "gui.json").read_text()), photo, host_folder


def press(host_tree: Any, folder: Path, key: str, title: str) -> None:
    """Press a key in the window whose title matches; nothing happens if there is none."""
    window = f"xdotool search --onlyvisible --name '{title}' | tail -1"
    script = f'w=$({window}); [ -n "$w" ] && xdotool windowfocus $w && sleep 0.3 && xdotool key --window 0 {key}'
    authority = f"{host_tree.inside(folder)}/auth"
    host_tree.run("sh", "-c", script, DISPLAY=(folder / "asking").read_text(), XAUTHORITY=authority)


def keep(folder: Path, name: str) -> None:
    """Keep a picture of the screen for the documentation."""
    if target := os.environ.get("SRVID_PICTURES"):
        screen(folder).save(Path(target) / f"{name}.png", optimize=True)


def test_the_dialog_s_return_key_enlarges_the_image(session: tuple[dict[str, Any], Array, Path]) -> None:
    facts, photo, folder = session
    assert facts["status"] == "success"
    assert facts["size"] == [600, 400]
    result = np.frombuffer((folder / "gui.raw").read_bytes(), np.uint8).reshape(400, 600, 3)
    np.testing.assert_array_equal(result, photo.repeat(2, 0).repeat(2, 1))  # 'clear' is 'nearest' here


def test_one_undo_brings_everything_back(session: tuple[dict[str, Any], Array, Path]) -> None:
    facts, _, _ = session
    assert facts["size_after_undo"] == [300, 200]
    assert facts["is_undone"]
