"""Asks both databases, when somebody wants to know, whether they are as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from lib import diagnosis
from lib.errors import AggregatorError
from lib.ui import format, guard, loading
from lib.ui.format import plain
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.notices import Notice
    from lib.ui.frame import View


def check(view: View) -> None:
    """A button that has the databases of this view asked, and what they answer."""
    st.fragment(_check)(view)


def sentence(notice: Notice) -> str:
    """What the notice says, in the reader's language."""
    values = {
        name: format.whole(value) if isinstance(value, int) else value
        for name, value in notice.values.items()
    }
    return plain(t(notice.template, **values))


def _check(view: View) -> None:
    guard.recheck()
    explained = t("Conexões, colunas, relógios e números de cartão deste período.")
    if not st.button(t("Verificar os bancos"), help=explained):
        return
    try:
        with st.spinner(t("Perguntando aos dois bancos…")):
            found = diagnosis.ask(view.site.settings, view.request, view.rights.reader or None)
    except AggregatorError as problem:
        st.error(plain(loading.explanation(problem)))
        return
    for notice in found:
        (st.warning if notice.serious else st.success)(sentence(notice))
