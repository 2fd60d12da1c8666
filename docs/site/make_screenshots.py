"""The pictures of the page in docs/ui.md, taken of a real server by a real Chromium:

python docs/site/make_screenshots.py
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import PIL.Image

PROJECT = Path(__file__).resolve().parents[2]
IMAGES = PROJECT / "docs" / "images"
WAIT = 300_000  # milliseconds; the machine may be busy


def keep(page: Any, name: str) -> None:
    """Write what the page looks like as a JPEG."""
    picture = PIL.Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(IMAGES / name, quality=82, optimize=True)
    print(f"wrote docs/images/{name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")


def main() -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "flower.mp4")
        shutil.copy(PROJECT / "examples" / "flower.mp4", clip)
        server = subprocess.Popen(
            [sys.executable, "-m", "srvid", "--no-browser", str(clip)],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"SRVID_CACHE": folder, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert server.stdout is not None
        address = server.stdout.readline().removeprefix("open ").strip()
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.goto(address)
        page.locator(".viewer .group[aria-label=right] button").nth(2).wait_for(timeout=WAIT)
        page.locator(".reasons", has_text="on this machine").wait_for(timeout=WAIT)  # all is measured
        page.get_by_role("slider", name="Divider").focus()
        keep(page, "ui-look.jpg")
        page.click("#run")
        page.locator(".job[data-state=running] progress").wait_for(timeout=WAIT)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("() => document.querySelector('.job progress').value > 0", timeout=WAIT)
        keep(page, "ui-queue.jpg")
        browser.close()
        server.terminate()
        server.communicate()


if __name__ == "__main__":
    main()
