"""Hands a finished workbook to the browser whose session exported it, streamed from disk.

Owns the link: it lasts a minute, is signed with a key that only this process has, and serves one
session, while it lasts, in the browser it was made for and under the same sign-in. A browser is
told apart by a cookie that no script reads. Says nothing of a file to who has no such link.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from lib.dashboard.export_queue import Exports

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lib.dashboard.export_queue import Export

EXPORTS: Final = Exports()
LIFE_SECONDS: Final = 60
BROWSER: Final = "aggregator_browser"
MIME: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_SIGN_IN: Final = "_streamlit_user"
_KEY: Final = secrets.token_bytes(32)
_PLACE: Final = "planilha"
# Told outside of any session, so in the language of the report.
_GONE: Final = "Este link não vale mais: volte ao painel e peça a planilha de novo."
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # A workbook is compressed already; unsaid, the server would do it again.
    "Content-Encoding": "identity",
}


def link(version: str, name: str) -> str:
    """An address that gives this session the workbook of a data set, under this file name."""
    context = get_script_run_ctx()
    ticket = {
        "version": version,
        "name": name,
        "session": context.session_id if context else "",
        "until": time.time() + LIFE_SECONDS,
    }
    text = base64.urlsafe_b64encode(json.dumps(ticket).encode()).decode()
    return f"{_base()}/{_PLACE}/{text}.{_signature(text, st.context.cookies.to_dict())}"


def routes() -> list[Route]:
    """What the server adds to Streamlit's own addresses."""
    return [Route(f"{_base()}/{_PLACE}/{{ticket}}", _serve, methods=["GET"])]


def middleware() -> list[Middleware]:
    """What the server puts around every answer."""
    return [Middleware(_BrowserCookie)]


def _base() -> str:
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


def _serve(request: Request) -> Response:
    ticket = _checked(request.path_params["ticket"], request.cookies)
    export = EXPORTS.find(str(ticket["version"])) if ticket else None
    workbook = _finished(export) if export else None
    if ticket is None or workbook is None:
        return PlainTextResponse(_GONE, status_code=403, headers={"Cache-Control": "no-store"})
    return FileResponse(workbook, media_type=MIME, filename=ticket["name"], headers=_HEADERS)


def _finished(export: Export) -> Path | None:
    """The export's file, if it is done and has not made way for later ones."""
    if not export.future.done() or export.future.exception():
        return None
    path = export.future.result().path
    return path if path.exists() else None


def _checked(sent: str, cookies: Mapping[str, str]) -> dict[str, Any] | None:
    """What the ticket says, if it is ours, of this browser, and still holds."""
    text, _, signature = sent.partition(".")
    if BROWSER not in cookies or not hmac.compare_digest(
        signature.encode(), _signature(text, cookies).encode()
    ):
        return None
    try:
        ticket: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValueError):
        return None
    alive = Runtime.instance().is_active_session(str(ticket["session"]))
    return ticket if alive and time.time() <= ticket["until"] else None


def _signature(text: str, cookies: Mapping[str, str]) -> str:
    # A long sign-in is spread over several cookies of one beginning.
    signed_in = sorted((n, v) for n, v in cookies.items() if n.startswith(_SIGN_IN))
    bound = json.dumps([text, cookies.get(BROWSER), signed_in])
    return hmac.new(_KEY, bound.encode(), hashlib.sha256).hexdigest()


class _BrowserCookie:
    """Gives a browser that opens a page a cookie of its own, until it is closed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _opens_a_page(Request(scope)):
            await self._app(scope, receive, send)
            return
        secure = "; Secure" if scope["scheme"] == "https" else ""
        # Lax: opened by a link of another site, a browser that has one is to send it, not be given
        # another in whose place the links of its open pages end.
        cookie = f"{BROWSER}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Lax{secure}"

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Set-Cookie", cookie)
            await send(message)

        await self._app(scope, receive, with_cookie)


def _opens_a_page(request: Request) -> bool:
    return BROWSER not in request.cookies and "text/html" in request.headers.get("Accept", "")
