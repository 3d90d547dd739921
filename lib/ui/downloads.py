"""Downloads: finished workbooks, streamed from disk to the browser whose session exported them.

Owns the links. A link lasts a minute, is signed with a key of this process, and is valid for one
live session, in the browser it was made for and under the same sign-in. Browsers are told apart by
an HttpOnly cookie. A request without a valid link learns nothing about a file.
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
_PATH: Final = "planilha"
# Shown outside of any session, so in the language of the report.
GONE: Final = "Este link não vale mais: volte ao painel e peça a planilha de novo."
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # A workbook is compressed already; without this, the server would compress it again.
    "Content-Encoding": "identity",
}


def link(version: str, name: str) -> str:
    """An address where this session downloads the workbook of a data set under this file name."""
    context = get_script_run_ctx()
    ticket = {
        "version": version,
        "name": name,
        "session": context.session_id if context else "",
        "until": time.time() + LIFE_SECONDS,
    }
    text = base64.urlsafe_b64encode(json.dumps(ticket).encode()).decode()
    return f"{_base()}/{_PATH}/{text}.{_signature(text, st.context.cookies.to_dict())}"


def routes() -> list[Route]:
    """The routes that the server adds to Streamlit's own."""
    return [Route(f"{_base()}/{_PATH}/{{ticket}}", _serve, methods=["GET"])]


def middleware() -> list[Middleware]:
    """The middleware around every response."""
    return [Middleware(_BrowserCookie)]


def _base() -> str:
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


def _serve(request: Request) -> Response:
    ticket = _valid_ticket(request.path_params["ticket"], request.cookies)
    export = EXPORTS.find(str(ticket["version"])) if ticket else None
    workbook = _finished(export) if export else None
    if ticket is None or workbook is None:
        return PlainTextResponse(GONE, status_code=403, headers={"Cache-Control": "no-store"})
    return FileResponse(workbook, media_type=MIME, filename=ticket["name"], headers=_HEADERS)


def _finished(export: Export) -> Path | None:
    """The export's file, if it is finished and still kept."""
    if not export.future.done() or export.future.exception():
        return None
    path = export.future.result().path
    return path if path.exists() else None


def _valid_ticket(sent: str, cookies: Mapping[str, str]) -> dict[str, Any] | None:
    """The ticket's content, if its signature, browser, session and time are valid."""
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
    # A long sign-in is split over several cookies with one prefix.
    signed_in = sorted((n, v) for n, v in cookies.items() if n.startswith(_SIGN_IN))
    bound = json.dumps([text, cookies.get(BROWSER), signed_in])
    return hmac.new(_KEY, bound.encode(), hashlib.sha256).hexdigest()


class _BrowserCookie:
    """Sets a session cookie of its own in a browser that opens a page without one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _opens_a_page(Request(scope)):
            await self._app(scope, receive, send)
            return
        secure = "; Secure" if scope["scheme"] == "https" else ""
        # Lax: a browser that follows a link of another site must send its cookie; a new one would
        # invalidate the links of its open pages.
        cookie = f"{BROWSER}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Lax{secure}"

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Set-Cookie", cookie)
            await send(message)

        await self._app(scope, receive, with_cookie)


def _opens_a_page(request: Request) -> bool:
    return BROWSER not in request.cookies and "text/html" in request.headers.get("Accept", "")
