"""The HTML page that starts Streamlit's client: its language, its scripts, and its early charts.

One script keeps the history; it must run before the client does, so no element of a page can bring
it. Another fits charts to paper. The client's library of charts takes a second to load, and the
client asks for it only with the first chart; the pages of charts load it while they wait for the
server.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from streamlit import file_util

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

_SCRIPTS: Final = tuple(Path(__file__).with_name(name) for name in ("history.js", "print.js"))
_CHART_PAGES: Final = ("/charts", "/customers")
_CHART_LIBRARY: Final = "static/js/PlotlyChart.*.js"
# The file is fetched at once, and run once the server is busy with the page.
_LOAD_EARLY: Final = b"""<link rel="modulepreload" crossorigin href="%(file)b">
<script>
new MutationObserver((_, observer) => {
  if (!document.querySelector("[data-test-script-state=running]")) return;
  observer.disconnect();
  import("%(file)b").catch(() => {});
}).observe(document, { subtree: true, childList: true, attributes: true });
</script>"""
_LANGUAGE: Final = b'<html lang="en"'
_END: Final = b"</head>"
# Answers to these requests would be compressed, or "not modified" in another language.
_LEFT_OUT: Final = (b"accept-encoding", b"if-none-match", b"if-modified-since")


def asked_for(scope: Scope) -> bool:
    """True where a browser opens a page, as it does an address or a link."""
    accepted = dict(scope["headers"]).get(b"accept", b"")
    return scope["method"] == "GET" and b"text/html" in accepted


def plainly(scope: Scope) -> Scope:
    """Return the request so that its answer can be rewritten."""
    headers = [(name, value) for name, value in scope["headers"] if name not in _LEFT_OUT]
    return {**scope, "headers": headers}


def rewriting(scope: Scope, send: Send) -> Send:
    """Rewrite the page on its way to the browser; other answers pass unchanged."""
    spoken = dict(scope["headers"]).get(b"accept-language", b"")
    charts = scope["path"].rstrip("/").endswith(_CHART_PAGES)
    start: list[Message] = []
    body = bytearray()

    async def send_rewritten(message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            start.append(message)
        elif not start:
            await send(message)
        else:
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            page = _rewritten(bytes(body), spoken, charts=charts)
            headers = MutableHeaders(scope=start[0])
            headers["Content-Length"] = str(len(page))
            for name in ("ETag", "Last-Modified"):
                del headers[name]
            await send(start[0])
            await send({"type": "http.response.body", "body": page})

    return send_rewritten


def _is_page(message: Message) -> bool:
    content = dict(message["headers"]).get(b"content-type", b"")
    return bool(message["status"] == 200 and content.startswith(b"text/html"))


def _rewritten(page: bytes, spoken: bytes, *, charts: bool) -> bytes:
    language = b"en" if spoken.lower().startswith(b"en") else b"pt-BR"
    page = page.replace(_LANGUAGE, b'<html lang="%b"' % language, 1)
    added = b"<script>%b</script>%b" % (_script(), _chart_library() if charts else b"")
    return page.replace(_END, added + _END, 1)


@cache
def _script() -> bytes:
    return b"".join(script.read_bytes() for script in _SCRIPTS)


@cache
def _chart_library() -> bytes:
    folder = Path(file_util.get_static_dir())
    files = [file.relative_to(folder) for file in folder.glob(_CHART_LIBRARY)]
    return b"".join(_LOAD_EARLY % {b"file": f"./{file.as_posix()}".encode()} for file in files)
