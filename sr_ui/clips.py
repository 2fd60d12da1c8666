"""Moving previews: some seconds, before and after, as clips that browsers play.

The after is made by the real command on the cut; the before is the same cut as it was.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from sr_core.errors import SrError
from sr_core.storage import cache_dir
from sr_core.wording import as_argument
from sr_ui.work import Child, arguments_of

SECONDS = 10
_KEPT = 4


@dataclass(kw_only=True)
class Clip:
    """One preview; `folder` holds before.mp4 and after.mp4 once `state` is 'done'."""

    id: str
    folder: Path
    options: dict[str, Any]
    start: Fraction
    state: Literal["running", "done", "failed"] = "running"
    done: int = 0
    total: int = 0
    error: str = ""
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """What a page is told."""
        shown = ("id", "state", "done", "total", "error", "hint")
        return {name: getattr(self, name) for name in shown} | {"start": float(self.start)} | self.options


class Clips:
    """The last few previews; close it to drop them."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._clips: OrderedDict[str, Clip] = OrderedDict()
        self._children: dict[str, Child] = {}
        self._folder = cache_dir("ui", "clips", secrets.token_hex(6))

    def close(self) -> None:
        """Stop what runs and remove all."""
        with self._lock:
            clips = list(self._clips.values())
        for clip in clips:
            self._drop(clip)
        shutil.rmtree(self._folder, ignore_errors=True)

    def find(self, clip_id: str) -> Clip | None:
        """The preview of that id."""
        with self._lock:
            return self._clips.get(clip_id)

    def begin(self, path: Path, options: dict[str, Any], *, start: Fraction) -> Clip:
        """Start a preview; only the newest runs. `options` are those of `srvid`."""
        clip_id = secrets.token_hex(6)
        clip = Clip(id=clip_id, folder=self._folder / clip_id, options=options, start=start)
        clip.folder.mkdir(parents=True)
        with self._lock:
            stale = [other for other in self._clips.values() if other.state == "running"]
            stale += list(self._clips.values())[: max(0, len(self._clips) - _KEPT + 1)]
            self._clips[clip_id] = clip
        for other in stale:
            self._drop(other)
        threading.Thread(target=self._make, args=(clip, path), name="clip", daemon=True).start()
        return clip

    def _make(self, clip: Clip, path: Path) -> None:
        from sr_video.playable import make_playable

        end = clip.start + SECONDS
        try:
            clip.total = make_playable(str(path), clip.folder / "before.mp4", start=clip.start, end=end)
            self._changed()
            self._upscale(clip, path, end)
        except SrError as error:
            clip.state, (clip.error, clip.hint) = "failed", error.as_told(as_argument)
            self._changed()

    def _upscale(self, clip: Clip, path: Path, end: Fraction) -> None:
        made = clip.folder / "upscaled.mkv"
        options = clip.options | {
            "start": f"{float(clip.start):.3f}", "end": f"{float(end):.3f}",
            "codec": "libx264", "crf": 14, "preset": "veryfast", "no_audio": True,
        }  # fmt: skip
        ended = threading.Event()
        codes: list[int] = []

        def end_with(code: int) -> None:
            codes.append(code)
            ended.set()

        child = Child(
            arguments_of("video", [str(path)], str(made), options),
            heard=lambda event: self._heard(clip, event),
            said=lambda line: None,
            ended=end_with,
        )
        with self._lock:
            self._children[clip.id] = child
        ended.wait()
        if codes[0] == 0:
            from sr_video.playable import make_playable

            make_playable(str(made), clip.folder / "after.mp4")
            clip.state = "done"
        else:
            clip.state, clip.error = "failed", clip.error or "the preview was stopped"
        self._changed()

    def _heard(self, clip: Clip, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            clip.done = event["frames"]
        elif event["event"] == "error":
            clip.error, clip.hint = event["message"], event["hint"]
        self._changed()

    def _drop(self, clip: Clip) -> None:
        with self._lock:
            self._clips.pop(clip.id, None)
            child = self._children.pop(clip.id, None)
        if child is not None:
            child.ask_to_stop()
            child.wait(20)
        shutil.rmtree(clip.folder, ignore_errors=True)
