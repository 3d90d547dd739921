"""One case: its state in a sentence, its timeline, and the form that marks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.delivery import case_queries
from lib.domain.errors import AggregatorError
from lib.ui import case_form, case_words, formatting, html_table
from lib.ui.formatting import plain
from lib.ui.html_table import Column
from lib.ui.i18n import n, sentence, t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lib.delivery.case_queries import Case
    from lib.ui.case_scope import Scope

ALIKE: Final = (
    "Há registros idênticos a este: este é o de número {number}. Eles são intercambiáveis, e uma "
    "marca vale para um deles."
)
HEADLINE: Final = "Caso {situation}, desde {moment} ({days})."


def show(form: str, scope: Scope, case: Case, owners: Sequence[str] = ()) -> None:
    """Draw the case's state, timeline and form."""
    days = n(*case_words.DAYS, case_words.age(case, scope))
    situation, moment = case_words.situation(case), case_words.moment(case.first_seen, scope)
    st.markdown(plain(t(HEADLINE, situation=situation, moment=moment, days=days)))
    if case.counterpart is not None and not scope.by_rows:
        written = (case_words.written(name, text) for name, text in case.counterpart.items())
        values = " · ".join(value for value in written if value)
        st.caption(plain(t("Registro correspondente: {values}", values=values)))
    try:
        alike = case_queries.identical(scope.path, case.key)
        events = case_queries.timeline(scope.path, case.key)
    except AggregatorError as problem:
        st.error(plain(sentence(problem)))
        return
    if len(alike if scope.keys is None else alike & scope.keys) > 1:
        st.caption(t(ALIKE, number=formatting.whole(case.alike)))
    html_table.draw(
        [
            Column("at", t("Quando")),
            Column("who", t("Usuário")),
            Column("what", t("O quê"), style="long"),
        ],
        [
            [case_words.moment(event.at, scope), case_words.who(event), case_words.what(event)]
            for event in reversed(events)
        ],
    )
    case_form.show(form, scope, {case.key: case.version}, owners)
