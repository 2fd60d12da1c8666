"""The three threads: bounds, failures in each, and what stays on the disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import pytest

from sr_core.color import ColorSpec
from sr_core.errors import BadInput, EngineError, NotAvailable, OutputExists, StorageError
from sr_core.frame import PixelFormat, Planes
from sr_video.decide.plan import Plan, Request
from sr_video.nearest import NearestUpscaler
from sr_video.read.source import Source
from sr_video.transcode import upscale_video
from sr_video.write.encoder import VideoEncoder
from tests.video.conftest import Clip, Heard, read_back, upscaled


class Failing(NearestUpscaler):
    """Fails at the fifth frame."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        self.asked = 0

    def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Planes:
        self.asked += 1
        if self.asked == 5:
            raise EngineError("the engine is out of breath")
        return super().planes(planes, fmt, color)


class Counting(NearestUpscaler):
    """Knows how many frames were submitted and not yet encoded, at most."""

    most = 0

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        self.out: list[Future[Planes]] = []
        Counting.most = 0

    def submit(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]:
        future = super().submit(planes, fmt, color)
        self.out.append(future)
        return future


class Slow(NearestUpscaler):
    """A tenth of a second a frame."""

    def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Planes:
        time.sleep(0.1)
        return super().planes(planes, fmt, color)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("out"))


def test_an_engine_that_fails_is_the_error_and_nothing_stays(clip: Clip, tmp_path: Path) -> None:
    request = Request(source=str(clip(frames=30)), target=str(tmp_path / "out.mkv"), scale=2)
    with pytest.raises(EngineError, match="out of breath"):
        upscale_video(request, Failing, Heard())
    assert files(tmp_path) == []
    assert not [thread for thread in threading.enumerate() if thread.name in ("reader", "writer")]


def test_an_encoder_that_fails_is_the_error_and_nothing_stays(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = VideoEncoder.encode
    calls = iter(range(1000))

    def failing(self: VideoEncoder, *args: object, **kwargs: object) -> object:
        if next(calls) == 7:
            raise MemoryError("no room for a frame")
        return encode(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(VideoEncoder, "encode", failing)
    with pytest.raises(MemoryError, match="no room"):
        upscaled(clip(frames=30), tmp_path / "out.mkv")
    assert files(tmp_path) == []


def test_no_more_frames_are_decoded_than_the_queue_holds(clip: Clip, tmp_path: Path) -> None:
    """A slow engine holds the decoder back; memory does not grow with the video."""
    peak = 0

    class Watching(Slow):
        def submit(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]:
            nonlocal peak
            self.waiting = getattr(self, "waiting", 0) + 1
            peak = max(peak, self.waiting)
            future = super().submit(planes, fmt, color)
            future.add_done_callback(self._finish)
            return future

        def _finish(self, future: object) -> None:
            self.waiting -= 1

    request = Request(source=str(clip(frames=20)), target=str(tmp_path / "out.mkv"), scale=2)
    upscale_video(request, Watching, Heard())
    assert 2 <= peak <= 6


def test_an_engine_that_asks_for_moments_is_told_those_of_the_source(clip: Clip, tmp_path: Path) -> None:
    told: list[int] = []

    class Timed(NearestUpscaler):
        def submit_at(
            self, moment: int, planes: Planes, fmt: PixelFormat, color: ColorSpec, out: None = None
        ) -> Future[Planes]:
            told.append(moment)
            return self.submit(planes, fmt, color)

    source = clip(frames=6)
    upscale_video(Request(source=str(source), target=str(tmp_path / "out.mkv"), scale=2), Timed, Heard())
    with av.open(str(source)) as container:
        assert told == [frame.pts for frame in container.decode(video=0)]


def test_a_listener_that_is_interrupted_stops_everything(clip: Clip, tmp_path: Path) -> None:
    """Ctrl-C arrives in the main thread, which is the one that reports progress."""

    class Interrupted(Heard):
        def progressed(self, progress: object) -> None:
            raise KeyboardInterrupt

    request = Request(source=str(clip(frames=100)), target=str(tmp_path / "out.mkv"), scale=2)
    with pytest.raises(KeyboardInterrupt):
        upscale_video(request, Slow, Interrupted())
    assert files(tmp_path) == []
    assert not [thread for thread in threading.enumerate() if thread.name in ("reader", "writer")]


def test_an_existing_output_is_refused_and_untouched(clip: Clip, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    target.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        upscaled(clip(), target)
    assert target.read_bytes() == b"precious"
    upscaled(clip(), target, overwrite=True)
    assert target.stat().st_size > 100


def test_a_failing_overwrite_leaves_the_old_file(clip: Clip, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    target.write_bytes(b"precious")
    request = Request(source=str(clip(frames=30)), target=str(target), scale=2, overwrite=True)
    with pytest.raises(EngineError):
        upscale_video(request, Failing, Heard())
    assert target.read_bytes() == b"precious"


def test_a_stale_part_of_a_killed_run_is_replaced(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "out.mkv.part").write_bytes(b"half a file")
    upscaled(clip(), tmp_path / "out.mkv")
    assert files(tmp_path) == ["out.mkv"]


def test_input_and_output_may_not_be_the_same_file(clip: Clip, tmp_path: Path) -> None:
    source = clip()
    link = tmp_path / "link.mkv"
    link.symlink_to(source)
    before = source.read_bytes()
    for target in (source, link):
        with pytest.raises(BadInput, match="same file"):
            upscaled(source, target, overwrite=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"codec": "libx999"}, BadInput, "unknown codec"),
        ({"preset": "warp9"}, BadInput, "libx264 has no preset"),
        ({"options": {"nonsense": "1"}}, BadInput, "no option 'nonsense'"),
        ({"codec": "ffv1", "crf": 20.0}, BadInput, "no quality setting"),
        ({"crf": 20.0, "options": {"b": "50k"}}, BadInput, "crf=20 and options=b=50k exclude each other"),
        ({"crf": 20.0, "options": {"crf": "25"}}, BadInput, "crf=20 and options=crf=25 exclude each other"),
        ({"pix_fmt": "yuv420p12le"}, BadInput, "does not encode yuv420p12le"),
        ({"height": 10_000}, BadInput, "more than 4 times"),
        ({"height": 40}, BadInput, "not larger"),
        ({"codec": "hevc_nvenc"}, NotAvailable, "cannot be used here"),
        ({"start": 100}, BadInput, "no frame lies between"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_hint_and_no_file(
    clip: Clip, tmp_path: Path, asked: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        upscaled(clip(), tmp_path / "out.mkv", **asked)
    assert getattr(caught.value, "hint", "")
    assert files(tmp_path) == []


def test_av1_takes_video_of_more_than_240_frames_a_second(clip: Clip, tmp_path: Path) -> None:
    def fast(out: object, video: av.VideoStream) -> None:
        video.codec_context.framerate = Fraction(500)

    source = clip(ticks=[2 * index for index in range(8)], setup=fast)
    upscaled(source, tmp_path / "out.webm", preset="11")
    assert read_back(tmp_path / "out.webm").seconds == [Fraction(2 * index, 1000) for index in range(8)]


@pytest.mark.parametrize("name", ["out.avi", "out", "out.xyz"])
def test_an_output_format_that_loses_things_is_refused(clip: Clip, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        upscaled(clip(), tmp_path / name)
    assert ".mkv" in caught.value.hint


def test_a_codec_the_container_cannot_hold_is_refused(clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="mp4 file cannot hold prores"):
        upscaled(clip(), tmp_path / "out.mp4", codec="prores")


def test_a_missing_folder_is_refused(clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no folder"):
        upscaled(clip(), tmp_path / "nowhere" / "out.mkv")


def test_odd_sizes_keep_their_size_and_say_what_it_costs(clip: Clip, tmp_path: Path) -> None:
    source = clip(size=(33, 21), frames=2)
    heard = upscaled(source, tmp_path / "out.mkv", scale=3)
    assert heard.plan is not None
    assert (heard.plan.encoder.width, heard.plan.encoder.height) == (99, 63)
    assert heard.plan.encoder.pix_fmt == "yuv444p"
    assert any("odd" in note for note in heard.notes)
    kept = upscaled(source, tmp_path / "out.mkv", scale=3, codec="ffv1", overwrite=True)
    assert kept.plan is not None
    assert kept.plan.encoder.pix_fmt == "yuv420p"


@pytest.mark.parametrize(
    "name", ["ünïcödé ☃.mkv", "with 'quotes' and \"more\".mkv", "a:b.mkv", "100%d.mkv", "line\nbreak.mkv", "-x.mkv"]
)
def test_awkward_names_work_for_input_and_output(clip: Clip, tmp_path: Path, name: str) -> None:
    source = clip()
    awkward = source.with_name(name)
    source.rename(awkward)
    (tmp_path / "to").mkdir()
    upscaled(awkward, tmp_path / "to" / name)
    assert [path.name for path in (tmp_path / "to").iterdir()] == [name]


def test_a_relative_name_with_a_colon_is_a_file(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip("a:b.mkv")
    monkeypatch.chdir(tmp_path)
    upscaled(Path("a:b.mkv"), Path("c:d.mkv"))
    assert (tmp_path / "c:d.mkv").is_file()


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no such call here")
def test_no_encoder_makes_a_thread_real_time(clip: Clip, tmp_path: Path) -> None:
    """SVT-AV1 does, where root opens it, with all that starts later: a machine of two cores stood still."""
    seen: set[int] = set()

    class Watching(NearestUpscaler):
        def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Planes:
            seen.update(policies())
            return super().planes(planes, fmt, color)

    def policies() -> set[int]:
        found: set[int] = set()
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # it has just ended
                found.add(os.sched_getscheduler(int(thread.name)))
        return found

    before = policies()
    request = Request(
        source=str(clip("in.mp4", frames=12)), target=str(tmp_path / "out.mkv"), scale=2, codec="libsvtav1", preset="12"
    )
    upscale_video(request, Watching, Heard())
    assert seen | policies() <= before


class _Meddling(Heard):
    """Another program gets at the input, once the run has begun."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        super().__init__()
        self._meddle = meddle

    def planned(self, source: Source, plan: Plan) -> None:
        super().planned(source, plan)
        self._meddle()


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("meddle", [Path.unlink, _append])
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_an_input_that_is_written_or_removed_meanwhile_is_told_and_gives_no_output(
    ending: str, meddle: Callable[[Path], object], clip: Clip, tmp_path: Path
) -> None:
    source = clip(f"in.{ending}", codec="libx264")
    request = Request(source=str(source), target=str(tmp_path / "out.mkv"), scale=2, codec="ffv1")
    words = "cannot be read: No such file" if meddle is Path.unlink else "was changed while it was being upscaled"
    with pytest.raises(BadInput, match=words):
        upscale_video(request, NearestUpscaler, _Meddling(lambda: meddle(source)))
    assert not list(tmp_path.glob("out*"))
