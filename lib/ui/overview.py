"""The landing page: what needs analysis, how far the data reach, figures, and daily books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import streamlit as st

from lib.analysis import table_query, table_schemas
from lib.analysis.table_query import Query
from lib.delivery import diagnosis
from lib.domain import columns as c
from lib.domain.requests import CARD, CARD_TIME
from lib.ui import (
    day,
    filters,
    formatting,
    html_table,
    navigation,
    table_cells,
    table_filters,
    tables,
)
from lib.ui.formatting import money, percent, whole
from lib.ui.html_table import Column
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import pyarrow as pa

    from lib.analysis.overview import Overview
    from lib.domain.outcomes import Books
    from lib.domain.reconciliation import Reconciliation
    from lib.domain.requests import Period, Rule

SHOW_ALL: Final = "ver_aprovados_sem_transacao"
SHOW_FAR: Final = "ver_fora_da_tolerancia"
SHOW_WITHOUT_LOG: Final = "ver_sem_log"
USE_CARD_TIME: Final = "usar_cartao_e_horario"
NOTHING_TO_ANALYSE: Final = "Nada para analisar neste período."
LONGER_FINDS_MORE: Final = (
    "Pela regra Cartão, um período maior encontra mais pares, pois o log pode ser de outro dia: um "
    "dia sozinho e a linha do mesmo dia podem diferir. A regra Cartão e horário só aceita pares "
    "próximos no tempo."
)
NO_TRANSACTIONS_ON: Final = "Nenhuma transação em {days}"
NO_LOGS_ON: Final = "Nenhum log em {days}"
DAYS: Final = ("{count} dia", "{count} dias")
DAYS_PAGE: Final = "contas_pagina"

_NEWEST: Final = 5
_MOST_DAYS: Final = 5
_MOST_POINTS: Final = 400
_BY_DAY: Final = "fechamento"
_NEEDING: Final = (c.APROVADA_SEM_TRANSACAO, c.FORA_DA_TOLERANCIA)


def metrics(figures: Overview, books: Books) -> None:
    """Draw transactions, consolidated, divergences and amount, each with its series by day."""
    purchases = books.consolidated + books.without_log
    needing = sum(figures.motivos[motivo] for motivo in _NEEDING)
    rate = percent(books.consolidated / purchases) if purchases else formatting.NO_VALUE
    mean = (
        money(books.amount_consolidated / books.consolidated)
        if books.consolidated
        else formatting.NO_VALUE
    )
    with st.grid(4):
        _metric(
            t("Transações"),
            whole(books.transactions),
            t("{count} sem log", count=whole(books.without_log)),
            figures.transactions,
        )
        _metric(
            t("Consolidadas"),
            whole(books.consolidated),
            t("{share} das compras", share=rate),
            figures.consolidated,
        )
        _metric(
            t("Divergências"),
            whole(books.divergences),
            t("{count} para analisar", count=whole(needing)),
            figures.divergences,
            color="orange",
        )
        _metric(
            t("Valor consolidado"),
            formatting.large(books.amount_consolidated),
            t("{amount} em média", amount=mean),
            [float(amount) for amount in figures.amount],
        )


def balance(books: Books) -> None:
    """Draw the balance of the books in one line; `lib.analysis.books` has verified it."""
    transactions = n("{count} transação", "{count} transações", books.transactions)
    parts = (
        n("{count} consolidada", "{count} consolidadas", books.consolidated),
        t("{count} sem log", count=whole(books.without_log)),
        n("{count} duplicata removida", "{count} duplicatas removidas", books.duplicates),
    )
    logs = n("{count} log", "{count} logs", books.logs)
    log_parts = (
        n("{count} conciliado", "{count} conciliados", books.logs_matched),
        n("{count} divergente", "{count} divergentes", books.divergences),
    )
    sums = f"{transactions} = {' + '.join(parts)} · {logs} = {' + '.join(log_parts)}"
    st.success(formatting.plain(f"✓ {sums}"))


def reach(figures: Overview, result: Reconciliation) -> None:
    """Draw the latest instant read from each source, its days without records, and warnings."""
    st.header(t("Dados disponíveis até"), anchor=False)
    sides = (
        (
            t("Banco A (transações)"),
            figures.latest_transaction,
            t(NO_TRANSACTIONS_ON),
            figures.days_without_transactions,
        ),
        (t("Banco B (logs)"), figures.latest_log, t(NO_LOGS_ON), figures.days_without_logs),
    )
    with st.grid(len(sides)):
        for label, latest, sentence, days in sides:
            with st.container(border=True, height="stretch"):
                st.metric(label, formatting.instant(latest) if latest else formatting.NO_VALUE)
                if days:
                    st.caption(sentence.format(days=_listed(days)))
    if len(result.transaction_rows) and len(result.log_rows):  # every page warns of an empty side
        for notice in diagnosis.notices(result):
            st.warning(formatting.sentence(notice))


def by_day(days: pa.Table, books: Books, shown_days: Period) -> None:
    """Draw the books by day, newest first, and of the period; a click on a day narrows the view.

    The row of a day that is the only one on show is marked.
    """
    st.header(t("Fechamento diário"), anchor=False)
    undated = days["day"].null_count
    newest = [*range(len(days) - undated - 1, -1, -1), *range(len(days) - undated, len(days))]
    number = 1
    if len(days) > tables.PAGE_ROWS:
        number = tables.turn_pages(DAYS_PAGE, len(days), n(*DAYS, len(days)))
    days = days.take(newest[(number - 1) * tables.PAGE_ROWS : number * tables.PAGE_ROWS])
    dates = days["day"].to_pylist()
    alone = shown_days.start == shown_days.end and len(dates) > 1
    marked = [row for row, date in enumerate(dates) if alone and date == shown_days.start]
    if len(dates) > 1:
        st.caption(t("Clique em um dia para ver só esse dia em todas as páginas."))
    counts = {
        "logs": t("Logs"),
        "logs_matched": t("Conciliados"),
        "divergences": t("Divergentes"),
        "transactions": t("Transações"),
        "consolidated": t("Consolidadas"),
        "without_log": t("Sem log"),
        "duplicates": t("Duplicatas"),
    }
    amounts = {
        "amount": t("Transações"),
        "amount_consolidated": t("Consolidadas"),
        "amount_without_log": t("Sem log"),
        "amount_duplicates": t("Duplicatas"),
    }
    shown = (
        ("registros", t("Registros"), counts, whole),
        ("valores", t("Valores"), amounts, money),
    )
    tabs = st.tabs([title for _, title, _, _ in shown])
    for tab, (key, _, headings, write) in zip(tabs, shown, strict=True):
        texts = [[_day(date) for date in dates]]
        texts += [[write(value) for value in days[name].to_pylist()] for name in headings]
        total = [t("Período"), *(write(getattr(books, name)) for name in headings)]
        with tab:
            html_table.draw(
                [Column("day", t("Dia"))]
                + [Column(name, text, style="right") for name, text in headings.items()],
                list(zip(*texts, strict=True)),
                f"{_BY_DAY}_{key}",
                total=total,
                opened=next(iter(marked), None),
                on_open=(lambda row: day.choose(dates[row])) if len(dates) > 1 else None,
            )


def why_longer_finds_more(rule: Rule) -> None:
    """Say why rule `card` finds more pairs in a longer period, and offer `card_time`."""
    if rule.name != CARD:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(t(LONGER_FINDS_MORE))
        st.button(
            t("Usar Cartão e horário"),
            key=USE_CARD_TIME,
            on_click=filters.choose_rule,
            args=(CARD_TIME,),
        )


def attention(figures: Overview, books: Books, result: Reconciliation) -> None:
    """Draw what needs analysis: counts that lead to the rows, and the newest rows of all."""
    st.header(t("Para analisar"), anchor=False)
    approved, far = (figures.motivos[motivo] for motivo in _NEEDING)
    if not (approved or far or books.without_log):
        st.success(t(NOTHING_TO_ANALYSE))
        return
    with st.container(horizontal=True):
        if approved:
            more = n(
                "Ver {count} log aprovado sem transação",
                "Ver os {count} logs aprovados sem transação",
                approved,
            )
            if st.button(more, key=SHOW_ALL):
                _show(c.APROVADA_SEM_TRANSACAO)
        if far:
            more = n(
                "Ver {count} log fora da tolerância", "Ver os {count} logs fora da tolerância", far
            )
            if st.button(more, key=SHOW_FAR):
                _show(c.FORA_DA_TOLERANCIA)
        if books.without_log:
            more = n(
                "Ver {count} transação sem log",
                "Ver as {count} transações sem log",
                books.without_log,
            )
            if st.button(more, key=SHOW_WITHOUT_LOG):
                st.session_state.pop("aba_aba", None)
                st.switch_page(navigation.path("divergences"), query_params={"aba": "sem-log"})
    query = Query(filters=((c.MOTIVO, _NEEDING),))
    at = table_query.positions(result, table_schemas.DIVERGENCES, query)
    if len(at):
        table_cells.draw(table_schemas.DIVERGENCES.cells(result, at[: -_NEWEST - 1 : -1]))


def _show(motivo: str) -> None:
    table_filters.filter_next(table_schemas.DIVERGENCES, c.MOTIVO, [motivo])
    st.session_state.pop("aba_aba", None)
    st.switch_page(navigation.path("divergences"))


def _metric(
    label: str,
    value: str,
    below: str,
    series: Sequence[float],
    color: Literal["blue", "orange"] = "blue",
) -> None:
    st.metric(
        label,
        value,
        delta=formatting.plain(below),
        delta_color=color,
        delta_arrow="off",
        chart_data=_drawable(series) if len(series) > 1 else None,
        chart_type="area",
        border=True,
    )


def _drawable(series: Sequence[float]) -> list[float]:
    """The series, or the means of equal parts where a browser would draw it too slowly."""
    if len(series) <= _MOST_POINTS:
        return list(series)
    return [float(part.mean()) for part in np.array_split(np.asarray(series), _MOST_POINTS)]


def _day(date: date | None) -> str:
    return formatting.day(date) if date else t("sem data do período")


def _listed(days: Sequence[date]) -> str:
    some = ", ".join(formatting.day(day) for day in days[:_MOST_DAYS])
    if len(days) <= _MOST_DAYS:
        return some
    return n(
        "{some} e mais {count} dia", "{some} e mais {count} dias", len(days) - _MOST_DAYS, some=some
    )
