"""The button that checks both databases: connections, columns, clocks, card numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.delivery import diagnosis
from lib.domain.errors import AggregatorError
from lib.ui import extraction_status, formatting, guard
from lib.ui.formatting import plain
from lib.ui.i18n import t

CHECK: Final = "verificar_bancos"

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Rights
    from lib.domain.requests import Request
    from lib.ui.app_state import Site
    from lib.ui.page import View


def check(view: View) -> None:
    """Draw the button that checks the databases of this view, and the result."""
    check_request(view.site, view.request, view.rights)


def check_request(site: Site, request: Request, rights: Rights) -> None:
    """Draw the button that checks the databases for a request, and the result."""
    st.fragment(_check)(site, request, rights)


def _check(site: Site, request: Request, rights: Rights) -> None:
    guard.recheck()
    explained = t("Conexões, colunas, relógios e números de cartão deste período.")
    if not st.button(t("Verificar os bancos"), key=CHECK, help=explained):
        return
    try:
        with st.spinner(t("Consultando os dois bancos…")):
            for notice in diagnosis.check_sources(site.settings, request, rights.reader or None):
                (st.warning if notice.serious else st.success)(formatting.sentence(notice))
    except AggregatorError as problem:
        st.error(plain(extraction_status.explanation(problem)))
