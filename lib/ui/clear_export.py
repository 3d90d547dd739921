"""Clear export: requires the role and a written reason."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.dashboard import clear_export
from lib.domain.errors import AggregatorError
from lib.ui import downloads, extraction_status, guard
from lib.ui.formatting import plain
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from lib.dashboard.clear_export import ClearExport
    from lib.domain.requests import Request
    from lib.ui.app_state import Site
    from lib.ui.guard import Admission

START: Final = "em_claro"
DOWNLOAD: Final = "baixar_em_claro"
REASON: Final = "motivo_em_claro"

_INTERVAL_SECONDS: Final = 0.5
# The session's request with its export, and the one with the problem that kept it from beginning.
_EXPORT: Final = "_clear_export"
_REFUSAL: Final = "_clear_export_refused"


def show(site: Site, admission: Admission, request: Request) -> None:
    """Draw the form, the progress and the download, for readers with the role."""
    if request.merchant not in admission.clear:
        return
    with st.popover(t("Exportar em claro"), width="stretch"):
        st.caption(
            t(
                "A planilha terá números de cartão e CPFs completos. O motivo, o seu nome e o "
                "arquivo ficam na auditoria."
            )
        )
        st.text_area(t("Motivo"), key=REASON, max_chars=clear_export.LONGEST_REASON)
        running = _running()
        st.button(
            t("Exportar em claro"),
            on_click=_start,
            args=(site, request),
            key=START,
            disabled=running is not None and running[0] == request,
        )
        for key in (_REFUSAL, _EXPORT):
            state = st.session_state.get(key)
            if state is not None and state[0] == request:
                _show_state(state[1], request, site.settings.merchants[request.merchant])


def _running() -> tuple[Request, ClearExport] | None:
    """The session's unfinished export with its request."""
    state: tuple[Request, ClearExport] | None = st.session_state.get(_EXPORT)
    return state if state is not None and not state[1].future.done() else None


def _start(site: Site, request: Request) -> None:
    """Start the export, after stopping the session's running one."""
    admission = guard.admission()
    if admission is None or request.merchant not in admission.clear:
        return  # the rerun shows the reason
    running = _running()
    if running is not None and running[0] == request:
        return
    st.session_state.pop(_REFUSAL, None)
    reason = st.session_state.get(REASON, "")
    try:
        export = clear_export.start(site.settings, request, admission.actor, reason)
    except AggregatorError as problem:
        st.session_state[_REFUSAL] = (request, problem)
        return
    if running is not None:
        running[1].stop()
    st.session_state[_EXPORT] = (request, export)


def _show_state(state: ClearExport | AggregatorError, request: Request, merchant: str) -> None:
    if isinstance(state, AggregatorError):
        st.error(plain(extraction_status.explanation(state)))
    elif not state.future.done():
        st.fragment(_progress, run_every=_INTERVAL_SECONDS)(state)
    elif problem := state.future.exception():
        st.error(plain(extraction_status.explanation(problem)))
    else:
        content = state.future.result()
        label = t("Baixar a planilha em claro")
        st.button(label, key=DOWNLOAD, on_click=_download, args=(content, request, merchant))


def _download(content: bytes, request: Request, merchant: str) -> None:
    name = downloads.file_name(merchant, request.period, t("em claro"))
    digest = hashlib.sha256(content).hexdigest()
    downloads.send(downloads.File(name, content, digest, request.merchant, clear=True))
    st.session_state.pop(_EXPORT, None)


def _progress(export: ClearExport) -> None:
    if export.future.done():
        st.rerun()
    st.caption(
        n("Lendo e gravando… {count} linha", "Lendo e gravando… {count} linhas", export.rows)
    )
