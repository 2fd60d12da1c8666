"""The page in a real Chromium: looked at, moved, queued, killed, finished.

SRVID_SCREENSHOTS=FOLDER keeps what it looked like.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from sr_video.still import still_at, to_rgb8
from srvid import open_upscaler
from tests.ui.conftest import MakeClip, Ui, Windows

Start = Callable[..., Ui]
LONG = 600  # frames of 64x48: seconds of work, in the middle of which a page can act
LAYERS = """() => [...document.querySelectorAll('.viewer img.layer')].map(node => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [node.naturalWidth, node.naturalHeight];
  canvas.getContext('2d').drawImage(node, 0, 0);
  return [node.alt, canvas.toDataURL('image/png'), node.style.clipPath];
})"""
DROP = """async ([name, content]) => {
  const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name));
  window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def picture_of(url: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def keep(page: Any, name: str) -> None:
    if folder := os.environ.get("SRVID_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / name)


def test_a_dropped_clip_is_seen_by_three_models_as_the_engine_makes_it(
    ui: Start, make_clip: MakeClip, chromium: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "cache"))  # the server's: the precision it chose by measuring
    clip = make_clip("film.mp4")
    server = ui()
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(server.address)
    page.wait_for_selector(".empty")
    assert "token" not in page.url
    page.evaluate(DROP, ["film.mp4", base64.b64encode(clip.read_bytes()).decode()])
    page.wait_for_selector("#show-clear-restore")
    page.check("#show-clear-restore")
    names = ["bicubic", "clear", "swift", "clear-restore"]
    group = page.get_by_role("group", name="right")
    group.get_by_role("button", name="clear-restore").wait_for()
    assert group.get_by_role("button").all_inner_texts() == names

    group.get_by_role("button", name="swift", exact=True).click()
    shown = {alt: (picture_of(url), clip_path) for alt, url, clip_path in page.evaluate(LAYERS)}
    assert set(shown) == {"bicubic", "swift"}
    still = still_at(str(clip), Fraction(1, 2))
    with open_upscaler("swift", scale=4) as upscaler:
        planes = upscaler.planes(still.planes, still.facts.format, still.facts.color)
    expected = to_rgb8(planes, still.facts.format, still.facts.color)
    np.testing.assert_array_equal(shown["swift"][0], expected)

    slider = page.get_by_role("slider", name="Divider")
    before = shown["bicubic"][1]
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "52"
    assert page.evaluate(LAYERS)[-1][2] != before or page.evaluate(LAYERS)[0][2] != before
    page.keyboard.press("g")
    assert page.locator(".viewer .pane").count() == len(names)
    keep(page, "ui-side-by-side.png")
    page.locator(".cost:not(.quiet)").first.wait_for()
    assert "fps" in page.locator(".cost").first.inner_text()
    assert faults == []


def test_two_queued_files_outlive_a_reload_and_a_killed_server(
    ui: Start, make_clip: MakeClip, chromium: Windows, tmp_path: Path
) -> None:
    clips = [make_clip(f"{name}.mp4", frames=LONG, width=64, height=48) for name in ("one", "two")]
    first = ui(*clips)
    page = chromium.new_page()
    page.goto(first.address)
    for clip in clips:
        page.get_by_role("button", name=clip.name, exact=True).click()
        page.locator(f"#target[value*='{clip.stem}-']").wait_for()
        page.check("#run-swift")
        page.click("#run")
        page.get_by_role("heading", name=f"{clip.stem}-4x.mkv").wait_for()
        page.get_by_role("button", name="Look").click()
    page.get_by_role("button", name="Queue").click()
    page.locator(".job").nth(1).get_by_role("button", name="Pause").click()
    page.locator(".job[data-state=paused]").wait_for()
    page.reload()
    assert page.locator(".job").nth(1).wait_for() is None
    assert page.locator(".job").count() == 2
    first.kill()

    second = ui()
    page = chromium.new_page()
    page.goto(second.address)
    page.get_by_role("button", name="Queue").click()
    page.get_by_role("button", name="Go on").click()
    page.locator(".job[data-state=done]").nth(1).wait_for()
    keep(page, "ui-queue.png")
    for clip in clips:
        with av.open(str(tmp_path / f"{clip.stem}-4x.mkv")) as container:
            frames = list(container.decode(video=0))
        assert (len(frames), frames[0].width) == (LONG, 256)


def test_axe_finds_nothing_in_either_view_by_day_and_by_night(
    ui: Start, make_clip: MakeClip, chromium: Windows
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    server = ui(make_clip("film.mp4"))
    found = []
    for scheme in ("light", "dark"):
        page = chromium.new_page(color_scheme=scheme)
        page.goto(server.address)
        page.wait_for_selector("#run")
        page.wait_for_selector(".viewer .handle", state="attached")
        for view in ("Look", "Queue"):
            page.get_by_role("button", name=view).click()
            report = Axe().run(page).response["violations"]
            found += [(scheme, view, fault["id"], fault["nodes"][0]["html"][:120]) for fault in report]
    assert found == []


def test_a_small_window_scrolls_in_one_direction_only(ui: Start, make_clip: MakeClip, chromium: Windows) -> None:
    server = ui(make_clip("film.mp4"))
    page = chromium.new_page(viewport={"width": 390, "height": 700})
    page.goto(server.address)
    page.wait_for_selector("#run")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
