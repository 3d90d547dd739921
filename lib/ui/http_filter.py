"""The filter before every route: own origin only, no metrics, and a cookie that names the browser.

Streamlit accepts a socket from any port of this machine, so the origin is checked here. Knows
nothing of sessions or rights.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from lib.ui import first_page

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BROWSER: Final = "aggregator_browser"
NO_STORE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of the responses of our own routes."""

_METRICS: Final = "/_stcore/metrics"
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "*"})  # noqa: S104
_OWN: Final = ("same-origin", "none")
_POLICY_VIOLATION: Final = 1008


def base_path() -> str:
    """The path that all addresses of the server begin with; usually empty."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


def middleware() -> list[Middleware]:
    """The middleware around every response."""
    return [Middleware(_Filter)]


class _Filter:
    """Refuses foreign origins and the metrics; completes the page that starts the client."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not own_origin(Headers(scope=scope)):
            # Closed before it is accepted: the browser gets a 403.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        if scope["path"].rstrip("/").endswith(_METRICS):
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
        elif not own_origin(request.headers):
            await PlainTextResponse("Forbidden", status_code=403)(scope, receive, send)
        elif first_page.asked_for(scope):
            send = first_page.rewriting(scope, _with_cookie(request, send))
            await self._app(first_page.plainly(scope), receive, send)
        else:
            await self._app(scope, receive, send)


def own_origin(headers: Headers) -> bool:
    """True where a request comes from a page of this server, or from no page at all.

    Another page may link to this one, but not read from it. Behind a proxy that replaces the host,
    the names of `server.allowedHosts` and the origins of `server.corsAllowedOrigins` count as own.
    """
    origin = headers.get("Origin")
    if origin is None:
        site, mode = headers.get("Sec-Fetch-Site"), headers.get("Sec-Fetch-Mode")
        return site is None or site in _OWN or mode == "navigate"
    if origin in st.get_option("server.corsAllowedOrigins"):
        return True
    try:
        url = urlsplit(origin)
        host = urlsplit(f"{url.scheme}://{headers.get('Host', '')}")
        port, own_port = url.port, host.port
    except ValueError:
        return False
    if url.scheme not in _PORTS or not url.hostname:
        return False
    if url.hostname == host.hostname:
        default = _PORTS[url.scheme]
        return (port or default) == (own_port or default)
    names = {name.lower() for name in st.get_option("server.allowedHosts")} - _LOOPBACK
    return url.hostname in names


def _with_cookie(request: HTTPConnection, send: Send) -> Send:
    """Add the browser's cookie to the first page that it opens."""
    if BROWSER in request.cookies:
        return send
    secure = "; Secure" if request.scope["scheme"] == "https" else ""
    # Lax: a browser that follows a link of another site must send its cookie; a new one would
    # invalidate the links of its open pages.
    cookie = f"{BROWSER}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Lax{secure}"

    async def send_with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("Set-Cookie", cookie)
        await send(message)

    return send_with_cookie
