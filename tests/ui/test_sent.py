"""`srkit compare` as a page: one file, opened in a real Chromium from the disk, without any server."""

from __future__ import annotations

import base64
import re
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from sr_core.errors import BadInput
from sr_video.still import still_at, to_rgb8
from srvid_cli.srkit import group
from tests.ui.conftest import MakeClip, Windows

LAYERS = """() => [...document.querySelectorAll('.viewer img.layer')].map(node => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [node.naturalWidth, node.naturalHeight];
  canvas.getContext('2d').drawImage(node, 0, 0);
  return [node.alt, canvas.toDataURL('image/png')];
})"""


def compare(*arguments: object) -> Result:
    return CliRunner().invoke(group, ["compare", *map(str, arguments)])


def shown(page: Any) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))
        for name, url in page.evaluate(LAYERS)
    }


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, np.ndarray]:
    """small.png and two results, four times as large, by name."""
    noise = np.random.default_rng(1)
    found = {}
    for name, side in (("small.png", 24), ("one.png", 96), ("</script>.png".replace("/", "∕"), 96)):
        found[name] = noise.integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(found[name]).save(tmp_path / name)
    return found


def test_a_page_holds_the_very_pixels_and_asks_nobody(
    photos: dict[str, np.ndarray], tmp_path: Path, chromium: Windows
) -> None:
    done = compare(*(tmp_path / name for name in photos), tmp_path / "look.html")
    assert done.exit_code == 0, done.output
    page = chromium.new_page(viewport={"width": 1100, "height": 800})
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.goto((tmp_path / "look.html").as_uri())
    page.wait_for_selector(".viewer .handle")
    _, *results = photos
    for name in results:
        page.get_by_role("group", name="right").get_by_role("button", name=name).click()
        np.testing.assert_array_equal(shown(page)[name], photos[name])
    bicubic = Image.fromarray(photos["small.png"]).resize((96, 96), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(shown(page)["bicubic"], np.asarray(bicubic))
    assert set(asked) <= {"file", "data"}
    assert faults == []


def test_a_page_of_videos_shows_several_moments_and_axe_finds_nothing(
    make_clip: MakeClip, tmp_path: Path, chromium: Windows
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    small, large = make_clip("small.mp4", frames=50), make_clip("large.mp4", frames=50, width=192, height=128)
    done = compare(small, large, tmp_path / "look.html", "--frames", 3)
    assert done.exit_code == 0, done.output
    for scheme in ("light", "dark"):
        page = chromium.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        page.goto((tmp_path / "look.html").as_uri())
        page.wait_for_selector(".viewer .handle", state="attached")
        moments = page.get_by_role("group", name="Moment").get_by_role("button")
        assert moments.all_inner_texts() == ["0:00.33", "0:01.00", "0:01.67"]
        first = page.locator(".viewer img.layer").first.get_attribute("src")
        moments.nth(2).click()
        page.wait_for_function("src => document.querySelector('.viewer img.layer').src !== src", arg=first)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert [fault["id"] for fault in Axe().run(page).response["violations"]] == []
        assert "192 × 128" in page.get_by_role("table").inner_text()
        assert {picture.shape for picture in shown(page).values()} == {(128, 192, 3)}


def test_results_of_two_sizes_are_refused(photos: dict[str, np.ndarray], tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "other.png")
    done = compare(tmp_path / "small.png", tmp_path / "one.png", tmp_path / "other.png", tmp_path / "look.html")
    assert isinstance(done.exception, BadInput)
    assert "other.png is 50x50" in str(done.exception)
    assert not (tmp_path / "look.html").exists()


def test_models_are_tried_for_a_page_with_what_they_measured(
    make_clip: MakeClip, tmp_path: Path, chromium: Windows
) -> None:
    small, large = make_clip("small.mp4"), make_clip("large.mp4", width=192, height=128)
    done = compare(small, large, tmp_path / "look.html", "--frames", 1, "--model", "nearest", "--model", "swift")
    assert done.exit_code == 0, done.output
    page = chromium.new_page()
    page.goto((tmp_path / "look.html").as_uri())
    right = page.get_by_role("group", name="right").get_by_role("button")
    right.nth(3).wait_for()
    assert right.all_inner_texts() == ["bicubic", "large.mp4", "nearest", "swift"]
    right.nth(2).click()
    still = still_at(str(small), Fraction(1, 2))
    planes = tuple(plane.repeat(2, 0).repeat(2, 1) for plane in still.planes)
    expected = to_rgb8(planes, still.facts.format, still.facts.color)
    np.testing.assert_array_equal(shown(page)["nearest"], expected)
    for name in ("nearest", "swift"):
        row = page.get_by_role("row", name=name).inner_text()
        assert re.search(r"×2 · [\d.]+ frames a second here · 0:\d\d for all of it · about \d+ (bytes|kB)", row), row


def test_models_alone_are_compared_and_a_picture_refuses_them(photos: dict[str, np.ndarray], tmp_path: Path) -> None:
    ways = ("--strength", 1, "--strength", 0.5, "--sharpen", 0, "--sharpen", 0.3, "--grain", "keep")
    done = compare(tmp_path / "small.png", tmp_path / "look.html", "--model", "swift", "--scale", 2, *ways)
    assert done.exit_code == 0, done.output
    shares = ("", ", sharpen 0.3", ", strength 0.5", ", strength 0.5, sharpen 0.3")
    names = ", ".join(f'"swift{share}, grain keep"' for share in shares)
    assert names.encode() in (tmp_path / "look.html").read_bytes()
    assert b'["\\u00d72", "' in (tmp_path / "look.html").read_bytes()
    assert "--model" in compare(tmp_path / "small.png", tmp_path / "other.html").output
    assert "are for --model" in compare(*2 * [tmp_path / "small.png"], tmp_path / "other.html", *ways).output
    assert isinstance(compare(tmp_path / "small.png", tmp_path / "a.png", "--model", "swift").exception, BadInput)
