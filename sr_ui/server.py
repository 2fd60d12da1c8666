"""One server: its address, its life, its end.

The socket is bound first, so that the port is known before anything is said. It ends by Ctrl-C,
by SIGTERM, or when no page has been open and nothing has been running for a while.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from sr_core.errors import Locked, StorageError
from sr_core.storage import cache_path, file_lock
from sr_ui.api import answer, openapi, routes_of
from sr_ui.clips import Clips
from sr_ui.endpoints import endpoints_of
from sr_ui.guard import Guard, new_token
from sr_ui.handlers import Handlers
from sr_ui.library import Library
from sr_ui.looks import Looks
from sr_ui.queue import Queue

_HOST = "127.0.0.1"
_LOCK_SECONDS = 3.0  # the one before may be ending
_IDLE_CHECK_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How a server is started.

    Attributes:
        paths: opened at the start.
        roots: folders, beside the home and the current one, that may be touched.
        port: 0 takes a free one.
        idle_seconds: it ends after so long without a page or a job; None: never.
    """

    paths: tuple[Path, ...] = ()
    roots: tuple[Path, ...] = ()
    port: int = 0
    opens_browser: bool = True
    idle_seconds: float | None = 1800
    token: str = field(default_factory=new_token, repr=False)


def serve(options: ServerOptions, say: Callable[[str], None]) -> None:
    """Serve until the end.

    Args:
        say: gets the address, once it answers.

    Raises:
        Locked: another one of this user's runs, and has the queue.
        SrError: the port is taken, or a path cannot be opened.
    """
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(cache_path("ui", "lock"), timeout_seconds=_LOCK_SECONDS))
        except Locked as error:
            hint = "open its page, or end it there by Ctrl-C"
            raise Locked("`srkit ui` runs already, and has the queue", hint=hint) from error
        _serve(options, say)


def _serve(options: ServerOptions, say: Callable[[str], None]) -> None:
    listener = _bind(options.port)
    port = listener.getsockname()[1]
    address = f"http://{_HOST}:{port}/?token={options.token}"
    app, handlers = make_app(options, port)
    config = uvicorn.Config(app, log_level="error", lifespan="on", access_log=False, timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").addFilter(_is_told)
    threading.Thread(target=_announce, args=(server, address, options, say), daemon=True).start()
    threading.Thread(target=_end_when_idle, args=(server, handlers, options), daemon=True).start()
    with listener:
        server.run(sockets=[listener])


def make_app(options: ServerOptions, port: int) -> tuple[Guard, Handlers]:
    """The application, and the state it serves; its lifespan begins and ends the work."""
    roots = [Path.home(), Path.cwd(), *options.roots]
    roots += [path if path.is_dir() else path.parent for path in map(Path.absolute, options.paths)]
    library = Library(roots)
    for path in options.paths:
        library.open(path)
    box: list[Handlers] = []
    queue = Queue(cache_path("ui", "queue.json"), changed=lambda: box[0].changed())
    clips = Clips(changed=lambda: box[0].changed())
    looks = Looks()
    start_folder = options.paths[0].absolute().parent if options.paths else Path.cwd()
    handlers = Handlers(library, queue, looks, clips, start_folder=start_folder)
    box.append(handlers)
    endpoints = endpoints_of(handlers)

    @asynccontextmanager
    async def life(app: Starlette) -> Any:
        queue.start()
        yield
        await asyncio.to_thread(queue.stop)
        await asyncio.to_thread(clips.close)
        await asyncio.to_thread(looks.close)

    with as_file(files("sr_ui") / "page") as page:
        folder = page

    async def index(request: Request) -> Response:
        return FileResponse(folder / "index.html", headers={"Cache-Control": "no-cache"})

    async def schema(request: Request) -> Response:
        from srvid import __version__

        return answer(openapi(endpoints, __version__))

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/openapi.json", schema),
            *routes_of(endpoints),
            Mount("/page", StaticFiles(directory=folder)),
        ],
        lifespan=life,
    )
    return Guard(app, token=options.token, port=port), handlers


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if hasattr(socket, "SO_REUSEADDR") and port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        raise StorageError(f"port {port} cannot be had: {error.strerror}", hint="leave --port out") from error
    return listener


def _announce(server: uvicorn.Server, address: str, options: ServerOptions, say: Callable[[str], None]) -> None:
    while not server.started:
        if server.should_exit:
            return
        time.sleep(0.01)
    say(address)
    if options.opens_browser:
        webbrowser.open(address)


def _end_when_idle(server: uvicorn.Server, handlers: Handlers, options: ServerOptions) -> None:
    last = time.monotonic()
    while not server.should_exit:
        time.sleep(_IDLE_CHECK_SECONDS)
        if handlers.listeners or handlers.queue.is_busy:
            last = time.monotonic()
        elif options.idle_seconds is not None and time.monotonic() - last > options.idle_seconds:
            server.should_exit = True
    handlers.is_ending = True
    handlers.looks.let_go()


def _is_told(record: logging.LogRecord) -> bool:
    """Not that a request was cut short by the end: the page that asked says so."""
    cause = record.exc_info[1] if record.exc_info else None
    return not isinstance(cause, asyncio.CancelledError) and not str(record.msg).startswith("Cancel %s running")
