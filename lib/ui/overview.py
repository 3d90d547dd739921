"""The landing page: metrics with daily sparklines, the books, and the latest instants read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import streamlit as st

from lib.analysis import table_query, table_schemas
from lib.analysis.table_query import Query
from lib.delivery import diagnosis
from lib.domain import columns as c
from lib.ui import formatting, html_table, navigation, table_cells, table_filters, tables
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

SHOW_ALL: Final = "ver_aprovados_sem_transacao"
NO_TRANSACTIONS_ON: Final = "Nenhuma transação em {days}"
NO_LOGS_ON: Final = "Nenhum log em {days}"
DAYS: Final = ("{count} dia", "{count} dias")
DAYS_PAGE: Final = "contas_pagina"

_NEWEST: Final = 5
_MOST_DAYS: Final = 5


def metrics(figures: Overview, books: Books) -> None:
    """Draw transactions, consolidated, divergences and amount, each with its series by day."""
    purchases = books.consolidated + books.without_log
    needing = figures.motivos[c.APROVADA_SEM_TRANSACAO]
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
            n("{count} precisa de alguém", "{count} precisam de alguém", needing),
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


def notices(result: Reconciliation) -> None:
    """Warn of likely errors that the result itself shows."""
    if len(result.transaction_rows) and len(result.log_rows):  # every page warns of an empty side
        for notice in diagnosis.notices(result):
            st.warning(formatting.sentence(notice))


def reach(figures: Overview) -> None:
    """Draw the latest instant read from each source, and its days without records."""
    st.subheader(t("Até onde vão os dados"), anchor=False)
    sides = (
        (
            t("Banco A: última transação"),
            figures.latest_transaction,
            t(NO_TRANSACTIONS_ON),
            figures.days_without_transactions,
        ),
        (t("Banco B: último log"), figures.latest_log, t(NO_LOGS_ON), figures.days_without_logs),
    )
    with st.grid(len(sides)):
        for label, latest, sentence, days in sides:
            with st.container(border=True, height="stretch"):
                st.metric(label, formatting.instant(latest) if latest else formatting.NO_VALUE)
                if days:
                    st.caption(sentence.format(days=_listed(days)))


def by_day(days: pa.Table, books: Books) -> None:
    """Draw the books by day, the newest first, and of the period, by count and by amount."""
    st.subheader(t("Contas por dia"), anchor=False)
    undated = days["day"].null_count
    newest = [*range(len(days) - undated - 1, -1, -1), *range(len(days) - undated, len(days))]
    number = 1
    if len(days) > tables.PAGE_ROWS:
        number = tables.turn_pages(DAYS_PAGE, len(days), n(*DAYS, len(days)))
    days = days.take(newest[(number - 1) * tables.PAGE_ROWS : number * tables.PAGE_ROWS])
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
    shown = ((t("Registros"), counts, whole), (t("Valores"), amounts, money))
    tabs = st.tabs([title for title, _, _ in shown])
    for tab, (_, headings, write) in zip(tabs, shown, strict=True):
        texts = [[_day(day) for day in days["day"].to_pylist()]]
        texts += [[write(value) for value in days[name].to_pylist()] for name in headings]
        total = [t("Período"), *(write(getattr(books, name)) for name in headings)]
        with tab:
            html_table.draw(
                [Column("day", t("Dia"))]
                + [Column(name, text, style="right") for name, text in headings.items()],
                list(zip(*texts, strict=True)),
                total=total,
            )


def attention(figures: Overview, result: Reconciliation) -> None:
    """Draw the newest approved divergences without transaction, and a button to list all."""
    needing = figures.motivos[c.APROVADA_SEM_TRANSACAO]
    if not needing:
        return
    st.subheader(t("Precisam de alguém"), anchor=False)
    filters = ((c.MOTIVO, (c.APROVADA_SEM_TRANSACAO,)),)
    at = table_query.positions(result, table_schemas.DIVERGENCES, Query(filters=filters))
    table_cells.draw(table_schemas.DIVERGENCES.page(result, at[: -_NEWEST - 1 : -1]))
    more = n(
        "Ver {count} log aprovado sem transação",
        "Ver os {count} logs aprovados sem transação",
        needing,
    )
    if st.button(more, key=SHOW_ALL):
        table_filters.filter_next(table_schemas.DIVERGENCES, c.MOTIVO, [c.APROVADA_SEM_TRANSACAO])
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
        chart_data=list(series) if len(series) > 1 else None,
        chart_type="area",
        border=True,
    )


def _day(day: date | None) -> str:
    return formatting.day(day) if day else t("sem data do período")


def _listed(days: Sequence[date]) -> str:
    some = ", ".join(formatting.day(day) for day in days[:_MOST_DAYS])
    if len(days) <= _MOST_DAYS:
        return some
    return n(
        "{some} e mais {count} dia", "{some} e mais {count} dias", len(days) - _MOST_DAYS, some=some
    )
