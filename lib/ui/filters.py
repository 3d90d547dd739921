"""The sidebar's filters: merchant, period and rule, kept in the session and in the address.

Owns the presets; an unfinished choice of dates changes nothing. `lib.config.defaults.request`
validates the values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.config import defaults
from lib.domain.requests import CARD, CARD_TIME
from lib.ui import formatting, i18n, query_params
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Request

Span = tuple[date, date]

_MERCHANT: Final = "estabelecimento"
_PERIOD: Final = "periodo"
_PRESET: Final = "atalho"
_RULE: Final = "regra"
_TOLERANCE: Final = "tolerancia"
# The last complete choice of dates, and of minutes; a widget may hold half of the next one.
_CHOSEN: Final = "periodo_escolhido"
_MINUTES: Final = "tolerancia_escolhida"
_FIRST_DAY: Final = date(2000, 1, 1)
_MOST_MINUTES: Final = 525_600

BAD_PERIOD: Final = (
    "O período do endereço é inválido; esta página mostra o período padrão. O endereço precisa de "
    "duas datas (ano-mês-dia), em ordem, até hoje."
)
BAD_CHOICE: Final = (
    "O endereço tem um estabelecimento, uma regra ou uma tolerância inválida; esta página mostra o "
    "padrão."
)


def presets(today: date) -> dict[str, Span]:
    """The named periods; N days are today - N to today, as on the command line."""
    first = today.replace(day=1)
    last_month = first - timedelta(days=1)
    return {
        "hoje": (today, today),
        "ontem": (today - timedelta(days=1),) * 2,
        "7d": (today - timedelta(days=7), today),
        "10d": (today - timedelta(days=10), today),
        "mes": (first, today),
        "mes-passado": (last_month.replace(day=1), last_month),
    }


def show(settings: Settings, merchants: Mapping[str, str], today: date) -> Request:
    """Draw the filters of these merchants and return their request. Raises ConfigError."""
    _restore(settings, merchants, today)
    st.selectbox(
        t("Estabelecimento"),
        list(merchants),
        format_func=lambda cnpj: _label(cnpj, merchants),
        key=_MERCHANT,
        persist_state="session",
    )
    start, end = _period(today)
    rules = {CARD: t("Cartão"), CARD_TIME: t("Cartão e horário")}
    st.selectbox(
        t("Regra de conciliação"),
        list(rules),
        format_func=rules.__getitem__,
        key=_RULE,
        help=t(
            "Cartão: o log é da transação do mesmo cartão, a mais próxima no tempo. "
            "Cartão e horário: além disso, um log para cada transação, dentro da tolerância."
        ),
        persist_state="session",
    )
    timed = st.session_state[_RULE] == CARD_TIME
    minutes = _tolerance(settings) if timed else settings.tolerance_minutes
    _publish(start, end, minutes if timed else None)
    chosen = st.session_state[_MERCHANT]
    return defaults.request(
        settings,
        today,
        # A forged choice must not be answered with the list of all configured merchants.
        merchant=chosen if chosen in merchants else next(iter(merchants)),
        start=start,
        end=end,
        rule=st.session_state[_RULE],
        tolerance_minutes=minutes,
    )


def narrow(start: date, end: date) -> None:
    """Choose another period. For callbacks only: these run before the widgets are drawn."""
    st.session_state[_CHOSEN] = st.session_state[_PERIOD] = (start, end)


def before(start: date, days: int) -> date:
    """The date this many days before ``start``, but not before the first selectable day."""
    return min(start, max(start - timedelta(days=days), _FIRST_DAY))


def show_refused() -> None:
    """Say which values of the address are invalid and were not used."""
    if query_params.refused(_PERIOD):
        st.warning(t(BAD_PERIOD))
    choices = [query_params.refused(key) for key in (_MERCHANT, _RULE, _TOLERANCE)]
    if any(choices):
        st.warning(t(BAD_CHOICE))


def _restore(settings: Settings, merchants: Mapping[str, str], today: date) -> None:
    rules = {CARD: CARD, CARD_TIME: CARD_TIME}
    query_params.restore(_MERCHANT, _MERCHANT, lambda texts: _known(texts[0], merchants))
    query_params.restore(_RULE, _RULE, lambda texts: _known(texts[0], rules))
    query_params.restore(_TOLERANCE, _TOLERANCE, lambda texts: _minutes(texts[0]))
    window = (today - timedelta(days=settings.window_days), today)
    first = min(_FIRST_DAY, window[0])
    query_params.restore(_PERIOD, _PERIOD, lambda texts: _span(texts, first, today))
    if _known(st.session_state.get(_MERCHANT, ""), merchants) is None:
        st.session_state[_MERCHANT] = next(iter(merchants))
    for key, value in (
        (_RULE, settings.match_rule),
        (_TOLERANCE, settings.tolerance_minutes),
        (_PERIOD, window),
    ):
        st.session_state.setdefault(key, value)


def _period(today: date) -> Span:
    spans = presets(today)
    names = {
        "hoje": t("Hoje"),
        "ontem": t("Ontem"),
        "7d": t("7 dias"),
        "10d": t("10 dias"),
        "mes": t("Este mês"),
        "mes-passado": t("Mês passado"),
    }
    picked = tuple(st.session_state[_PERIOD])
    if len(picked) == 2:
        st.session_state[_CHOSEN] = picked
    chosen: Span = st.session_state.get(_CHOSEN) or spans["10d"]
    # Where two presets are the same period, the clicked one stays marked.
    if spans.get(st.session_state.get(_PRESET, "")) != chosen:
        st.session_state[_PRESET] = next((n for n, span in spans.items() if span == chosen), None)
    st.pills(
        t("Período"),
        list(spans),
        format_func=names.__getitem__,
        key=_PRESET,
        on_change=_take_preset,
        args=(today,),
        persist_state="session",
    )
    st.date_input(
        t("De e até"),
        key=_PERIOD,
        min_value=min(_FIRST_DAY, chosen[0]),
        max_value=max(today, chosen[1]),
        format="DD/MM/YYYY" if i18n.language() == i18n.PORTUGUESE else "YYYY-MM-DD",
        label_visibility="collapsed",
        persist_state="session",
    )
    return chosen


def _tolerance(settings: Settings) -> int:
    """Draw the input of minutes and return its value; while it is empty, the last value."""
    minutes: int | None = st.number_input(
        t("Tolerância (minutos)"),
        0,
        _MOST_MINUTES,
        value=None,
        key=_TOLERANCE,
        persist_state="session",
    )
    if minutes is None:
        minutes = st.session_state.get(_MINUTES, settings.tolerance_minutes)
    st.session_state[_MINUTES] = minutes
    return minutes


def _take_preset(today: date) -> None:
    span = presets(today).get(st.session_state[_PRESET] or "")
    if span is not None:
        narrow(*span)


def _publish(start: date, end: date, minutes: int | None) -> None:
    query_params.publish(
        {
            _MERCHANT: st.session_state[_MERCHANT],
            _PERIOD: [start.isoformat(), end.isoformat()],
            _RULE: st.session_state[_RULE],
            _TOLERANCE: None if minutes is None else str(minutes),
        }
    )


def _label(cnpj: str, merchants: Mapping[str, str]) -> str:
    """The merchant's name, with the CNPJ if another merchant has the same name."""
    name = merchants[cnpj]
    alone = list(merchants.values()).count(name) == 1
    return name if alone else f"{name} · {formatting.cnpj(cnpj)}"


def _known(text: str, names: Mapping[str, str]) -> str | None:
    return text if text in names else None


def _minutes(text: str) -> int | None:
    known = re.fullmatch(r"[0-9]{1,6}", text) and int(text) <= _MOST_MINUTES
    return int(text) if known else None


def _span(texts: list[str], first: date, today: date) -> Span | None:
    try:
        start, end = (date.fromisoformat(text) for text in texts)
    except ValueError:
        return None
    return (start, end) if first <= start <= end <= today else None
