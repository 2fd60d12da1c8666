"""What a person chooses on the page, and what the page says of it: sizes, chains, moments, reasons, images, faults."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_core.grain import check_grain
from sr_video.still import still_at, to_rgb8
from srvid import open_upscaler
from tests.ui.conftest import MakeClip, Ui, Windows

Start = Callable[..., Ui]
PAGE = Path(__file__).resolve().parents[2] / "sr_ui" / "page"
PIXELS = """name => {
  const node = document.querySelector(`.viewer img.layer[alt="${name}"]`), canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [node.naturalWidth, node.naturalHeight];
  canvas.getContext('2d').drawImage(node, 0, 0);
  return canvas.toDataURL('image/png');
}"""
WIDTH = "name => document.querySelector(`.viewer img.layer[alt='${name}']`)?.naturalWidth"


def pixels_of(page: Any, name: str) -> np.ndarray:
    url = page.evaluate(PIXELS, name)
    return np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def without_measuring(page: Any, found: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> None:
    """Estimates take seconds each: none, or what `found` makes of their options."""

    def answer(route: Any) -> None:
        if found is None:
            route.abort()
            return
        whole = {"frames": 1, "output_bytes": 1, "width": 1, "height": 1, "codec": "x", "notes": [], "is_shared": False}
        route.fulfill(json=whole | found(json.loads(route.request.post_data)))

    page.route("**/estimates", answer)


def test_a_fitted_view_is_reduced_and_one_to_one_is_what_the_engine_makes(
    ui: Start, make_clip: MakeClip, chromium: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "cache"))  # the server's: the precision it chose by measuring
    clip = make_clip("film.mp4", width=320, height=200)
    page = chromium.new_page(viewport={"width": 1000, "height": 700})
    without_measuring(page)
    page.goto(ui(clip).address)
    page.check("#run-swift")
    page.get_by_role("group", name="right").get_by_role("button", name="swift", exact=True).click()
    page.wait_for_function(f"name => ({WIDTH})(name) > 0", arg="swift")
    fitted = pixels_of(page, "swift")
    assert fitted.shape[1] < 4 * 320
    page.get_by_role("button", name="1:1").click()
    page.wait_for_function(f"name => ({WIDTH})(name) === 1280", arg="swift")
    still = still_at(str(clip), Fraction(1, 2))
    with open_upscaler("swift", scale=4) as upscaler:
        planes = upscaler.planes(still.planes, still.facts.format, still.facts.color)
    whole = to_rgb8(planes, still.facts.format, still.facts.color)
    np.testing.assert_array_equal(pixels_of(page, "swift"), whole)
    reduced = Image.fromarray(whole).resize(fitted.shape[1::-1], Image.Resampling.LANCZOS)
    assert np.abs(fitted.astype(int) - np.asarray(reduced)).mean() < 4  # codes: the same picture, by another Lanczos

    layer = page.locator(".viewer img.layer[alt=swift]")
    box = page.locator(".viewer .pane").bounding_box()
    before = layer.evaluate("node => node.style.transform")
    page.mouse.move(box["x"] + 450, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 380, box["y"] + 150)
    page.mouse.up()
    assert layer.evaluate("node => node.style.transform") != before

    tags = page.locator(".viewer .tag")
    was = tags.all_inner_texts()
    page.keyboard.press("x")
    assert tags.all_inner_texts() == was[::-1]


def test_every_moment_can_be_looked_at_and_the_pair_that_was_chosen_stays(
    ui: Start, make_clip: MakeClip, chromium: Windows
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    without_measuring(page)
    page.goto(ui(make_clip("film.mp4")).address)
    right = page.get_by_role("group", name="right")
    right.get_by_role("button", name="swift", exact=True).click()
    page.locator(".viewer .tag.right", has_text="swift").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/frame?" in request.url else None)
    for name in ("Start", "Busiest", "Middle"):
        source = page.locator(".viewer img.layer[alt=swift]").get_attribute("src")
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_function(
            "src => { const now = document.querySelector('.viewer img.layer[alt=swift]')?.src;"
            " return now !== undefined && now !== src; }",
            arg=source,
        )
        assert page.locator(".viewer .tag.right").inner_text() == "swift"
    assert any("seconds=0.0000" in url for url in asked)
    assert [re.search(r"model=([^&]+)", url)[1] for url in asked[:2]] == ["bicubic", "swift"]  # the pair comes first


def test_the_reason_for_a_size_names_what_the_other_would_cost(
    ui: Start, make_clip: MakeClip, chromium: Windows
) -> None:
    clip = make_clip("film.mp4", width=1920, height=1080, frames=2)
    page = chromium.new_page()
    without_measuring(page, lambda options: {"fps": 1, "seconds": {2: 14 * 60, 4: 59 * 60}[options["scale"]]})
    page.route("**/frame?*", lambda route: route.abort())  # 8K takes its time
    page.goto(ui(clip).address)
    page.get_by_text("×4 would be 8K and 59 min: ×2 is 4K and 14 min on this machine.").wait_for()
    assert page.is_checked("#scale-2")


def test_a_chain_a_strength_and_any_size_are_looked_at_and_run(
    ui: Start, make_clip: MakeClip, chromium: Windows, tmp_path: Path
) -> None:
    server = ui(make_clip("film.mp4", width=64, height=48))
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    without_measuring(page)
    page.goto(server.address)
    page.check("#run-swift")
    page.get_by_text("Chain, strength, grain").click()
    page.select_option("#before", "restore")
    page.locator("#strength").evaluate("node => { node.value = 0.6; node.dispatchEvent(new Event('change')); }")
    page.locator("#sharpen").evaluate("node => { node.value = 0.4; node.dispatchEvent(new Event('change')); }")
    page.locator("#grain").evaluate("node => { node.value = 0.3; node.dispatchEvent(new Event('change')); }")
    page.get_by_text("Other sizes").click()
    with page.expect_request(lambda request: "/frame?" in request.url and "restore%2Cswift" in request.url) as asked:
        page.locator("#height").fill("72")
        page.locator("#height").blur()
    assert {"scale=1.5", "strength=0.6", "sharpen=0.4", "grain=0.3"} <= set(
        asked.value.url.partition("?")[2].split("&")
    )
    assert asked.value.response().status == 200
    assert asked.value.response().headers["x-size"] == "96x72"
    page.locator(".viewer .tag", has_text="restore → swift · 60 % · Sharpen: 40 % · Film grain: 30 %").first.wait_for()
    page.click("#run")
    page.locator(".job", has_text="restore → swift 72p · 60 % · Sharpen: 40 % · Film grain: 30 %").wait_for()
    job = server.ask("GET", "/api/jobs")[1][0]
    assert job["target"] == str(tmp_path / "film-1.5x.mkv")
    found = server.wait_for(job["id"], "done")
    log = server.ask("GET", f"/api/jobs/{found['id']}/log")[1]["lines"]
    assert "--model restore,swift --strength 0.6 --sharpen 0.4 --grain 0.3 --height 72" in log[0]
    assert still_at(found["target"], Fraction(0)).facts.height == 72


@pytest.mark.parametrize(("grain", "seconds"), [("0.5", 0.2), ("keep", 0)])
def test_a_frame_by_a_chain_is_that_of_the_python_api(
    grain: str, seconds: float, ui: Start, make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "cache"))
    clip = make_clip("film.mp4", width=64, height=48)
    server = ui(clip)
    file = server.ask("GET", "/api/state")[1]["files"][0]["id"]
    query = f"seconds={seconds}&model=swift,clear&scale=4&strength=0.5&sharpen=0.5&grain={grain}"
    status, png = server.ask("GET", f"/api/files/{file}/frame?{query}")
    assert status == 200
    still = still_at(str(clip), Fraction(str(seconds)))
    assert (still.ticks > 0) == (seconds > 0), "each moment has its own grain"
    with open_upscaler("swift,clear", scale=4, strength=0.5, sharpen=0.5, grain=check_grain(grain)) as upscaler:
        planes = upscaler.next_planes_at(still.ticks, still.planes, still.facts.format, still.facts.color)
    expected = to_rgb8(planes, still.facts.format, still.facts.color)
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png))), expected)


def test_a_folder_is_a_contact_sheet_with_settings_and_a_run(ui: Start, chromium: Windows, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "more/c.png")):
        Image.new("RGB", (40, 30 + number), (60 * number, 90, 120)).save(folder / name)
    server = ui(folder)
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.goto(server.address)
    sheet = page.get_by_role("list", name="Contact sheet")
    sheet.get_by_role("button").nth(2).wait_for()
    assert sheet.get_by_role("button").all_inner_texts() == ["a.png", "b.png", "c.png"]
    page.wait_for_function("() => [...document.querySelectorAll('.sheet img')].every(node => node.naturalWidth === 40)")
    assert page.locator(".sheet img").evaluate_all("nodes => nodes.map(node => node.naturalHeight)") == [30, 31, 32]

    sheet.get_by_role("button", name="b.png").click()
    page.locator(".cost", has_text="for this picture").first.wait_for()
    page.reload()
    tabs = page.get_by_role("group", name="Open files")
    tabs.get_by_role("button", name="b.png", exact=True).wait_for()
    names = [text for text in tabs.get_by_role("button").all_inner_texts() if text != "×"]
    assert names == ["photos", "b.png"]  # of the sheet only what was opened

    page.select_option("#format", "jpeg")
    page.check("#run-swift")
    page.check("#scale-2", force=True)
    page.click("#run")
    page.locator(".job[data-state=done]").wait_for()
    made = sorted(path.relative_to(tmp_path / "photos-2x") for path in (tmp_path / "photos-2x").rglob("*.jp*g"))
    assert [str(path.with_suffix("")) for path in made] == ["a", "b", "more/c"]
    page.get_by_role("button", name="Before / after").click()
    page.locator(".job .viewer .handle").wait_for(state="attached")


def test_what_cannot_be_opened_says_why_in_the_page(ui: Start, chromium: Windows, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "none").mkdir()
    server = ui(tmp_path / "empty.mp4", tmp_path / "none")
    page = chromium.new_page()
    page.goto(server.address)
    page.get_by_role("heading", name="empty.mp4 cannot be upscaled").wait_for()
    assert page.get_by_role("alert").inner_text().count("\n") >= 1  # the reason, and what to try
    page.get_by_role("button", name="none", exact=True).click()
    page.get_by_role("heading", name="No images here").wait_for()


# Runs a command as a user would: root may read any folder unless it gives CAP_DAC_OVERRIDE (1) and
# CAP_DAC_READ_SEARCH (2) up, by PR_CAPBSET_DROP (24).
WITHOUT_RIGHTS = """import ctypes, os, sys
if sys.platform == "linux":
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])"""


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_folder_that_may_not_be_read_says_so_in_the_page(ui: Start, chromium: Windows, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    try:
        page = chromium.new_page()
        page.goto(ui(through=(sys.executable, "-c", WITHOUT_RIGHTS)).address)
        page.get_by_role("button", name="Choose a file or folder…").click()
        page.get_by_role("button", name="locked/").click()
        page.get_by_role("status").get_by_text("check the folder's permissions").wait_for()
    finally:
        locked.chmod(0o700)


def test_the_page_is_whole_without_a_network(ui: Start, make_clip: MakeClip, chromium: Windows) -> None:
    server = ui(make_clip("film.mp4"))
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.address)
    page.locator(".viewer .handle").wait_for(state="attached")
    assert asked
    assert {url.partition(":")[0] for url in asked if not url.startswith(server.base)} <= {"blob", "data"}


def test_every_word_of_the_page_is_in_one_file() -> None:
    """Outside of strings.js no literal has two words, nor a word with a capital that is no key or selector."""
    found = []
    for path in sorted(PAGE.glob("*.js")):
        if path.name == "strings.js":
            continue
        for line in path.read_text().splitlines():
            code = re.sub(r"(^|\s)//.*", "", line)
            for text in re.findall(r'"([^"\n]*)"|`([^`\n]*)`', code):
                literal = re.sub(r"\$\{[^}]*\}", "", text[0] or text[1])
                if re.search(r"\b[A-Z][a-z]+ [a-z]+|\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b", literal):
                    found.append((path.name, literal))
    assert [entry for entry in found if not entry[1].startswith(("button ", "minmax", "repeat"))] == []


def test_what_is_chosen_is_what_runs_also_after_another_choice(
    ui: Start, make_clip: MakeClip, chromium: Windows
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    without_measuring(page)
    page.route("**/frame?*", lambda route: route.abort())  # not looked at here
    page.goto(ui(make_clip("film.mp4", width=64, height=48)).address)
    queued: list[dict[str, Any]] = []

    def keep(route: Any) -> None:
        queued.append(json.loads(route.request.post_data)["options"])
        route.fulfill(status=422, json={"error": "kept", "hint": ""})

    page.route("**/api/jobs", keep)
    page.check("#run-swift")
    page.get_by_text("Chain, strength, grain").click()
    page.select_option("#before", "restore")
    page.locator("#strength").evaluate("node => { node.value = 0.6; node.dispatchEvent(new Event('change')); }")

    def queue() -> dict[str, Any]:
        with page.expect_response("**/api/jobs"):
            page.click("#run")
        return queued[-1]

    for name in ("restore", "clear"):
        page.check(f"#run-{name}")
        queue()
    assert page.input_value("#before") == ""
    chosen = [(options["model"], options.get("strength")) for options in queued]
    assert chosen == [("restore", 0.6), ("clear", None)]  # clear is what a strength mixes in

    page.check("#steady")
    assert page.is_disabled("#grain")
    assert page.is_disabled("#keep-grain")
    assert {name: value for name, value in queue().items() if name in ("steady", "grain")} == {"steady": True}
    page.uncheck("#steady")
    page.check("#keep-grain")
    assert page.is_disabled("#steady")
    assert {name: value for name, value in queue().items() if name in ("steady", "grain")} == {"grain": "keep"}


def test_a_menu_of_the_right_button_does_not_hold_the_page_still(ui: Start, chromium: Windows) -> None:
    page = chromium.new_page()
    page.goto(ui().address)
    drawn = """async button => {
      const { whenReleased } = await import("/page/dom.js");
      let isDrawn = false;
      window.dispatchEvent(new PointerEvent("pointerdown", { button }));
      whenReleased("test", () => { isDrawn = true; });
      return isDrawn;
    }"""
    assert page.evaluate(drawn, 2)  # that it came up, the menu hears
    assert not page.evaluate(drawn, 0)
