"""Who may ask: this user's browser and scripts, nobody else.

    Host     must be ours: a name that an attacker points at 127.0.0.1 is refused (DNS rebinding)
    Origin   must be ours where a browser sends one: no other page may post here
    token    in the cookie that the first address sets, or as `Authorization: Bearer …`

Cookies are shared by all ports of a host, so the cookie's name holds the port.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the first address holds the token
    "X-Content-Type-Options": "nosniff",
}
_TOKEN_BYTES = 24
_CHANGELESS = ("GET", "HEAD")
NO_TOKEN = "this address needs its token: open the one that `srkit ui` printed"


def new_token() -> str:
    """Nobody guesses it."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Guard:
    """Lets through what comes from this user; everything else gets 401 or 403."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"srvid-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no WebSocket is served: the server answers 403 by itself

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self._answer(scope) or self._app
        await app(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> ASGIApp | None:
        """What ends this request here; None lets it through."""
        headers = Headers(scope=scope)
        if headers.get("host") not in self._hosts:
            return PlainTextResponse("this server answers to 127.0.0.1 only", status_code=403)
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self._hosts}:
            return PlainTextResponse("another page may not ask here", status_code=403)
        if scope["path"] == "/" and (given := parse_qs(scope["query_string"].decode("latin-1")).get("token")):
            return self._enter(given[0])
        if self._is_same(headers.get("authorization", "").removeprefix("Bearer ")):
            return None
        if not self._is_same(self._token_in_cookie(headers.get("cookie", ""))):
            return PlainTextResponse(NO_TOKEN, status_code=401)
        if origin is None and scope["method"] not in _CHANGELESS:  # browsers name it with every change
            return PlainTextResponse("a change needs an Origin, or the token as Authorization", status_code=403)
        return None

    def _enter(self, given: str) -> ASGIApp:
        """Take the token out of the address, where history and screenshots would keep it."""
        if not self._is_same(given):
            return PlainTextResponse(NO_TOKEN, status_code=401)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _token_in_cookie(self, text: str) -> str:
        try:
            found = SimpleCookie(text).get(self._cookie)
        except CookieError:
            return ""
        return found.value if found is not None else ""

    def _is_same(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), self._token.encode())
