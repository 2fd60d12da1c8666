"""The widget in the real napari under Xvfb, from a virtual environment of its own in the host tree."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]


def test_napari_s_own_tests_of_the_widget_pass(host_tree: Any, host_folder: Path) -> None:
    """napari_driver.py holds the assertions; this runs it where napari is."""
    python = Path(os.environ.get("SRVID_NAPARI_PYTHON", host_tree.root.parent / "napari-venv/bin/python"))
    binds = host_tree.binds_of(python)
    inside = host_tree.inside(host_folder)
    command = host_tree.command(
        "xvfb-run", "-a", "-s", "-screen 0 1280x800x24", str(python), "-m", "pytest", "-q",
        "-p", "no:cacheprovider", "-W", "ignore",
        "-c", "/dev/null", "--rootdir", inside, str(PROJECT / "tests/plugins/hosts/napari_driver.py"),
        HOME=inside, PYTHONPATH=f"{PROJECT}:{PROJECT / 'cli'}", SRVID_CACHE=f"{inside}/cache",
        SRVID_CLIP=str(PROJECT / "examples/flower.mp4"),
        SRVID_NAPARI_YAML=str(PROJECT / "sr_plugins/hosts/napari/napari.yaml"),
        **({"SRVID_PICTURES": inside} if "SRVID_PICTURES" in os.environ else {}),
    )  # fmt: skip
    done = subprocess.run(
        command, env={**os.environ, "BIND": binds}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert re.search(r"\b7 passed", done.stdout), done.stdout[-3000:]
    if target := os.environ.get("SRVID_PICTURES"):
        (Path(target) / "napari.png").write_bytes((host_folder / "napari.png").read_bytes())
