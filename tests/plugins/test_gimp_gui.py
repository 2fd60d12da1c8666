"""GIMP 3 with its windows, under Xvfb: the procedure's own dialog, undo by keyboard, Cancel by mouse."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_core.frame import Array
from sr_core.testing import picture
from sr_plugins.install import install, uninstall
from sr_plugins.places import Place
from sr_plugins.testing import CANCEL_LIMIT_SECONDS, Drop, RunningWorker, SocketWatch


def screen(folder: Path) -> Image.Image:
    """GIMP as Xvfb shows it: the frame buffer file is an X window dump (XWD, X11/XWDFile.h)."""
    dump = (folder / "Xvfb_screen0").read_bytes()
    header = struct.unpack(">25I", dump[:100])
    width, height, line_bytes, colors = header[4], header[5], header[12], header[19]
    start = header[0] + 12 * colors
    pixels = np.frombuffer(dump, np.uint8, line_bytes * height, start).reshape(height, line_bytes // 4, 4)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :width, 2::-1]))


def wait_for(path: Path, process: subprocess.Popen[Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "GIMP ended"
        assert time.monotonic() < deadline, f"GIMP did not make {path.name}"
        time.sleep(0.05)


@dataclass
class Session:
    """What the driver wrote, what the worker dropped, and when the kernel saw connections end."""

    folder: Path
    photo: Array
    facts: dict[str, Any]
    drops: list[Drop]
    sockets: SocketWatch
    clicked_at: float


@pytest.fixture(scope="module")
def session(host_tree: Any, host_folder: Path) -> Session:
    """One GIMP: dialog accepted by Return, result taken back by one Ctrl+Z, a second job cancelled by a click."""
    photo, large = (np.rint(picture(*size) * 255).astype(np.uint8) for size in ((300, 200), (2000, 1500)))
    (host_folder / "photo.in").write_bytes(photo.tobytes())
    (host_folder / "large.in").write_bytes(large.tobytes())
    driver = Path(__file__).parent / "hosts" / "gimp_gui_driver.py"
    (host_folder / "driver.py").write_bytes(driver.read_bytes())
    home = host_tree.root / "tmp/srvid-gimp-home"
    place = Place(host="gimp", root=home / ".config/GIMP/3.0")
    uninstall(place)
    install(place, models=("clear", "random"))
    inside, file = host_tree.inside(host_folder), host_folder / "worker.json"
    options = f"-screen 0 1280x800x24 -fbdir {inside}"
    with RunningWorker(file) as running, SocketWatch(json.loads(file.read_text())["port"]) as sockets:
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
            wait_for(host_folder / "computing", gimp)
            clicked_at = click_cancel(host_tree, host_folder, running)
            wait_for(host_folder / "gui.json", gimp)
            gimp.wait(60)
        finally:
            gimp.kill()
            gimp.wait()
    facts = json.loads((host_folder / "gui.json").read_text())
    return Session(host_folder, photo, facts, running.drops, sockets, clicked_at)


def click_cancel(host_tree: Any, folder: Path, running: RunningWorker) -> float:
    """Click along the status bar, where Cancel stands while a job runs; return when the click that ended it was made.

    GIMP's layout follows the window's width, so the button is looked for from left to right.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # until the job computes
        upscaler = running.upscaler_in_use()
        if upscaler is not None and upscaler.counts.computed:
            break
        time.sleep(0.02)
    keep(folder, "gimp-progress")
    clicked_at = time.time()
    for percent in range(58, 82, 3):
        clicked_at = time.time()
        x_tool(
            host_tree,
            folder,
            "eval $(xdotool getwindowgeometry --shell $(xdotool search --onlyvisible --name ' GIMP$' | tail -1)); "
            f"xdotool mousemove $((X + WIDTH * {percent} / 100)) $((Y + HEIGHT - 18)) sleep 0.1 click 1 sleep 0.1",
        )
        if running.drops:
            break
    return clicked_at


def x_tool(host_tree: Any, folder: Path, script: str) -> None:
    """Run a shell script with xdotool on GIMP's screen."""
    authority = f"{host_tree.inside(folder)}/auth"
    host_tree.run("sh", "-c", script, DISPLAY=(folder / "asking").read_text(), XAUTHORITY=authority)


def press(host_tree: Any, folder: Path, key: str, title: str) -> None:
    """Press a key in the window whose title matches; nothing happens if there is none."""
    window = f"xdotool search --onlyvisible --name '{title}' | tail -1"
    script = f'w=$({window}); [ -n "$w" ] && xdotool windowfocus $w && sleep 0.3 && xdotool key --window 0 {key}'
    x_tool(host_tree, folder, script)


def keep(folder: Path, name: str) -> None:
    """Keep a picture of the screen for the documentation."""
    if target := os.environ.get("SRVID_PICTURES"):
        screen(folder).save(Path(target) / f"{name}.png", optimize=True)


def test_the_dialog_s_return_key_enlarges_the_image(session: Session) -> None:
    assert session.facts["status"] == "success"
    assert session.facts["size"] == [600, 400]
    result = np.frombuffer((session.folder / "gui.raw").read_bytes(), np.uint8).reshape(400, 600, 3)
    np.testing.assert_array_equal(result, session.photo.repeat(2, 0).repeat(2, 1))  # 'clear' is 'nearest' here


def test_one_undo_brings_everything_back(session: Session) -> None:
    assert session.facts["size_after_undo"] == [300, 200]
    assert session.facts["is_undone"]


def test_gimp_s_cancel_button_drops_the_job_and_leaves_the_image_alone(session: Session) -> None:
    assert session.facts["status_of_cancelled"] == "cancel"
    assert session.facts["size_after_cancel"] == [2000, 1500]
    assert session.facts["is_untouched"]
    (drop,) = session.drops
    assert drop.at - session.sockets.end_of_the_one_open_at(session.clicked_at) < CANCEL_LIMIT_SECONDS
    assert drop.tiles_before > 0, "the click did not meet the computing"
    assert not drop.has_begun_more()
