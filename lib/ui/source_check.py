"""Asks both databases, when somebody wants to know, whether they are as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from lib.delivery import diagnosis
from lib.domain.errors import AggregatorError
from lib.ui import extraction_status, formatting, guard
from lib.ui.formatting import plain
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.ui.page import View


def check(view: View) -> None:
    """A button that has the databases of this view asked, and what they answer."""
    st.fragment(_check)(view)


def _check(view: View) -> None:
    guard.recheck()
    explained = t("Conexões, colunas, relógios e números de cartão deste período.")
    if not st.button(t("Verificar os bancos"), help=explained):
        return
    try:
        with st.spinner(t("Perguntando aos dois bancos…")):
            found = diagnosis.check_sources(
                view.site.settings, view.request, view.rights.reader or None
            )
    except AggregatorError as problem:
        st.error(plain(extraction_status.explanation(problem)))
        return
    for notice in found:
        (st.warning if notice.serious else st.success)(formatting.sentence(notice))
