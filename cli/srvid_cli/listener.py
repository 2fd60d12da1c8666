"""Tells people, or programs with --json, how a video's run goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sr_core.wording import count_of, option, text_from_bytes
from sr_video.timing import text_from_seconds
from srvid_cli.advice import encoding_advice
from srvid_cli.events import emit
from srvid_cli.progress import ProgressLine

if TYPE_CHECKING:
    from sr_video.decide.plan import Plan
    from sr_video.read.source import Source
    from sr_video.transcode import Progress, Summary


_LARGE_SIDE = 3840  # pixels: 4K and more
_MEASURED_SECONDS = 10.0  # of work, before its speed is believed
_LONG_SECONDS = 120.0  # left: what takes less needs no advice


class VideoListener:
    """Tells people, or programs, how it goes; `model_note` says why a model was taken that nobody named."""

    def __init__(
        self,
        target: str,
        *,
        as_json: bool,
        quiet: bool,
        model_note: str = "",
        is_default_scale: bool = False,
        codec: str | None = None,
    ) -> None:
        self.line = ProgressLine(is_quiet=quiet)
        self._target = target
        self._as_json = as_json
        self._frames_before = self._frames = 0
        self._is_default_scale, self._model_note, self._codec = is_default_scale, model_note, codec
        self._is_silent = quiet and not as_json
        self._large: tuple[int, int, int, int] | None = None  # sizes of IN and OUT, while there is a line to say

    def engine_chosen(self, text: str) -> None:
        """The backend's own line."""
        self.line.say(f"backend: {text}")
        if not self._is_silent and (advice := encoding_advice(text, self._codec)):
            self.noted(advice)

    def reading(self) -> None:
        self.line.phase("reading sound and subtitles")

    def planned(self, source: Source, plan: Plan) -> None:
        facts, encoder = source.facts, plan.encoder
        self.line.say(
            f"{source.name}: {facts.width}x{facts.height} {facts.pix_fmt} → "
            f"{encoder.width}x{encoder.height} {encoder.pix_fmt}, {encoder.codec.encoder}"
        )
        for note in plan.notes:
            self.line.say(f"note: {note}")
        if self._as_json:
            emit(
                "start",
                input=source.path,
                output=self._target,
                codec=encoder.codec.encoder,
                pix_fmt=encoder.pix_fmt,
                width=encoder.width,
                height=encoder.height,
                engine_scale=plan.engine_scale,
                frames_expected=plan.frames_expected,
            )
            for note in plan.notes:
                emit("note", text=note)
        if self._model_note:
            self.noted(self._model_note)
        if self._is_default_scale and max(encoder.width, encoder.height) >= _LARGE_SIDE:
            self._large = (facts.width, facts.height, encoder.width, encoder.height)
        self.line.phase("opening the engine")

    def progressed(self, progress: Progress) -> None:
        self._frames = progress.frames
        self.line.update(
            done=progress.frames,
            total=progress.frames_expected,
            elapsed_seconds=progress.elapsed_seconds,
            position_seconds=progress.position_seconds,
        )
        if self._as_json:
            emit("progress", **vars(progress))

        self._advise_smaller(progress)

    def _advise_smaller(self, progress: Progress) -> None:
        """Nobody asked for this size: once the speed is known, say what it costs and what would cost less."""
        seconds_left = self.line.seconds_left
        if self._large is None or seconds_left is None or progress.elapsed_seconds < _MEASURED_SECONDS:
            return
        (width, height, large_width, large_height), self._large = self._large, None
        if seconds_left > _LONG_SECONDS:
            self.noted(
                f"{large_width}x{large_height} takes about {text_from_seconds(seconds_left)} more; "
                f"{option('scale', 2)} would make {2 * width}x{2 * height}"
            )

    def indexing(self, share: float) -> None:
        self.line.phase("reading the input", share)

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None:
        self._frames_before = frames_done
        self.line.say(f"going on: {segments_done} of {count_of(segments, 'segment', verb='is/are')} there")
        if self._as_json:
            emit("resume", segments_done=segments_done, segments=segments, frames_done=frames_done)

    def noted(self, text: str) -> None:
        self.line.say(f"note: {text}")
        if self._as_json:
            emit("note", text=text)

    def verifying(self, progress: Progress) -> None:
        self.line.phase("checking the output", share=1.0)
        if self._as_json:
            emit("verify", frames=progress.frames)

    def stopped(self) -> None:
        """Say what an interrupted run leaves, if it can go on."""
        from sr_video.segments.job import WorkFolder

        folder = WorkFolder.of(Path(self._target))
        if self._target == "-" or not folder.manifest_path.exists():
            return
        state = folder.state()
        total, lost = len(state.manifest.segments), max(0, self._frames - state.frames_done)
        kept = f"{state.segments_done} of {count_of(total, 'segment', verb='is/are')} kept"
        again = f"; {count_of(lost, 'frame')} will be made again" if lost else ""
        self.line.say(f"{kept}{again}: the same command goes on")

    def finished(self, summary: Summary) -> None:
        line, seconds = self.line, summary.elapsed_seconds
        if summary.retimed_frames:
            line.say(f"note: {count_of(summary.retimed_frames, 'frame')} had a time at or before the one before")
        if summary.damage:
            line.say(f"salvaged: {summary.damage}")
        rate = (summary.frames - self._frames_before) / seconds if seconds else 0.0
        checked = f", {text_from_bytes(summary.output_bytes)}, verified" if summary.output_bytes else ""
        line.say(f"{self._target}: {count_of(summary.frames, 'frame')} in {seconds:.1f} s ({rate:.2f} fps){checked}")
        if self._as_json:
            emit(
                "done",
                output=self._target,
                frames=summary.frames,
                elapsed_seconds=round(seconds, 3),
                output_bytes=summary.output_bytes,
                damage=str(summary.damage),
            )
