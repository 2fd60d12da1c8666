"""What a job is bound to: decided and written into its manifest as it begins, compared as it goes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from sr_core.backend import usable_cpus
from sr_core.errors import BadInput, DamagedMedia
from sr_core.file_stamp import stamp_of
from sr_core.wording import option
from sr_video.decide.encoding import EncoderSettings
from sr_video.decide.plan import Plan, Request
from sr_video.read.damage import missing_bytes
from sr_video.read.source import Source
from sr_video.segments.cut import Segment, cut_segments
from sr_video.segments.index import Index, read_index
from sr_video.segments.job import Manifest, WorkFolder
from sr_video.segments.maker import SegmentRecipe, measure_speed, versions_of
from sr_video.segments.segment import encoder_threads, segment_format
from sr_video.segments.speed import SpeedItem, adapt_seconds, clearly_fast
from sr_video.segments.verdict import Verdict
from sr_video.timing import first_tick_at, text_from_seconds, ticks_from_seconds
from sr_video.transcode import Listener, in_thread
from sr_work.here import Here
from sr_work.likeness import differences
from sr_work.scheduler import Workers
from sr_work.work import Pool

DEFAULT_SECONDS = Fraction(20)


@dataclass(frozen=True, kw_only=True)
class Segmenting:
    """How the work is divided.

    Attributes:
        seconds: at least so much video in a segment; None: one straight stream.
        adapts: less where that would be much more than two minutes of work, as measured before a job begins.
        restart: drop an unfinished job of the same output.
        pool: who makes the segments.
    """

    seconds: Fraction | None = DEFAULT_SECONDS
    adapts: bool = False
    restart: bool = False
    pool: Pool = field(default_factory=Here)

    def __post_init__(self) -> None:
        if self.seconds is not None and self.seconds <= 0:
            raise BadInput(
                f"{option('segment', f'{float(self.seconds):g}')} is not a length",
                hint=f"{option('no_segments', True)} streams instead",
            )


class SegmentListener(Listener, Protocol):
    """A listener that is also told of segments."""

    def indexing(self, share: float) -> None: ...

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None: ...

    def noted(self, text: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Of one output: what was asked for, of which input, and who is to make it."""

    request: Request
    recipe: SegmentRecipe
    listener: SegmentListener
    segmenting: Segmenting
    folder: WorkFolder
    source: Source
    plan: Plan
    workers: Workers
    verdict: Verdict | None = None

    def begin(self) -> Manifest | None:
        """Write the manifest of a new job; None where the video is not to be cut."""
        index = self._index()
        if index.why_unusable:
            self.listener.noted(f"no segments, so this run cannot be resumed: {index.why_unusable}")
            return None
        seconds = self._segment_seconds(index)
        segments = self._cut(index, seconds)
        if len(segments) < 2:
            return None
        self.folder.clear()
        manifest = Manifest(
            source=str(Path(self.request.source).absolute()),
            target=str(Path(self.request.target).absolute()),
            stamp=stamp_of(self.request.source),
            digest=index.digest,
            settings=self._settings(),
            versions=versions_of(self.recipe),
            engine=self._identity(),
            encoder_threads=encoder_threads(self.plan.encoder.codec.encoder, usable_cpus()),
            segment_format=segment_format(self.plan.encoder.codec.codec),
            time_base=self.plan.encoder.time_base,
            segments=segments,
            verdict=self.verdict,
        )
        self.folder.write_manifest(manifest)
        return manifest

    def _identity(self) -> dict[str, str]:
        found = self.workers.identity()
        if "backend" in found and not isinstance(self.segmenting.pool, Here):  # else it says so itself, as it opens
            self.listener.noted(f"every worker's engine: {found['backend']}")
        return found

    def _index(self) -> Index:
        self._check_length()
        used = {entry.index for entry in self.plan.streams if entry.action in ("copy", "convert")}
        whole = frozenset[int]() if self.plan.end_seconds is not None else frozenset({self.source.facts.index, *used})
        report, salvage = self.listener.indexing, self.request.salvage
        return in_thread(lambda: read_index(self.source, salvage=salvage, report=report, whole=whole))

    def _check_length(self) -> None:
        """Notice a file that was cut off now, rather than at its end after days of work."""
        missing = missing_bytes(Path(self.source.path))
        if missing and not self.request.salvage:
            raise DamagedMedia(
                f"{self.source.name} ends {missing} bytes early",
                hint=f"{option('salvage', True)} keeps what can be decoded",
            )

    def _segment_seconds(self, index: Index) -> Fraction:
        """How much video a segment holds at least; decided once, for the manifest lists the segments."""
        assert self.segmenting.seconds is not None
        asked, span = self.segmenting.seconds, (index.ticks[-1] - index.ticks[0]) * self.plan.encoder.time_base
        if not self.segmenting.adapts or not span:
            return asked
        rate = len(index.ticks) / float(span)
        item = SpeedItem(
            plan=self.plan,
            source=str(Path(self.request.source).absolute()),
            salvage=self.request.salvage,
            hwaccel=self.request.hwaccel,
            clearly_fast=clearly_fast(asked, rate),
        )
        per_frame = measure_speed(self.workers, item)
        seconds = adapt_seconds(asked, rate, per_frame)
        if seconds < asked and per_frame:
            minutes = text_from_seconds(float(seconds) * rate * per_frame)
            self.listener.noted(f"segments of {float(seconds):g} s of video: each takes about {minutes}")
        return seconds

    def _cut(self, index: Index, seconds: Fraction) -> tuple[Segment, ...]:
        assert self.segmenting.seconds is not None
        base = self.plan.encoder.time_base
        return cut_segments(
            index.ticks,
            index.keys,
            segment_ticks=max(1, ticks_from_seconds(seconds, base)),
            patience_ticks=max(1, ticks_from_seconds(self.segmenting.seconds, base)),
            begin=None if self.plan.start_seconds is None else ticks_from_seconds(self.plan.start_seconds, base),
            end=None if self.plan.end_seconds is None else first_tick_at(self.plan.end_seconds, base),
        )

    def _settings(self) -> dict[str, str]:
        """By name, as people know them; the digest at the end covers what else decides the bytes of a segment.

        Streams, tags and chapters are planned anew for the joining: what another srvid thinks of them is no other
        segment.
        """
        settings, request = self.plan.encoder, self.request
        decoder = request.hwaccel and request.hwaccel.partition(":")[0]  # on which card makes no difference
        return {
            "scale": str(self.plan.engine_scale),
            "size": f"{settings.width}x{settings.height}",
            "codec": settings.codec.encoder,
            "pixel format": settings.pix_fmt,
            "encoder options": " ".join(f"{key}={value}" for key, value in settings.options),
            "container": self.plan.container.muxer,
            "start": str(request.start or ""),
            "end": str(request.end or ""),
            "audio": "kept" if request.keeps_audio else "left out",
            "salvage": "yes" if request.salvage else "no",
            "segment": "by speed" if self.segmenting.adapts else f"{float(self.segmenting.seconds or 0):g} s",
            "other details": _digest_of(settings, str(self.plan.shift_seconds), str(decoder or "")),
            **({"steady": "yes"} if request.steady else {}),
        }

    def check(self, manifest: Manifest) -> None:
        """Refuse to mix: what lies there must be what this command would have made.

        Raises:
            BadInput: it is not.
        """
        settings = self._settings()
        if self.request.salvage:  # what was made without it has no damage, and is the same with it
            settings["salvage"] = manifest.settings.get("salvage", "")
        differing = [
            *differences(manifest.settings, settings),
            *differences(manifest.versions, versions_of(self.recipe)),
            *differences(manifest.engine, self._identity()),
        ]
        if len(differing) > 1:
            differing = [text for text in differing if not text.startswith("other details")] or differing
        if differing:
            raise BadInput(
                f"{self.folder.path.name} holds an unfinished job that differs\n  " + "\n  ".join(differing),
                hint=f"repeat the earlier command to go on, or {option('restart', True)} to begin anew",
            )
        if stamp_of(self.request.source) != manifest.stamp and self._index().digest != manifest.digest:
            raise BadInput(
                f"{self.source.name} is not the file that was being upscaled",
                hint=f"restore it to go on, or {option('restart', True)} to begin anew",
            )


def _digest_of(settings: EncoderSettings, *more: str) -> str:
    """Of all that an encoder is told. A field that some later version adds counts where it is not at its default."""
    told = {
        field.name: repr(getattr(settings, field.name))
        for field in fields(settings)
        if field.name not in ("codec", "device", "card") and getattr(settings, field.name) != field.default
    }
    return hashlib.blake2b(json.dumps([told, *more], sort_keys=True).encode(), digest_size=8).hexdigest()
