"""The whole API as one table: every route, what it takes and what it answers."""

from __future__ import annotations

from sr_core.model_spec import LARGEST_SIDE
from sr_ui import schemas as s
from sr_ui.api import Endpoint
from sr_ui.handlers import Handlers


def endpoints_of(handlers: Handlers) -> tuple[Endpoint, ...]:
    """The whole API."""
    h = handlers
    look = {
        "seconds": s.SECONDS | {"default": 0.0},
        "model": s.MODEL | {"default": "source"},
        "scale": s.SCALE | {"default": 2},
        "strength": s.SHARE | {"default": 1},
        "sharpen": s.SHARE | {"default": 0},
        "grain": s.GRAIN_TEXT | {"default": "0"},
        "width": s.SIDE | {"default": LARGEST_SIDE},
    }
    engine = s.record(
        {"model": s.MODEL, "scale": s.SCALE, "start": s.SECONDS},
        {"strength": s.SHARE, "sharpen": s.SHARE, "grain": s.GRAIN, "steady": s.FLAG},
    )
    action = s.record(
        {"action": {"enum": ["pause", "resume", "replace", "cancel", "move"]}}, {"place": s.COUNT | {"maximum": 10_000}}
    )
    new_job = s.record(
        {"sources": s.listed(s.PATH) | {"minItems": 1, "maxItems": 1000}, "options": s.OPTIONS}, {"target": s.PATH}
    )
    name = {"name": {"type": "string", "minLength": 1, "maxLength": 255}}
    get, post, drop = "GET", "POST", "DELETE"
    return (
        Endpoint(method=get, path="/api/state", summary="Files, jobs, models", handler=h.state, answers=s.STATE),
        Endpoint(
            method=get,
            path="/api/events",
            summary="The state, whenever it changes",
            streams=h.events,
            answers="text/event-stream",
        ),
        Endpoint(
            method=post,
            path="/api/folder",
            summary="What lies in a folder",
            handler=h.folder,
            body=s.record({"path": s.PATH}),
            answers=s.FOLDER,
        ),
        Endpoint(
            method=post,
            path="/api/files",
            summary="Open a file or folder where it lies",
            handler=h.open_file,
            body=s.record({"path": s.PATH}, {"aside": s.FLAG}),
            answers=s.FILE,
        ),
        Endpoint(
            method=post,
            path="/api/files/locate",
            summary="Find a dropped file by its name and size, a folder by its name and what it holds",
            handler=h.locate,
            body=s.record(
                {"name": s.PATH, "size": s.COUNT},
                {"folder": s.PATH, "holds": s.listed(s.PATH) | {"minItems": 1, "maxItems": 100}},
            ),
            answers=s.record({"path": {"type": ["string", "null"]}}),
        ),
        Endpoint(
            method="PUT",
            path="/api/uploads",
            summary="Send a small file that lies elsewhere",
            streams=h.upload,
            query=name,
            answers=s.FILE,
            status=201,
        ),
        Endpoint(
            method=get,
            path="/api/files/{id}",
            summary="What a file is, and what suits it",
            handler=h.facts,
            answers=s.FACTS,
        ),
        Endpoint(
            method=drop,
            path="/api/files/{id}",
            summary="Close a file; it stays where it is",
            handler=h.close_file,
            answers=s.FILE,
        ),
        Endpoint(
            method=get,
            path="/api/files/{id}/strip",
            summary="Moments of a video, and the busiest",
            handler=h.strip,
            answers=s.record(
                {"frames": s.listed(s.record({"seconds": s.NUMBER})), "busiest": {"type": ["integer", "null"]}}
            ),
        ),
        Endpoint(
            method=get,
            path="/api/files/{id}/strip/{number}",
            summary="One of them, small",
            handler=h.strip_picture,
            answers="image/jpeg",
        ),
        Endpoint(
            method=get,
            path="/api/files/{id}/sheet/{number}",
            summary="An image of a folder, small",
            handler=h.sheet_picture,
            answers="image/jpeg",
        ),
        Endpoint(
            method=get,
            path="/api/files/{id}/thumbnail",
            summary="An image, small",
            handler=h.thumbnail,
            answers="image/jpeg",
        ),
        Endpoint(
            method=get,
            path="/api/files/{id}/frame",
            summary="A frame by a model, lossless; a wider one is reduced to `width`",
            handler=h.frame,
            query=look,
            answers="image/png",
        ),
        Endpoint(
            method=post,
            path="/api/files/{id}/estimates",
            summary="Measure two seconds: speed, time, bytes",
            handler=h.estimate,
            body=s.OPTIONS,
            answers=s.ESTIMATE,
        ),
        Endpoint(
            method=post,
            path="/api/files/{id}/clips",
            summary="Begin a moving preview of ten seconds",
            handler=h.begin_clip,
            body=engine,
            answers=s.CLIP,
            status=201,
        ),
        Endpoint(method=get, path="/api/clips/{id}", summary="How far a preview is", handler=h.clip, answers=s.CLIP),
        Endpoint(
            method=get,
            path="/api/clips/{id}/{side}",
            summary="before or after",
            handler=h.clip_video,
            answers="video/mp4",
        ),
        Endpoint(method=get, path="/api/jobs", summary="The queue", handler=h.jobs, answers=s.listed(s.JOB)),
        Endpoint(
            method=post,
            path="/api/jobs",
            summary="Queue a video, or images",
            handler=h.add_job,
            body=new_job,
            answers=s.JOB,
            status=201,
        ),
        Endpoint(method=get, path="/api/jobs/{id}", summary="One job", handler=h.job, answers=s.JOB),
        Endpoint(
            method=post,
            path="/api/jobs/{id}",
            summary="Pause, resume, cancel or move a job; let it replace the output that is in its way",
            handler=h.change_job,
            body=action,
            answers=s.JOB,
        ),
        Endpoint(
            method=drop, path="/api/jobs/{id}", summary="Take a job off the list", handler=h.remove_job, answers=s.JOB
        ),
        Endpoint(
            method=get,
            path="/api/jobs/{id}/log",
            summary="What its command said",
            handler=h.log,
            answers=s.record({"lines": s.listed(s.TEXT)}),
        ),
        Endpoint(
            method=get,
            path="/api/jobs/{id}/events",
            summary="The events of `srvid --json`, one a line, until the job is over; of those before the last 400",
            streams=h.job_events,
            answers="application/x-ndjson",
        ),
        Endpoint(
            method=post,
            path="/api/jobs/{id}/reveal",
            summary="Show the output's folder on this machine",
            handler=h.reveal,
            body=s.record({}),
            answers=s.record({"code": {"type": "integer"}}),
        ),
        Endpoint(
            method=get,
            path="/api/jobs/{id}/segments",
            summary="How much can be watched already",
            handler=h.segments,
            answers=s.record({"playable": s.COUNT, "seconds": s.NUMBER, "segments": s.COUNT}),
        ),
        Endpoint(
            method=get,
            path="/api/jobs/{id}/segments/{number}",
            summary="A finished segment, as browsers play it",
            handler=h.segment_video,
            answers="video/mp4",
        ),
    )
