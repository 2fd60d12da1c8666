"""The page in a real Chromium, with what moves: previews, segments, a queue under two pairs of hands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.ui.conftest import MakeClip, Ui, Windows

Start = Callable[..., Ui]
PLAYS = """selector => [...document.querySelectorAll(selector)].every(video => video.currentTime > 0.2)"""


def test_a_moving_preview_plays_before_and_after_and_ends_in_the_frame(
    ui: Start, make_clip: MakeClip, chromium: Windows
) -> None:
    server = ui(make_clip("film.mp4", frames=75))
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.goto(server.address)
    page.get_by_role("button", name="Preview 10 seconds").click()
    page.locator(".viewer video").nth(1).wait_for()
    page.wait_for_function(PLAYS, arg=".viewer video")
    sizes = page.evaluate("[...document.querySelectorAll('.viewer video')].map(node => [node.videoWidth, node.muted])")
    assert sorted(sizes) == [[96, True], [384, True]]
    page.get_by_role("button", name="Back to the frame").click()
    page.locator(".viewer img.layer").nth(1).wait_for()
    assert page.locator(".viewer video").count() == 0


def test_two_browsers_watch_reorder_and_cancel_one_queue(
    ui: Start, make_clip: MakeClip, chromium: Windows, tmp_path: Path
) -> None:
    server = ui()
    for number, name in enumerate(("long", "second", "third")):
        clip = make_clip(f"{name}.mp4", frames=25 if number else 3000, width=160, height=120)
        options = {"model": "clear", "scale": 4}
        job = {"sources": [str(clip)], "target": str(tmp_path / f"{name}.mkv"), "options": options}
        assert server.ask("POST", "/api/jobs", job)[0] == 201
    pages = []
    for _ in range(2):
        pages.append(chromium.new_page())
        pages[-1].goto(server.address)
        pages[-1].get_by_role("button", name="Queue").click()
        pages[-1].locator(".job").nth(2).wait_for()
    one, other = pages

    one.get_by_role("button", name="Move up: third.mkv").click()
    for page in pages:
        page.locator("ol .job:nth-child(2) h3", has_text="third.mkv").wait_for()
    assert [Path(job["target"]).stem for job in server.ask("GET", "/api/jobs")[1]] == ["long", "third", "second"]

    first = server.ask("GET", "/api/jobs")[1][0]["id"]
    server.wait_for_segment(first)
    one.locator(f".job[data-id='{first}']").get_by_role("button", name="Watch what is done").click()
    one.wait_for_function(PLAYS, arg=".job video")
    assert one.locator(".job video").evaluate("node => node.videoWidth") == 640
    assert server.ask("GET", f"/api/jobs/{first}")[1]["state"] == "running"

    long = other.locator(f".job[data-id='{first}']")
    for name in ("second.mkv", "third.mkv"):
        other.locator(".job", has_text=name).get_by_role("button", name="Cancel").click()
    long.get_by_role("button", name="Cancel").click()
    for page in pages:
        page.locator(".job[data-state=cancelled]").nth(2).wait_for()
    other.locator(".job", has_text="second.mkv").get_by_role("button", name="Try again").click()
    one.locator(".job[data-state=done]", has_text="second.mkv").wait_for()
    long.get_by_role("button", name="Remove").click()
    one.locator(f".job[data-id='{first}']").wait_for(state="detached")
    assert not list(tmp_path.glob("long.mkv*"))
