"""The JSON Schemas of the API: what requests may hold, and what answers do."""

from __future__ import annotations

from typing import Any

from sr_core.model_spec import LARGEST_SCALE, LARGEST_SIDE

Schema = dict[str, Any]


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with these keys and no others."""
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def listed(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


TEXT: Schema = {"type": "string"}
PATH: Schema = {"type": "string", "minLength": 1, "maxLength": 4096}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number", "minimum": 0}
MAYBE: Schema = {"type": ["number", "null"]}
FLAG: Schema = {"type": "boolean"}
SCALE: Schema = {"type": "number", "minimum": 1, "maximum": LARGEST_SCALE}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
GRAIN: Schema = {"anyOf": [SHARE, {"const": "keep"}]}
GRAIN_TEXT: Schema = {"type": "string", "pattern": r"^(keep|1|0(\.[0-9]{1,6})?)$"}
SIDE: Schema = {"type": "integer", "minimum": 2, "maximum": LARGEST_SIDE}
_NAME = "[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"
MODEL: Schema = {"type": "string", "pattern": f"^{_NAME}(,{_NAME}){{0,3}}$"}  # a chain: each after the one before
SECONDS: Schema = {"type": "number", "minimum": 0, "maximum": 1_000_000}
WORD: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_]{1,32}$"}
OPTIONS = record(
    {"model": MODEL, "scale": SCALE},
    {
        "strength": SHARE,
        "sharpen": SHARE,
        "grain": GRAIN,
        "steady": FLAG,
        "height": SIDE,
        "codec": WORD,
        "crf": {"type": "number", "minimum": 0, "maximum": 63},
        "preset": WORD,
        "format": WORD,
        "quality": {"type": "integer", "minimum": 1, "maximum": 100},
        "suffix": {"type": "string", "pattern": "^[A-Za-z0-9._ -]{0,40}$"},
        "start": SECONDS,
        "end": SECONDS,
        "no_audio": FLAG,
        "overwrite": FLAG,
    },
)
FILE = record(
    {"id": TEXT, "path": TEXT, "name": TEXT, "kind": {"enum": ["video", "image", "folder"]}},
)
FACTS = {"type": "object", "required": ["file"], "properties": {"file": FILE}}
ESTIMATE = record(
    {
        "frames": MAYBE, "fps": NUMBER, "seconds": MAYBE, "output_bytes": MAYBE, "width": COUNT, "height": COUNT,
        "codec": TEXT, "notes": listed(TEXT), "is_shared": FLAG,
    }
)  # fmt: skip
JOB = {
    "type": "object",
    "required": ["id", "kind", "sources", "target", "options", "state", "done", "total", "notes", "error", "hint"],
    "properties": {
        "state": {"enum": ["waiting", "running", "pausing", "paused", "done", "failed", "cancelled"]},
        "done": COUNT,
        "total": COUNT,
    },
}
WATCH = {
    "type": "object",
    "required": ["source", "target", "is_running", "done", "failed", "now"],
    "properties": {"source": TEXT, "target": TEXT, "is_running": FLAG, "done": COUNT},
}
STATE = {
    "type": "object",
    "required": ["version", "files", "jobs", "models", "roots", "start_folder", "watches"],
    "properties": {"files": listed(FILE), "jobs": listed(JOB), "watches": listed(WATCH)},
}
FOLDER = record(
    {
        "path": TEXT,
        "parent": {"type": ["string", "null"]},
        "roots": listed(TEXT),
        "entries": listed(record({"name": TEXT, "path": TEXT, "kind": TEXT, "bytes": COUNT})),
    }
)
CLIP = {"type": "object", "required": ["id", "state", "done", "total", "error", "hint"]}
