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

import srvid
from sr_core.color import FULL_RANGE_RGB
from sr_core.frame import Array, rgb
from sr_plugins.install import install, uninstall
from sr_plugins.places import Place
from sr_plugins.testing import CANCEL_DEADLINE_SECONDS, SHOWN_TILE, Drop, RunningWorker, SocketWatch, open_shown_model

LARGE_WIDTH, LARGE_HEIGHT = 3000, 1675
DIALOG = "Upscale .srvid"  # its title, as a regular expression


def screen(folder: Path) -> Image.Image:
    """GIMP as Xvfb shows it: the frame buffer file is an X window dump (XWD, X11/XWDFile.h)."""
    dump = (folder / "Xvfb_screen0").read_bytes()
    header = struct.unpack(">25I", dump[:100])
    width, height, line_bytes, colors = header[4], header[5], header[12], header[19]
    start = header[0] + 12 * colors
    pixels = np.frombuffer(dump, np.uint8, line_bytes * height, start).reshape(height, line_bytes // 4, 4)
    shown = pixels[:, :width, 2::-1]
    across, down = (int(np.flatnonzero(line.any(axis=-1))[-1]) + 1 for line in (shown[5], shown[:, 5]))
    return Image.fromarray(np.ascontiguousarray(shown[:down, :across]))  # its window; the screen is black elsewhere


def wait_for(path: Path, process: subprocess.Popen[Any], seconds: float = 600) -> None:
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
def session(host_tree: Any, host_folder: Path, photo: Array) -> Session:
    """One GIMP: dialog accepted by Return, result taken back by one Ctrl+Z, a second job cancelled by a click."""
    (host_folder / "photo.in").write_bytes(photo.tobytes())
    (host_folder / "large.in").write_bytes(Image.fromarray(photo).resize((LARGE_WIDTH, LARGE_HEIGHT)).tobytes())
    driver = Path(__file__).parent / "hosts" / "gimp_gui_driver.py"
    (host_folder / "driver.py").write_bytes(driver.read_bytes())
    home = host_tree.root / "tmp/srvid-gimp-home"
    place = Place(host="gimp", root=home / ".config/GIMP/3.0")
    uninstall(place)
    install(place, models=("clear", "random"))
    inside, file = host_tree.inside(host_folder), host_folder / "worker.json"
    options = f"-screen 0 1280x800x24 -fbdir {inside}"
    with (
        RunningWorker(file, opener=open_shown_model) as running,
        SocketWatch(json.loads(file.read_text())["port"]) as sockets,
    ):
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
            deadline = time.monotonic() + 600
            while not x_tool(host_tree, host_folder, f"xdotool search --onlyvisible --name '{DIALOG}'"):
                assert time.monotonic() < deadline, "the dialog did not open"
            time.sleep(1)  # until it is drawn
            keep(host_folder, "gimp-dialog")
            while not (host_folder / "done").exists() and time.monotonic() < deadline:
                press(host_tree, host_folder, "Return", DIALOG)
                time.sleep(2)
            wait_for(host_folder / "done", gimp)
            keep(host_folder, "gimp-result")
            press(host_tree, host_folder, "ctrl+z", "GIMP")
            (host_folder / "undone").touch()
            wait_for(host_folder / "computing", gimp)
            clicked_at = click_cancel(host_tree, host_folder, running)
            wait_for(host_folder / "gui.json", gimp)
            gimp.wait(600)
        finally:
            gimp.kill()
            gimp.wait()
    facts = json.loads((host_folder / "gui.json").read_text())
    return Session(host_folder, photo, facts, running.drops, sockets, clicked_at)


def click_cancel(host_tree: Any, folder: Path, running: RunningWorker) -> float:
    """Click in the status bar, where Cancel stands while a job runs; return when the click that ended it was made.

    Its place follows the window's width, 1094 to 1269 pixels with an image as large as this: a few are tried.
    """
    deadline = time.monotonic() + 600
    while share_computed(running) < 0.4 and time.monotonic() < deadline:
        time.sleep(0.02)
    keep(folder, "gimp-progress")
    clicked_at = time.time()
    for percent in (76, 73, 70, 67, 64):
        clicked_at = time.time()
        x_tool(
            host_tree,
            folder,
            "eval $(xdotool getwindowgeometry --shell $(xdotool search --onlyvisible --name ' GIMP$' | tail -1)); "
            f"xdotool mousemove $((X + WIDTH * {percent} / 100)) $((Y + HEIGHT - 18)) sleep 0.1 click 1 sleep 0.1",
        )
        late = time.monotonic() + 0.5  # or the next click would be taken for the one that hit
        while not running.drops and time.monotonic() < late:
            time.sleep(0.01)
        if running.drops:
            break
    return clicked_at


def share_computed(running: RunningWorker) -> float:
    """Of the large image."""
    upscaler = running.upscaler_in_use()
    if upscaler is None or upscaler.counts.computed == 0:
        return 0.0
    read, _ = upscaler.read_size_for(rgb(packed=True), FULL_RANGE_RGB, LARGE_WIDTH, LARGE_HEIGHT)
    own = read - 2 * (upscaler.halo_px or 0)
    return upscaler.counts.computed * own**2 / (LARGE_WIDTH * LARGE_HEIGHT)


def x_tool(host_tree: Any, folder: Path, script: str) -> str:
    """What a shell script with xdotool prints, on GIMP's screen."""
    authority = f"{host_tree.inside(folder)}/auth"
    printed: str = host_tree.run("sh", "-c", script, DISPLAY=(folder / "asking").read_text(), XAUTHORITY=authority)
    return printed


def press(host_tree: Any, folder: Path, key: str, title: str) -> None:
    """Press a key in the window whose title matches; nothing happens if there is none."""
    window = f"xdotool search --onlyvisible --name '{title}' | tail -1"
    script = f'w=$({window}); [ -n "$w" ] && xdotool windowfocus $w && sleep 0.3 && xdotool key --window 0 {key}'
    x_tool(host_tree, folder, script)


def keep(folder: Path, name: str) -> None:
    """Keep a picture of the screen for the documentation."""
    if target := os.environ.get("SRVID_PICTURES"):
        screen(folder).save(Path(target) / f"{name}.jpg", quality=88)


def test_the_dialog_s_return_key_enlarges_the_image(session: Session) -> None:
    assert session.facts["status"] == "success"
    assert session.facts["size"] == [480, 268]
    result = np.frombuffer((session.folder / "gui.raw").read_bytes(), np.uint8).reshape(268, 480, 3)
    with srvid.open_upscaler("clear", scale=2, tile=SHOWN_TILE, shared_tiles=True, reuse=False) as upscaler:
        np.testing.assert_array_equal(result, upscaler.image(session.photo))


def test_one_undo_brings_everything_back(session: Session) -> None:
    assert session.facts["size_after_undo"] == [240, 134]
    assert session.facts["is_undone"]


def test_gimp_s_cancel_button_drops_the_job_and_leaves_the_image_alone(session: Session) -> None:
    assert session.facts["status_of_cancelled"] == "cancel"
    assert session.facts["size_after_cancel"] == [LARGE_WIDTH, LARGE_HEIGHT]
    assert session.facts["is_untouched"]
    (drop,) = session.drops
    assert drop.at - session.sockets.end_of_the_one_open_at(session.clicked_at) < CANCEL_DEADLINE_SECONDS
    assert drop.tiles_before > 0, "the click did not meet the computing"
    assert not drop.has_begun_more()
