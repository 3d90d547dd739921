"""Downloads: every file that leaves the dashboard does so here.

Owns the links. A link lasts a minute, is signed with a key of this process, and is valid for one
live session, its browser and its sign-in. Each request checks the reader's rights again, and the
content is compared with its digest before any of it is sent. The response to an invalid link
reveals nothing about a file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import quote

import streamlit as st
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from lib.domain.errors import AggregatorError
from lib.ui import app_state, guard, session_user
from lib.ui.http_filter import BROWSER, NO_STORE, base_path

if TYPE_CHECKING:
    from starlette.requests import Request

    from lib.domain.requests import Period
    from lib.ui.guard import Admission
    from lib.ui.session_user import Visitor

LIFE_SECONDS: Final = 60
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Shown outside of any session, so in the language of the report.
GONE: Final = "Este link não vale mais: volte ao painel e peça a planilha de novo."

_FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_SIGN_IN: Final = "_streamlit_user"
_KEY: Final = secrets.token_bytes(32)
_PATH: Final = "planilha"
_BLOCK: Final = 1 << 20
_ADDRESS: Final = "_download"
# Each download follows a new link at once.
_FETCH: Final = """<script>
{
  const link = document.createElement("a");
  link.href = "ADDRESS";
  link.download = "";
  link.click();
}
</script>"""


@dataclass(frozen=True)
class File:
    """A finished file of a merchant: its content, or its path, and its SHA-256.

    ``record`` writes the delivery into the audit, unless the export has already done so. It is
    called before the first byte is sent, and may raise AggregatorError.
    """

    name: str
    content: bytes | Path
    sha256: str
    merchant: str
    clear: bool = False
    record: Callable[[], object] | None = None
    mime: str = XLSX


def file_name(merchant_name: str, period: Period, note: str = "", ending: str = "xlsx") -> str:
    """Name a download for people: merchant, days, and a note in parentheses.

    Characters that Windows forbids in names become spaces.
    """
    merchant = " ".join(_FORBIDDEN.sub(" ", merchant_name).split())[:80].strip(". ")
    days = " a ".join(dict.fromkeys((period.start.isoformat(), period.end.isoformat())))
    return f"{merchant} {days}{f' ({note})' if note else ''}.{ending}".strip()


@dataclass(frozen=True)
class _Offer:
    """A file offered to one session, with the reader and the rights that the link is bound to."""

    file: File
    session: str
    visitor: Visitor
    admission: Admission
    until: float


_OFFERS: Final[dict[str, _Offer]] = {}


def send(file: File) -> None:
    """Let this session's browser download the file at the next `deliver`; callbacks may call it."""
    st.session_state[_ADDRESS] = link(file)


def deliver() -> None:
    """Start the requested download, if any."""
    address = st.session_state.pop(_ADDRESS, None)
    if address is not None:
        st.html(_FETCH.replace("ADDRESS", address), unsafe_allow_javascript=True)


def link(file: File) -> str | None:
    """Create the address where this session downloads the file; None without the right to it."""
    forget_old()
    context, admission = get_script_run_ctx(), guard.admission()
    if context is None or admission is None or not _may_have(admission, file):
        return None
    token = secrets.token_urlsafe(24)
    until = time.monotonic() + LIFE_SECONDS
    visitor = session_user.visitor()
    _OFFERS[token] = _Offer(file, context.session_id, visitor, admission, until)
    return f"{base_path()}/{_PATH}/{token}.{_signature(token, st.context.cookies.to_dict())}"


def forget_old() -> None:
    """Drop the files of expired links."""
    now = time.monotonic()
    for token, offer in list(_OFFERS.items()):
        if offer.until < now:
            _OFFERS.pop(token, None)


def routes() -> list[Route]:
    """The routes that the server adds to Streamlit's own."""
    return [Route(f"{base_path()}/{_PATH}/{{ticket}}", _serve, methods=["GET"])]


def _serve(request: Request) -> Response:
    offer = _valid_offer(request.path_params["ticket"], request.cookies)
    content = _verified(offer.file) if offer else None
    if offer is None or content is None:
        return PlainTextResponse(GONE, status_code=403, headers=NO_STORE)
    file = offer.file
    try:
        if file.record:
            file.record()
    except AggregatorError as problem:
        content.close()
        return PlainTextResponse(str(problem), status_code=503, headers=NO_STORE)
    headers = {
        **NO_STORE,
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(file.name, safe='')}",
        "Content-Length": str(content.seek(0, 2)),
        # A workbook is compressed already; without this, the server would compress it again.
        "Content-Encoding": "identity",
    }
    return StreamingResponse(_blocks(content), media_type=file.mime, headers=headers)


def _valid_offer(ticket: str, cookies: Mapping[str, str]) -> _Offer | None:
    """The offer of a ticket whose signature, browser, session, time and reader are valid."""
    token, _, signature = ticket.partition(".")
    if BROWSER not in cookies or not hmac.compare_digest(
        signature.encode(), _signature(token, cookies).encode()
    ):
        return None
    offer = _OFFERS.get(token)
    if offer is None or offer.until < time.monotonic():
        return None
    if not Runtime.instance().is_active_session(offer.session):
        return None
    site = app_state.find()
    decision = guard.decide(site, offer.visitor) if site else None
    if not isinstance(decision, guard.Admission) or decision != offer.admission:
        return None
    return offer if _may_have(decision, offer.file) else None


def _may_have(admission: Admission, file: File) -> bool:
    return file.merchant in (admission.clear if file.clear else admission.merchants)


def _verified(file: File) -> IO[bytes] | None:
    """Copy the content privately; None if the file is gone or differs from the one offered.

    The copy guarantees that the content compared is the content sent, whatever happens to the path.
    """
    if isinstance(file.content, bytes):
        same = hashlib.sha256(file.content).hexdigest() == file.sha256
        return BytesIO(file.content) if same else None
    copy, digest = tempfile.TemporaryFile(), hashlib.sha256()  # noqa: SIM115  # sent later
    try:
        with file.content.open("rb") as source:
            while block := source.read(_BLOCK):
                digest.update(block)
                copy.write(block)
    except OSError:
        copy.close()
        return None
    if digest.hexdigest() == file.sha256:
        return copy
    copy.close()
    return None


def _blocks(content: IO[bytes]) -> Iterator[bytes]:
    with content:
        content.seek(0)
        while block := content.read(_BLOCK):
            yield block


def _signature(token: str, cookies: Mapping[str, str]) -> str:
    # A long sign-in is split over several cookies with one prefix.
    signed_in = sorted((n, v) for n, v in cookies.items() if n.startswith(_SIGN_IN))
    bound = json.dumps([token, cookies.get(BROWSER), signed_in])
    return hmac.new(_KEY, bound.encode(), hashlib.sha256).hexdigest()
