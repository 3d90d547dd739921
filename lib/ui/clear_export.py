"""The export in clear: for who has the role, with a written reason, once a reason."""

from __future__ import annotations

import secrets
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

_EVERY_SECONDS: Final = 0.5
_REASON: Final = "motivo_em_claro"
# Of what, and the export this session began, or the problem that kept one from beginning.
_ASKED: Final = "_clear_export"
_REFUSED: Final = "_clear_export_refused"


def show(site: Site, admission: Admission, asked: Request) -> None:
    """Draw the reason, the progress and the download, where this merchant's may be exported."""
    if asked.merchant not in admission.clear:
        return
    with st.popover(t("Exportar em claro"), width="stretch"):
        st.caption(
            t(
                "A planilha terá números de cartão e CPFs completos. O motivo, o seu nome e o "
                "arquivo ficam na auditoria."
            )
        )
        st.text_area(t("Motivo"), key=_REASON, max_chars=clear_export.LONGEST_REASON)
        under_way = _under_way()
        st.button(
            t("Exportar em claro"),
            on_click=_start,
            args=(site, asked),
            key="em_claro",
            disabled=under_way is not None and under_way[0] == asked,
        )
        for key in (_REFUSED, _ASKED):
            state = st.session_state.get(key)
            if state is not None and state[0] == asked:
                _tell(state[1], asked)


def _under_way() -> tuple[Request, ClearExport] | None:
    """What this session has asked for and not been given yet."""
    state: tuple[Request, ClearExport] | None = st.session_state.get(_ASKED)
    return state if state is not None and not state[1].future.done() else None


def _start(site: Site, asked: Request) -> None:
    """Begin what is asked, in the place of what this session has under way."""
    admission = guard.admission()
    if admission is None or asked.merchant not in admission.clear:
        return  # the page says why
    under_way = _under_way()
    if under_way is not None and under_way[0] == asked:
        return
    st.session_state.pop(_REFUSED, None)
    reason = st.session_state.get(_REASON, "")
    try:
        found = clear_export.start(site.settings, asked, admission.actor, reason)
    except AggregatorError as problem:
        st.session_state[_REFUSED] = (asked, problem)
        return
    if under_way is not None:
        under_way[1].stop()
    st.session_state[_ASKED] = (asked, found)


def _tell(found: ClearExport | AggregatorError, asked: Request) -> None:
    if isinstance(found, AggregatorError):
        st.error(plain(extraction_status.explanation(found)))
    elif not found.future.done():
        st.fragment(_progress, run_every=_EVERY_SECONDS)(found)
    elif problem := found.future.exception():
        st.error(plain(extraction_status.explanation(problem)))
    else:
        days = f"{asked.period.start:%Y%m%d}_{asked.period.end:%Y%m%d}"
        st.download_button(
            t("Baixar a planilha em claro"),
            data=found.future.result(),
            file_name=f"em_claro_{asked.merchant}_{days}_{secrets.token_hex(16)}.xlsx",
            mime=downloads.MIME,
            on_click=_forget,
        )


def _progress(export: ClearExport) -> None:
    if export.future.done():
        st.rerun()
    st.caption(
        n("Lendo e gravando… {count} linha", "Lendo e gravando… {count} linhas", export.rows)
    )


def _forget() -> None:
    st.session_state.pop(_ASKED, None)
