"""What each route does: find what is meant, call the part that knows, answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from sr_core.errors import BadInput
from sr_core.grain import check_grain
from sr_core.storage import storage_error, temporary_beside
from sr_ui.api import Call, answer
from sr_ui.clips import Clip, Clips
from sr_ui.library import MAX_UPLOAD_BYTES, Library, Opened
from sr_ui.looks import Asked, Looks, exact
from sr_ui.queue import OVER, Job, Queue, as_json, segment_seconds
from sr_ui.suggested import facts_of, images_of, models_here, suggest_target
from sr_ui.watch import watches
from srvid.recipe import check_steady

_TICK_SECONDS = 0.2
_KEEPALIVE_TICKS = 50
_STRIP_FRAMES, _STRIP_WIDTH = 14, 160
_MAX_SHEET = 500
_MAX_THUMBNAIL_PIXELS = 200_000_000


class Handlers:
    """The state of one server, and its routes."""

    def __init__(self, library: Library, queue: Queue, looks: Looks, clips: Clips, *, start_folder: Path) -> None:
        self.library, self.queue, self.looks, self.clips = library, queue, looks, clips
        self.start_folder = start_folder
        self.version = 0  # rises with every change; pages wait for it
        self.listeners = 0
        self.is_ending = False  # pages that listen are let go
        self._strips: dict[str, list[Any]] = {}
        self._sheets: dict[str, list[Path]] = {}  # the images that a page numbers
        self._clipping = threading.Lock()

    def changed(self) -> None:
        """Something that pages show is different now."""
        self.version += 1

    # state ------------------------------------------------------------------------------------

    def state(self, call: Call) -> dict[str, Any]:
        """Everything a page shows at first."""
        from srvid import __version__

        return {
            "version": __version__,
            "files": [_file(opened) for opened in self.library.all()],
            "jobs": self.queue.jobs(),
            "models": models_here(),
            "watches": watches(),
            "roots": [str(root) for root in self.library.roots],
            "start_folder": str(self.start_folder),
        }

    async def events(self, call: Call, request: Request) -> Response:
        """The state, again whenever it changes, as server-sent events."""
        return StreamingResponse(self._events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _events(self) -> AsyncIterator[bytes]:
        self.listeners += 1
        seen, quiet = -1, 0
        try:
            while not self.is_ending:
                if seen != self.version or quiet >= _KEEPALIVE_TICKS:
                    seen, quiet = self.version, 0
                    state = await asyncio.to_thread(self.state, Call(path={}, query={}, body=None))
                    yield b"data: " + json.dumps(state, ensure_ascii=True).encode() + b"\n\n"
                quiet += 1
                await asyncio.sleep(_TICK_SECONDS)
        finally:
            self.listeners -= 1

    # files ------------------------------------------------------------------------------------

    def folder(self, call: Call) -> dict[str, Any]:
        path = self.library.inside(call.body["path"])
        is_root = Path(os.path.realpath(path)) in self.library.roots
        return {
            "path": str(path),
            "parent": None if is_root else str(path.parent),
            "roots": [str(root) for root in self.library.roots],
            "entries": [asdict(entry) | {"path": str(entry.path)} for entry in self.library.entries(path)],
        }

    def open_file(self, call: Call) -> dict[str, Any]:
        opened = self.library.open(call.body["path"], is_aside=call.body.get("aside", False))
        self.changed()
        return _file(opened)

    def locate(self, call: Call) -> dict[str, Any]:
        folders = [self.library.inside(call.body["folder"])] if "folder" in call.body else []
        if "holds" in call.body:
            found = self.library.locate_folder(call.body["name"], call.body["holds"], folders)
        else:
            found = self.library.locate(call.body["name"], call.body["size"], folders)
        return {"path": None if found is None else str(found)}

    async def upload(self, call: Call, request: Request) -> Response:
        """A dropped file that lies nowhere the server would look; written as it comes, never held."""
        size = request.headers.get("content-length", "")
        if not size.isdecimal():
            raise HTTPException(411, "the length is missing")
        path = await asyncio.to_thread(self.library.path_of_drop, call.query["name"], int(size))
        part, digest = temporary_beside(path), hashlib.blake2b(digest_size=8)
        try:
            with open(part, "wb") as file:
                received = 0
                async for chunk in request.stream():
                    received += len(chunk)
                    if received > MAX_UPLOAD_BYTES:
                        raise BadInput("the file is too large to be sent", hint="give its path instead")
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            path = path.parent / digest.hexdigest() / path.name  # another file of that name may be at work
            path.parent.mkdir(exist_ok=True)
            part.replace(path)
        except OSError as error:
            raise storage_error(error, path, "cannot write") from error
        finally:
            part.unlink(missing_ok=True)
        opened = self.library.open(path)
        self.changed()
        return answer(_file(opened), 201)

    def facts(self, call: Call) -> dict[str, Any]:
        opened = self._opened(call)
        found = facts_of(opened, sheet=_MAX_SHEET)
        if opened.kind == "folder":
            self._sheets[opened.id] = [Path(path) for path in found["images"]]
        return {"file": _file(opened)} | found

    def close_file(self, call: Call) -> dict[str, Any]:
        opened = self._opened(call)
        self.library.close(opened.id)
        self._strips.pop(opened.id, None)
        self._sheets.pop(opened.id, None)
        self.changed()
        return _file(opened)

    def strip(self, call: Call) -> dict[str, Any]:
        opened = self._opened(call, kind="video")
        samples = self._samples(opened)
        busiest = max(range(len(samples)), key=lambda index: samples[index].detail) if samples else None
        return {"frames": [{"seconds": sample.seconds} for sample in samples], "busiest": busiest}

    def strip_picture(self, call: Call) -> Response:
        samples = self._samples(self._opened(call, kind="video"))
        return _jpeg(samples[_number(call, len(samples), "no such picture")].picture)

    def _samples(self, opened: Opened) -> list[Any]:
        from sr_video.still import sample_video

        if opened.id not in self._strips:
            self._strips[opened.id] = sample_video(str(opened.path), count=_STRIP_FRAMES, width=_STRIP_WIDTH)
        return self._strips[opened.id]

    def thumbnail(self, call: Call) -> Response:
        """A small picture of an image."""
        return _thumbnail(self._opened(call, kind="image").path)

    def sheet_picture(self, call: Call) -> Response:
        """One image of a folder's contact sheet, small."""
        opened = self._opened(call, kind="folder")
        if opened.id not in self._sheets:
            self._sheets[opened.id] = images_of(opened.path)[:_MAX_SHEET]
        paths = self._sheets[opened.id]
        return _thumbnail(self.library.inside(paths[_number(call, len(paths), "no such image")]))

    def frame(self, call: Call) -> Response:
        opened = self._opened(call)
        if opened.kind == "folder":
            raise BadInput("a folder has no picture", hint="choose a file in it")
        query = call.query
        asked = Asked(
            path=opened.path, kind=opened.kind, model=query["model"], scale=exact(query["scale"]),
            seconds=Fraction(query["seconds"]).limit_denominator(1_000_000),
            strength=float(query["strength"]), sharpen=float(query["sharpen"]), grain=check_grain(query["grain"]),
            width=query["width"],
        )  # fmt: skip
        found = self.looks.look(asked)
        headers = {
            "X-Seconds": f"{found.seconds:.6f}", "X-Engine-Seconds": f"{found.engine_seconds:.6f}",
            "X-Size": f"{found.width}x{found.height}", "Cache-Control": "private, max-age=600",
        }  # fmt: skip
        return Response(found.png, media_type="image/png", headers=headers)

    def estimate(self, call: Call) -> dict[str, Any]:
        opened = self._opened(call, kind="video")
        _check(call.body)
        target = suggest_target(opened.path, call.body)
        is_shared = self.queue.is_busy
        return self.looks.estimate(opened.path, target, call.body) | {"is_shared": is_shared}

    # clips ------------------------------------------------------------------------------------

    def begin_clip(self, call: Call) -> dict[str, Any]:
        opened = self._opened(call, kind="video")
        body = call.body
        start = Fraction(body["start"]).limit_denominator(1000)
        options = {name: value for name, value in body.items() if name != "start"}
        _check(options)
        return self.clips.begin(opened.path, options, start=start).as_json()

    def clip(self, call: Call) -> dict[str, Any]:
        return self._clip(call).as_json()

    def clip_video(self, call: Call) -> Response:
        side = call.path["side"]
        path = self._clip(call).folder / f"{side}.mp4"
        if side not in ("before", "after") or not path.is_file():
            raise HTTPException(404, "not there yet")
        return FileResponse(path, media_type="video/mp4")

    def _clip(self, call: Call) -> Clip:
        found = self.clips.find(call.path["id"])
        if found is None:
            raise HTTPException(404, "no such preview")
        return found

    # jobs -------------------------------------------------------------------------------------

    def jobs(self, call: Call) -> list[dict[str, Any]]:
        return self.queue.jobs()

    def add_job(self, call: Call) -> dict[str, Any]:
        body = call.body
        sources = [self.library.open(path, is_aside=True) for path in body["sources"]]
        kinds = {"video" if opened.kind == "video" else "images" for opened in sources}
        if len(kinds) != 1 or (kinds == {"video"} and len(sources) != 1):
            raise BadInput("a job has one video, or images and folders of them", hint="add one job for each video")
        options = dict(body["options"])
        _check(options)
        if kinds == {"video"}:
            target = body.get("target") or str(suggest_target(sources[0].path, options))
            options["segment"] = segment_seconds(facts_of(sources[0], sheet=0)["advice"]["seconds"])
            job = self.queue.add("video", [str(sources[0].path)], str(self.library.inside(target)), options)
        else:
            target = body.get("target") or str(suggest_target(sources[0].path, options))
            paths = [str(opened.path) for opened in sources]
            job = self.queue.add("images", paths, str(self.library.inside(target)), options)
        return as_json(job)

    def job(self, call: Call) -> dict[str, Any]:
        return as_json(self._job(call))

    def log(self, call: Call) -> dict[str, Any]:
        return {"lines": self._job(call).log}

    async def job_events(self, call: Call, request: Request) -> Response:
        """What its command said as events: those it has said, then each as it comes, until the job is over."""
        return StreamingResponse(self._job_events(self._job(call)), media_type="application/x-ndjson")

    async def _job_events(self, job: Job) -> AsyncIterator[bytes]:
        self.listeners += 1
        sent = 0
        try:
            while not self.is_ending:
                is_over = job.state in OVER  # asked before: what it said until then is sent
                for number, event in list(job.events):
                    if number > sent:
                        sent = number
                        yield json.dumps(event, ensure_ascii=True).encode() + b"\n"
                if is_over:
                    break
                await asyncio.sleep(_TICK_SECONDS)
        finally:
            self.listeners -= 1

    def change_job(self, call: Call) -> dict[str, Any]:
        job, action = self._job(call), call.body["action"]
        if action == "move":
            self.queue.move(job, call.body.get("place", 0))
        else:
            getattr(self.queue, action)(job)
        return as_json(job)

    def remove_job(self, call: Call) -> dict[str, Any]:
        job = self._job(call)
        self.queue.remove(job)
        return as_json(job)

    def reveal(self, call: Call) -> dict[str, Any]:
        """Show the output in the system's own file browser."""
        import click

        job = self._job(call)
        if not Path(job.target).exists():
            raise BadInput(f"{job.target} is not there", hint="has the job finished?")
        return {"code": click.launch(job.target, locate=True)}

    def segments(self, call: Call) -> dict[str, Any]:
        """What can be watched while the job runs."""
        from sr_video.segments.job import WorkFolder

        job = self._job(call)
        folder = WorkFolder.of(Path(job.target))
        if job.kind != "video" or not folder.manifest_path.exists():
            return {"playable": 0, "seconds": 0.0, "segments": 0}
        found = folder.state()
        return {
            "playable": len(found.playable),
            "seconds": float(found.playable_seconds),
            "segments": len(found.manifest.segments),
        }

    def segment_video(self, call: Call) -> Response:
        from sr_core.storage import cache_dir
        from sr_video.playable import make_playable
        from sr_video.segments.job import WorkFolder

        job = self._job(call)
        folder = WorkFolder.of(Path(job.target))
        playable = folder.state().playable if folder.manifest_path.exists() else ()
        number = _number(call, len(playable), "not there yet")
        clip = cache_dir("ui", "segments", job.id) / f"{number}.mp4"
        with self._clipping:  # two pages may ask for one at the same time
            if not clip.exists():
                make_playable(str(playable[number]), clip, is_wanted=lambda: not self.is_ending)
        return FileResponse(clip, media_type="video/mp4")

    def _job(self, call: Call) -> Job:
        found = self.queue.find(call.path["id"])
        if found is None:
            raise HTTPException(404, "no such job")
        return found

    def _opened(self, call: Call, *, kind: str | None = None) -> Opened:
        found = self.library.find(call.path["id"])
        if found is None:
            raise HTTPException(404, "no such file is open")
        if kind is not None and found.kind != kind:
            raise BadInput(f"that is no {kind}", hint=f"open a {kind}")
        return found


def _check(options: dict[str, Any]) -> None:
    """What the command would refuse is refused before it waits for its turn."""
    check_steady(options.get("steady", False), options.get("grain", 0.0))


def _file(opened: Opened) -> dict[str, Any]:
    return {
        "id": opened.id,
        "path": str(opened.path),
        "name": opened.path.name or str(opened.path),
        "kind": opened.kind,
    }


def _number(call: Call, count: int, fault: str) -> int:
    number = call.path["number"]
    if not number.isdecimal() or len(number) > 6 or int(number) >= count:
        raise HTTPException(404, fault)
    return int(number)


def _thumbnail(path: Path) -> Response:
    from PIL import Image

    from sr_image.view import to_rgb8

    picture = Image.fromarray(to_rgb8(path, max_pixels=_MAX_THUMBNAIL_PIXELS))
    picture.thumbnail((320, 320))
    return _jpeg(picture)


def _jpeg(picture: Any) -> Response:
    import io

    from PIL import Image

    content = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.convert("RGB").save(content, format="JPEG", quality=85)
    return Response(content.getvalue(), media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})
