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
    from lib.ui.page import View


def check(view: View) -> None:
    """Draw the button that checks the databases of this view, and the result."""
    st.fragment(_check)(view)


def _check(view: View) -> None:
    guard.recheck()
    explained = t("Conexões, colunas, relógios e números de cartão deste período.")
    if not st.button(t("Verificar os bancos"), key=CHECK, help=explained):
        return
    try:
        with st.spinner(t("Consultando os dois bancos…")):
            notices = diagnosis.check_sources(
                view.site.settings, view.request, view.rights.reader or None
            )
    except AggregatorError as problem:
        st.error(plain(extraction_status.explanation(problem)))
        return
    for notice in notices:
        (st.warning if notice.serious else st.success)(formatting.sentence(notice))
