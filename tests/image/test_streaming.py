"""Rows streamed from disk to disk: the same file as from memory, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.upscaler import Upscaler
from sr_image.enlarge import EnlargeOptions, enlarge
from sr_image.formats.reader import open_image
from sr_image.formats.writer import write_image
from sr_image.metadata.carried import Frame, Metadata
from sr_image.metadata.exif import has_thumbnail
from sr_image.sizing import SizeTarget
from sr_image.strips import make_ahead, resize_strips, windows
from tests.image.conftest import noise
from tests.image.samples import Load, by_openimageio, by_pillow, exif_blob, header_of

SMALL = EnlargeOptions(memory_bytes=64 << 20)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes small images count as large: those that do not fit in 64 MiB take too long to test."""
    monkeypatch.setattr("sr_image.enlarge._WHOLE_COST", 1000.0)
    monkeypatch.setattr("sr_image.enlarge._STRIP_SHARE", 10_000)
    monkeypatch.setattr("sr_image.formats.pillow_reader._STRIPS_FROM_PIXELS", 0)
    monkeypatch.setattr("sr_image.formats.scanline_reader.STRIP_PIXELS", 7_000)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(height=st.integers(1, 200), rows=st.integers(1, 50), context=st.integers(0, 30), chunk=st.integers(1, 70))
def test_windows_own_every_row_once_with_their_context(height: int, rows: int, context: int, chunk: int) -> None:
    image = np.arange(height)[:, None, None]
    strips = [image[top : top + chunk] for top in range(0, height, chunk)]
    owned = []
    for window, above, own in windows(strips, rows=rows, context=context):
        first = int(window[above, 0, 0])
        assert above == min(context, first)
        below = len(window) - above - own
        assert below == min(context, height - first - own)
        assert (np.diff(window[:, 0, 0]) == 1).all()
        owned += window[above : above + own, 0, 0].tolist()
    assert owned == list(range(height))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(height=st.integers(1, 90), new_height=st.integers(1, 200), chunk=st.integers(1, 40), is_straight=st.booleans())
def test_resizing_in_strips_gives_the_whole_resize(height: int, new_height: int, chunk: int, is_straight: bool) -> None:
    pixels = noise(height, 7, 4)
    sizes = (7, height), (5, new_height)
    whole = np.concatenate(list(resize_strips([pixels], *sizes, is_straight=is_straight)))
    strips = [pixels[top : top + chunk] for top in range(0, height, chunk)]
    parts = np.concatenate(list(resize_strips(strips, *sizes, is_straight=is_straight)))
    assert whole.shape == (new_height, 5, 4)
    # Pillow takes the strip's place as a double: a sample may round the other way
    assert np.abs(whole.astype(int) - parts).max() <= 1


@pytest.fixture(params=["rgb png", "rgba png", "rgb tiff 16", "float exr", "linear rgba tiff"])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of several strips."""
    kind = request.param
    if kind == "rgb png":
        by_pillow(tmp_path / "a.png", noise(330, 280, 3), compress_level=1)
        return tmp_path / "a.png"
    if kind == "rgba png":
        pixels = noise(330, 250, 4)
        pixels[60:170, 30:90, 3] = 0
        by_pillow(tmp_path / "a.png", pixels, compress_level=1)
        return tmp_path / "a.png"
    path = tmp_path / ("a.exr" if "exr" in kind else "a.tif")
    dtype = {"rgb tiff 16": "uint16", "float exr": "float16", "linear rgba tiff": "float32"}[kind]
    pixels = noise(310, 200, 4 if "rgba" in kind else 3, dtype)
    if dtype == "float16":
        pixels = pixels * np.float16(30)
    by_openimageio(path, pixels)
    return path


def test_a_streamed_file_has_the_pixels_of_one_done_in_memory(
    large: Path, little_memory: None, tmp_path: Path, network: Upscaler, load: Load
) -> None:
    streamed = enlarge(large, tmp_path / f"streamed{large.suffix}", network, SMALL)
    whole = enlarge(large, tmp_path / f"whole{large.suffix}", network, EnlargeOptions(memory_bytes=16 << 30))
    assert (streamed.streams, whole.streams) == (True, False)
    (one,), (other,) = (load(tmp_path / f"{name}{large.suffix}")[2] for name in ("streamed", "whole"))
    if one.dtype.kind == "f":
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    else:
        np.testing.assert_array_equal(one, other)


def test_a_large_jpeg_is_read_and_written_in_strips(
    little_memory: None, tmp_path: Path, doubling: Upscaler, load: Load
) -> None:
    y, x = np.mgrid[:200, :250]
    smooth = np.stack([x, y, (x + y) // 2], axis=2).astype(np.uint8)
    by_pillow(
        tmp_path / "a.jpg", smooth, quality=90, exif=b"Exif\0\0" + exif_blob(orientation=6, thumbnail=b"\xff\xd8old")
    )
    plan = enlarge(tmp_path / "a.jpg", tmp_path / "out.jpg", doubling, SMALL)
    assert plan.streams
    assert any("thumbnail left out" in note for note in plan.notes)
    with open_image(tmp_path / "out.jpg") as image:
        assert image.metadata.exif is not None
        assert not has_thumbnail(image.metadata.exif)
        assert image.header.size == (400, 500)
        assert image.header.orientation == 6
        assert image.metadata.exif is not None
        strip = next(iter(next(image.frames()).strips))
    expected = smooth[: len(strip) // 2].repeat(2, 0).repeat(2, 1)[: len(strip)]
    assert np.abs(strip[: len(expected)].astype(int) - expected).mean() < 2


def test_a_format_that_does_not_stream_is_refused_with_the_ways_out(
    little_memory: None, tmp_path: Path, doubling: Upscaler
) -> None:
    pixels = np.zeros((300, 300, 3), np.uint8)
    write_image(tmp_path / "a.webp", header_of(pixels, "webp"), Metadata(), [Frame([pixels])])
    with pytest.raises(BadInput, match="memory budget") as caught:
        enlarge(tmp_path / "a.webp", tmp_path / "out.webp", doubling, SMALL)
    assert "format=png" in caught.value.hint
    assert "memory" in caught.value.hint


def test_a_streamed_image_meets_an_exact_target(
    little_memory: None, tmp_path: Path, doubling: Upscaler, load: Load
) -> None:
    by_pillow(tmp_path / "a.png", np.full((300, 260, 3), 77, np.uint8))
    options = EnlargeOptions(memory_bytes=64 << 20, target=SizeTarget(width=400))
    plan = enlarge(tmp_path / "a.png", tmp_path / "out.png", doubling, options)
    header, _, (pixels,) = load(tmp_path / "out.png")
    assert plan.streams
    assert header.size == (400, 462)
    assert (pixels == 77).all()


_PROGRAM = """
import resource, sys
from pathlib import Path
from sr_image.enlarge import EnlargeOptions, enlarge
from sr_image.metadata.exif import has_thumbnail
from sr_video.nearest import NearestUpscaler
path = Path(sys.argv[1])
with NearestUpscaler(4) as upscaler:
    enlarge(path, path.with_name("warm.png"), upscaler, EnlargeOptions())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plan = enlarge(path.with_name("large.png"), path.with_name("out.png"), upscaler,
                   EnlargeOptions(memory_bytes=64 << 20))
    assert plan.streams
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss counts differently elsewhere")
def test_memory_stays_within_the_budget_whatever_the_size(tmp_path: Path) -> None:
    """24 megapixels to 384: 1.15 GB of output samples through 64 MiB."""
    by_pillow(tmp_path / "small.png", noise(8, 8, 3))
    by_pillow(tmp_path / "large.png", np.zeros((6000, 4000, 3), np.uint8), compress_level=1)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path / "small.png")],
        capture_output=True, text=True, env=os.environ, check=True, timeout=120,
    )  # fmt: skip
    assert int(done.stdout) < 64 << 20


def test_a_strip_is_made_while_the_one_before_is_written() -> None:
    made, written = threading.Event(), []

    def strips() -> Iterator[Array]:
        yield noise(1, 1, 1)
        made.set()
        yield noise(1, 1, 1)

    with ThreadPoolExecutor(1) as pool:
        for strip in make_ahead(pool, strips()):
            assert made.wait(timeout=30)  # the second strip comes while the first is in our hands
            written.append(strip)
    assert len(written) == 2


def test_what_making_a_strip_raises_reaches_the_writer() -> None:
    def strips() -> Iterator[Array]:
        yield noise(1, 1, 1)
        raise BadInput("broken in the middle")

    with ThreadPoolExecutor(1) as pool, pytest.raises(BadInput, match="in the middle"):
        list(make_ahead(pool, strips()))
