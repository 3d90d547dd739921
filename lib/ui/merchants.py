"""Estabelecimentos: one line for each merchant of the reader, leading to its cases.

Row-level security shows nobody the figures of whole merchants, so the page refuses itself there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.delivery import merchant_summaries
from lib.delivery.history import DONE
from lib.domain.errors import AggregatorError
from lib.ui import case_words, filters, formatting, navigation, runs
from lib.ui.formatting import plain, whole
from lib.ui.i18n import sentence, t

if TYPE_CHECKING:
    from datetime import date

    from lib.delivery.merchant_summaries import Summary
    from lib.ui.app_state import Site
    from lib.ui.guard import Admission

WHOLE_MERCHANTS: Final = (
    "Com row_level_security, esta página não é mostrada: os relatórios têm as linhas da conta que "
    "os gerou."
)
NO_RUN: Final = "Nenhuma execução agendada ainda."
LAST_RUN: Final = "Última execução: {moment}, {outcome}."
REACH: Final = "Transações até {transactions}, logs até {logs}."
CASES: Final = "ver_casos_de"

_COLUMNS: Final = 3


def show(site: Site, admission: Admission) -> None:
    """Draw the figures of the reader's merchants."""
    if site.settings.row_level_security:
        st.info(t(WHOLE_MERCHANTS))
        return
    try:
        summaries = merchant_summaries.summaries(site.settings, admission.merchants, site.today)
    except AggregatorError as problem:
        st.error(plain(sentence(problem)))
        return
    for start in range(0, len(summaries), _COLUMNS):
        for column, summary in zip(
            st.columns(_COLUMNS), summaries[start : start + _COLUMNS], strict=False
        ):
            with column, st.container(border=True, height="stretch"):
                _card(summary, site)


def _card(summary: Summary, site: Site) -> None:
    st.header(plain(summary.name), anchor=False)
    st.caption(plain(formatting.cnpj(summary.merchant)))
    last, counts = summary.last, summary.counts
    if last is None:
        st.info(t(NO_RUN))
        return
    moment = formatting.instant(last.began_at.astimezone(site.settings.zone))
    said = plain(t(LAST_RUN, moment=moment, outcome=runs.outcome(last.outcome)))
    (st.caption if last.outcome == DONE else st.warning)(said)
    rates = [rate for _, rate in summary.rates]
    st.metric(
        t("Logs conciliados"),
        formatting.percent(rates[-1]) if rates else formatting.NO_VALUE,
        chart_data=rates if len(rates) > 1 else None,
        chart_type="line",
    )
    with st.grid(3):
        st.metric(t("Novos"), whole(counts.new))
        st.metric(t("Abertos"), whole(counts.open))
        st.metric(t("O mais antigo"), case_words.oldest(counts, site))
    transactions, logs = map(_day, summary.reach)
    st.caption(plain(t(REACH, transactions=transactions, logs=logs)))
    if st.button(
        t("Ver os casos"),
        key=f"{CASES}_{summary.merchant}",
        on_click=partial(filters.choose_merchant, summary.merchant),
    ):
        st.switch_page(navigation.path("cases"))


def _day(value: date | None) -> str:
    return formatting.day(value) if value else formatting.NO_VALUE
