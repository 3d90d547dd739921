""" "Baixar estas linhas": the rows of a table as the reader asked for them, as a file.

Owns the question that is written into the file. The file goes the way of every download.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import streamlit as st

from lib.dashboard.row_export import Selection
from lib.domain.requests import CARD_TIME
from lib.reports import row_file
from lib.security import audit_events
from lib.ui import app_state, downloads, file_export, formatting, navigation, table_cells
from lib.ui.file_export import EXPORTS, Delivery
from lib.ui.i18n import n, t
from lib.ui.table_filters import Keys, order_label

if TYPE_CHECKING:
    from lib.analysis.table_schemas import Table
    from lib.dashboard.dataset_store import Dataset
    from lib.security.audit_events import Operation
    from lib.ui.app_state import Site
    from lib.ui.table_filters import Question

SLOT: Final = "_row_download"
ROWS: Final = ("{count} linha", "{count} linhas")
OF_ALL: Final = "{rows}, de {of}"

_MIMES: Final = {
    row_file.CSV: "text/csv; charset=utf-8",
    row_file.XLSX: downloads.XLSX,
    row_file.PARQUET: "application/vnd.apache.parquet",
}


def show(dataset: Dataset, table: Table, question: Question, positions: Any) -> None:
    """Draw the menu of the kinds of file."""
    if not len(positions):
        return
    kinds = {
        row_file.XLSX: t("Excel"),
        row_file.CSV: t("CSV"),
        row_file.PARQUET: t("Parquet"),
    }
    key = Keys(table.name)["baixar"]
    st.menu_button(
        t("Baixar estas linhas"),
        list(kinds),
        key=key,
        format_func=kinds.__getitem__,
        disabled=file_export.running(SLOT),
        on_click=partial(_start, key, dataset, table, question, positions),
    )


def _start(key: str, dataset: Dataset, table: Table, question: Question, positions: Any) -> None:
    site, kind = app_state.find(), st.session_state.get(key)
    if site is None or kind not in row_file.KINDS:
        return
    outcome = dataset.outcome
    request = outcome.request
    selection = Selection(
        outcome.reconciliation,
        table,
        positions,
        question.columns,
        kind,
        _described(site, dataset, table, question, len(positions)),
        outcome.extracted_at,
    )

    def deliver(operation: Operation) -> Delivery:
        name = downloads.file_name(
            outcome.merchant_name, request.period, _subject(table), ending=kind
        )
        export = EXPORTS.start_rows(selection)
        return Delivery(export, name, request.merchant, _MIMES[kind], operation)

    fields = audit_events.request_fields(request, clear=False) | {
        "page": table.name,
        "format": kind,
        "search": question.query.search,
        "filters": question.filters,
        "order": question.order,
        "columns": list(question.columns),
    }
    file_export.begin(SLOT, site, fields, {"selected": len(positions)}, deliver)


def _described(
    site: Site, dataset: Dataset, table: Table, question: Question, rows: int
) -> dict[str, str]:
    """The question that the file answers, in the reader's words."""
    outcome, query = dataset.outcome, question.query
    request, zone = outcome.request, ZoneInfo(site.settings.timezone)
    rule = t("Cartão")
    if request.rule.name == CARD_TIME:
        rule = f"{t('Cartão e horário')}, {request.rule.tolerance_seconds // 60} min"
    filters = "; ".join(
        f"{table_cells.label(name)} = {', '.join(_written(name, value) for value in values)}"
        for name, values in query.filters
    )
    filters = "; ".join(filter(None, (filters, question.cases)))
    whole, within = dataset.key.request.period, {}
    if whole != request.period:  # a day of a longer reconciliation has other pairs than alone
        within = {t("Dentro da conciliação de"): formatting.span(whole.start, whole.end)}
    return {
        t("Tabela"): _subject(table),
        t("Estabelecimento"): f"{outcome.merchant_name} · {formatting.cnpj(request.merchant)}",
        t("Período"): formatting.span(request.period.start, request.period.end),
        **within,
        t("Regra"): rule,
        t("Busca"): query.search or formatting.NO_VALUE,
        t("Filtros"): filters or formatting.NO_VALUE,
        t("Ordem"): order_label(table, question.order),
        t("Linhas"): t(
            OF_ALL,
            rows=n(*ROWS, rows),
            of=formatting.whole(len(table.row_numbers(outcome.reconciliation))),
        ),
        t("Dados lidos em"): formatting.instant(outcome.extracted_at.astimezone(zone)),
        t("Baixado em"): formatting.instant(datetime.now(zone)),
    }


def _written(name: str, value: str) -> str:
    return table_cells.written(name, value) or t("(em branco)")


def _subject(table: Table) -> str:
    return {
        "consolidated": navigation.titles()["consolidated"],
        "divergences": t("Divergências"),
        "without_log": t("Transações sem log"),
        "duplicates": t("Duplicatas removidas"),
    }[table.name]
