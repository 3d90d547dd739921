"""The sidebar's filters: merchant, period and rule, kept in the session and in the address.

`lib.ui.period` draws the period; `lib.config.defaults.request` validates the values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.config import defaults
from lib.domain.requests import CARD, CARD_TIME
from lib.ui import formatting, period, query_params
from lib.ui.i18n import t

if TYPE_CHECKING:
    from datetime import date

    from lib.config.settings import Settings
    from lib.domain.requests import Request

_MERCHANT: Final = "estabelecimento"
_RULE: Final = "regra"
_TOLERANCE: Final = "tolerancia"
# The last complete choice of minutes; the widget may be empty.
_MINUTES: Final = "tolerancia_escolhida"
_MOST_MINUTES: Final = 525_600

BAD_CHOICE: Final = (
    "O endereço tem um estabelecimento, uma regra ou uma tolerância inválida; esta página mostra o "
    "padrão."
)


def show(settings: Settings, merchants: Mapping[str, str], today: date) -> Request:
    """Draw the filters of these merchants and return their request. Raises ConfigError."""
    _restore(settings, merchants, today)
    _merchant(merchants)
    start, end = period.show(settings, today)
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


def merchant(merchants: Mapping[str, str]) -> str:
    """Draw the filter of the merchant alone, and return the chosen one."""
    _restore_merchant(merchants)
    _merchant(merchants)
    chosen = st.session_state[_MERCHANT]
    query_params.publish({_MERCHANT: chosen})
    return chosen if chosen in merchants else next(iter(merchants))


def choose_merchant(cnpj: str) -> None:
    """Choose another merchant. For callbacks only."""
    st.session_state[_MERCHANT] = cnpj


def choose_rule(name: str) -> None:
    """Choose another rule. For callbacks only: these run before the widgets are drawn."""
    st.session_state[_RULE] = name


def show_refused() -> None:
    """Say which values of the address are invalid and were not used."""
    period.show_refused()
    choices = [query_params.refused(key) for key in (_MERCHANT, _RULE, _TOLERANCE)]
    if any(choices):
        st.warning(t(BAD_CHOICE))


def _restore(settings: Settings, merchants: Mapping[str, str], today: date) -> None:
    _restore_merchant(merchants)
    query_params.restore_one(_RULE, (CARD, CARD_TIME))
    query_params.restore(_TOLERANCE, _TOLERANCE, lambda texts: _minutes(texts[0]))
    period.restore(settings, today)
    st.session_state.setdefault(_RULE, settings.match_rule)
    st.session_state.setdefault(_TOLERANCE, settings.tolerance_minutes)


def _restore_merchant(merchants: Mapping[str, str]) -> None:
    query_params.restore_one(_MERCHANT, merchants)
    if st.session_state.get(_MERCHANT) not in merchants:
        st.session_state[_MERCHANT] = next(iter(merchants))


def _merchant(merchants: Mapping[str, str]) -> None:
    st.selectbox(
        t("Estabelecimento"),
        list(merchants),
        format_func=lambda cnpj: _label(cnpj, merchants),
        key=_MERCHANT,
        persist_state="session",
    )


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


def _publish(start: date, end: date, minutes: int | None) -> None:
    query_params.publish(
        {
            _MERCHANT: st.session_state[_MERCHANT],
            period.KEY: [start.isoformat(), end.isoformat()],
            _RULE: st.session_state[_RULE],
            _TOLERANCE: None if minutes is None else str(minutes),
        }
    )


def _label(cnpj: str, merchants: Mapping[str, str]) -> str:
    """The merchant's name, with the CNPJ if another merchant has the same name."""
    name = merchants[cnpj]
    alone = list(merchants.values()).count(name) == 1
    return name if alone else f"{name} · {formatting.cnpj(cnpj)}"


def _minutes(text: str) -> int | None:
    known = re.fullmatch(r"[0-9]{1,6}", text) and int(text) <= _MOST_MINUTES
    return int(text) if known else None
