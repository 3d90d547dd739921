"""The sidebar's period: presets of whole days, free dates, and both in the address.

Owns the calendar of the presets. An unfinished choice of dates changes nothing and says so.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.ui import formatting, i18n, query_params
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.config.settings import Settings

Span = tuple[date, date]

KEY: Final = "periodo"
PRESET: Final = "atalho"
BAD_PERIOD: Final = (
    "O período do endereço é inválido; esta página mostra o período padrão. O endereço precisa de "
    "duas datas (ano-mês-dia), em ordem, até hoje."
)
NO_END: Final = "Escolha também a data final. Até lá, a página continua em {period}."
NO_DATES: Final = "Escolha as duas datas. Até lá, a página continua em {period}."

# The last complete choice of dates; the widget may hold half of the next one.
_CHOSEN: Final = "periodo_escolhido"
FIRST_DAY: Final = date(2000, 1, 1)
_A_DAY: Final = timedelta(days=1)
_A_WEEK: Final = timedelta(days=7)


def presets(today: date, window_days: int) -> dict[str, Span]:
    """Return the dates of the named periods; weeks run from Monday to Sunday."""
    yesterday = today - _A_DAY
    first = today.replace(day=1)
    last_month = first - _A_DAY
    monday = today - timedelta(days=today.weekday())
    return {
        "hoje": (today, today),
        "ontem": (yesterday, yesterday),
        "7d": (today - _A_WEEK, yesterday),
        "semana-passada": (monday - _A_WEEK, monday - _A_DAY),
        "mes": (first, today),
        "mes-passado": (last_month.replace(day=1), last_month),
        "padrao": (today - timedelta(days=window_days), today),
    }


def restore(settings: Settings, today: date) -> None:
    """Set the session's period from the address, or from the configured window."""
    window = presets(today, settings.window_days)["padrao"]
    first = min(FIRST_DAY, window[0])
    query_params.restore(KEY, KEY, lambda texts: _span(texts, first, today))
    st.session_state.setdefault(KEY, window)


def show(settings: Settings, today: date) -> Span:
    """Draw presets and dates, and return the last complete choice."""
    names = {
        "hoje": t("Hoje"),
        "ontem": t("Ontem"),
        "7d": t("7 dias"),
        "semana-passada": t("Semana passada"),
        "mes": t("Este mês"),
        "mes-passado": t("Mês passado"),
        "padrao": t("Janela padrão"),
    }
    spans = presets(today, settings.window_days)
    picked = tuple(st.session_state[KEY])
    if len(picked) == 2:
        st.session_state[_CHOSEN] = picked
    chosen: Span = st.session_state.get(_CHOSEN) or spans["padrao"]
    marked = st.session_state.get(PRESET)
    # Where two presets are the same period, the clicked one stays marked.
    if spans.get(marked or "") != chosen:
        marked = next((name for name, span in spans.items() if span == chosen), None)
    # Assigned in every run: on another page the widget would begin without its value.
    st.session_state[PRESET] = marked
    st.pills(
        t("Período"),
        list(spans),
        format_func=names.__getitem__,
        key=PRESET,
        help=t(
            "7 dias: os sete dias inteiros até ontem. Semana passada: de segunda a domingo. "
            "Janela padrão: de {days} dias atrás até hoje, como no relatório agendado.",
            days=settings.window_days,
        ),
        on_change=_take_preset,
        args=(spans,),
        persist_state="session",
    )
    st.date_input(
        t("De e até"),
        key=KEY,
        min_value=min(FIRST_DAY, chosen[0]),
        max_value=max(today, chosen[1]),
        format="DD/MM/YYYY" if i18n.language() == i18n.PORTUGUESE else "YYYY-MM-DD",
        label_visibility="collapsed",
        persist_state="session",
    )
    if len(picked) < 2:
        name = formatting.span(*chosen)
        st.caption(t(NO_END, period=name) if picked else t(NO_DATES, period=name))
    return chosen


def narrow(start: date, end: date) -> None:
    """Choose another period. For callbacks only: these run before the widgets are drawn."""
    st.session_state[_CHOSEN] = st.session_state[KEY] = (start, end)


def show_refused() -> None:
    """Say that the page shows the default because the address's period is invalid."""
    if query_params.refused(KEY):
        st.warning(t(BAD_PERIOD))


def _take_preset(spans: dict[str, Span]) -> None:
    span = spans.get(st.session_state[PRESET] or "")
    if span is not None:
        narrow(*span)


def _span(texts: list[str], first: date, today: date) -> Span | None:
    try:
        start, end = (date.fromisoformat(text) for text in texts)
    except ValueError:
        return None
    return (start, end) if first <= start <= end <= today else None
