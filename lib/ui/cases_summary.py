"""One line of the landing page: what the last report changed among the merchant's cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.ui import case_board, case_scope, case_words, navigation
from lib.ui.formatting import plain
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from lib.delivery.case_queries import Counts
    from lib.ui.case_scope import Scope
    from lib.ui.page import View

SINCE: Final = "Desde o último relatório ({moment}): {changes}."
NEW: Final = ("{count} caso novo", "{count} casos novos")
RESOLVED: Final = ("{count} resolvido sozinho", "{count} resolvidos sozinhos")
OPEN: Final = ("{count} aberto", "{count} abertos")
OLDEST: Final = ("o mais antigo há {count} dia", "o mais antigo há {count} dias")
SHOW_NEW: Final = "ver_casos_novos"
SHOW_OPEN: Final = "ver_casos_abertos"


def show(view: View) -> None:
    """Draw the line, with ways to the new and to the open cases; nothing before the first run."""
    scope = case_scope.of_view(view)
    counts = case_scope.counts(scope)
    if counts is None or counts.at is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        moment = case_words.moment(counts.at, scope)
        st.markdown(plain(t(SINCE, moment=moment, changes=_changes(counts, scope))))
        if counts.new and st.button(t("Ver os novos"), key=SHOW_NEW):
            st.switch_page(navigation.path("cases"), query_params={case_board.SHOW: "novos"})
        if counts.open + counts.outside and st.button(t("Ver todos os abertos"), key=SHOW_OPEN):
            st.switch_page(navigation.path("cases"))


def _changes(counts: Counts, scope: Scope) -> str:
    parts = [n(*NEW, counts.new), n(*RESOLVED, counts.resolved), n(*OPEN, counts.open)]
    if counts.outside:
        parts.append(n(*case_board.OUTSIDE, counts.outside))
    if counts.oldest is not None:
        parts.append(n(*OLDEST, case_words.days_since(counts.oldest, scope.site)))
    return ", ".join(parts)
