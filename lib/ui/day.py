"""One day of the period on show: chosen by a click, kept in the address, closed by its chip.

The day narrows the view within the reconciliation on show, so its figures are those of its row in
the daily books; another period would be matched anew.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.ui import formatting, query_params
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.domain.requests import Period

KEY: Final = "dia"
CLOSE: Final = "fechar_dia"
WITHIN: Final = (
    "Só este dia, dentro da conciliação de {period}: os números são os da linha do dia. "
    "Exportar Excel grava o período inteiro."
)
BAD_DAY: Final = (
    "O dia do endereço é inválido ou fica fora do período; esta página mostra o período inteiro."
)


# The period of the chosen day.
_OF: Final = "_dia_de"


def restore(period: Period) -> date | None:
    """Return the chosen day, from the session or the address; None for the whole period."""
    query_params.restore(KEY, KEY, lambda texts: _day(texts, period))
    day: date | None = st.session_state.setdefault(KEY, None)
    span = (period.start, period.end)
    another = st.session_state.get(_OF, span) != span and not query_params.moved_in_history()
    st.session_state[_OF] = span
    # A newly chosen period is shown whole; the period of a single day always is.
    if day is not None and (another or not period.start <= day <= period.end or len({*span}) == 1):
        day = st.session_state[KEY] = None
    query_params.publish({KEY: day.isoformat() if day else None})
    return day


def chip(day: date, period: Period) -> None:
    """Draw the chosen day as a button that closes it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            formatting.plain(f"{formatting.day(day)}  ✕"),
            key=CLOSE,
            help=t("Voltar ao período inteiro"),
            on_click=choose,
            args=(None,),
        )
        st.caption(t(WITHIN, period=formatting.span(period.start, period.end)))


def choose(day: date | None) -> None:
    """Narrow the view to this day, or show the whole period. For callbacks only."""
    st.session_state[KEY] = day


def show_refused() -> None:
    """Say that the page shows the whole period because the address's day is invalid."""
    if query_params.refused(KEY):
        st.warning(t(BAD_DAY))


def _day(texts: list[str], period: Period) -> date | None:
    try:
        [day] = (date.fromisoformat(text) for text in texts)
    except ValueError:
        return None
    return day if period.start <= day <= period.end else None
