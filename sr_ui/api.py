"""The routes, and OpenAPI made of the very table that serves them: what is documented is what is checked."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sr_core.errors import BadInput, NotAvailable, OutputExists, SrError, StorageError
from sr_core.wording import as_argument

MAX_BODY_BYTES = 1_000_000
Schema = dict[str, Any]
Handler = Callable[["Call"], "Response | Schema | list[Any]"]
StreamHandler = Callable[["Call", Request], Awaitable[Response]]
_STATUS: tuple[tuple[type[SrError], int], ...] = (  # the first that fits
    (OutputExists, 409),
    (StorageError, 507),
    (NotAvailable, 422),
    (BadInput, 422),
)
_PROBLEM: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "hint": {"type": "string"}},
    "required": ["error", "hint"],
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, checked."""

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One line of the API.

    Attributes:
        body, query, answers: JSON Schemas; `answers` may be a media type for what is no JSON.
        streams: gets the request itself: bodies and answers that are not held in memory.
    """

    method: str
    path: str
    summary: str
    handler: Handler | None = None
    body: Schema | None = None
    query: Mapping[str, Schema] = field(default_factory=dict)
    answers: Schema | str = field(default_factory=dict)
    status: int = 200
    streams: StreamHandler | None = None


def answer(content: object, status: int = 200) -> Response:
    """JSON in ASCII: names of files may hold bytes that are no text, which travel as lone surrogates."""
    return Response(json.dumps(content, ensure_ascii=True), status, media_type="application/json")


def problem(status: int, error: str, hint: str = "") -> Response:
    """What went wrong, as every route says it."""
    return answer({"error": error, "hint": hint}, status)


def routes_of(endpoints: tuple[Endpoint, ...]) -> list[Route]:
    """Starlette's routes; one for each path, so that a wrong method is answered 405 with what is allowed."""
    return [Route(entry.path, _endpoint(entry), methods=[entry.method]) for entry in endpoints]


def _endpoint(entry: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        try:
            query = _query(entry, request)
            if entry.streams is not None:
                return await entry.streams(Call(path=request.path_params, query=query, body=None), request)
            body = await _body(request, entry.body)
            assert entry.handler is not None
            found = await run_in_threadpool(entry.handler, Call(path=request.path_params, query=query, body=body))
        except SrError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            return problem(status, *error.as_told(as_argument))
        except HTTPException as error:
            return problem(error.status_code, error.detail)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:  # it was there when it was opened
            return problem(422, f"cannot read {error.filename}: {error.strerror}", "was it moved?")
        return found if isinstance(found, Response) else answer(found, entry.status)

    return respond


async def _body(request: Request, schema: Schema | None) -> Any:
    if schema is None:
        return None
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise HTTPException(413, "the body is too large")
    try:
        body = json.loads(content, parse_constant=_refuse)
    except ValueError as error:
        raise HTTPException(400, "the body is not JSON") from error
    _check(schema, body)
    return body


def _refuse(constant: str) -> float:
    """JSON has no NaN, which would pass every limit (RFC 8259, section 6)."""
    raise ValueError(constant)


def _query(entry: Endpoint, request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, schema in entry.query.items():
        text = request.query_params.get(name)
        if text is None:
            if "default" not in schema:
                raise HTTPException(400, f"{name} is missing")
            found[name] = schema["default"]
            continue
        try:
            value = _READERS.get(schema["type"], str)(text)
        except ValueError as error:
            raise HTTPException(400, f"{name} is not a {schema['type']}") from error
        _check(schema, value)
        found[name] = value
    return found


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


_READERS: dict[str, Callable[[str], Any]] = {"number": _number, "integer": int}


def _check(schema: Schema, value: Any) -> None:
    from jsonschema import Draft202012Validator  # a tenth of a second, which the first page need not wait for

    for fault in Draft202012Validator(schema).iter_errors(value):
        where = ".".join(str(part) for part in fault.absolute_path)
        raise HTTPException(400, f"{where or 'the request'}: {fault.message}"[:500])


def openapi(endpoints: tuple[Endpoint, ...], version: str) -> Schema:
    """The document of all `endpoints`."""
    paths: Schema = {}
    for entry in endpoints:
        paths.setdefault(entry.path, {})[entry.method.lower()] = _operation(entry)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "srvid",
            "version": version,
            "description": "The server of `srkit ui`. Send the token that it prints as `Authorization: Bearer TOKEN`.",
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": _PROBLEM},
        },
        "security": [{"token": []}],
        "paths": paths,
    }


def _operation(entry: Endpoint) -> Schema:
    problem_of = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    media, schema = (entry.answers, {}) if isinstance(entry.answers, str) else ("application/json", entry.answers)
    names = [part[1:-1] for part in entry.path.split("/") if part.startswith("{")]
    operation: Schema = {
        "summary": entry.summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names),
            *(
                {"name": name, "in": "query", "required": "default" not in schema, "schema": schema}
                for name, schema in entry.query.items()
            ),
        ],
        "responses": {
            str(entry.status): {"description": "done", "content": {media: {"schema": schema}}},
            **{
                str(code): {"description": text, "content": problem_of}
                for code, text in (
                    (400, "not what this route takes"), (404, "nothing of that id"), (409, "it is there already"),
                    (413, "too large"), (422, "it cannot be done, and why"), (507, "the disk is full or read-only"),
                )
            },
            "401": {"description": "no token", "content": {"text/plain": {}}},
            "403": {"description": "another host or page asks", "content": {"text/plain": {}}},
        },
    }  # fmt: skip
    if entry.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": entry.body}}}
    return operation
