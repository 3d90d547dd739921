""" "Baixar estas linhas": the rows of a table as the reader asked for them, as a file.

Owns the question that is written into the file. The file goes the way of every download.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.dashboard import row_export
from lib.dashboard.row_export import Selection
from lib.domain.requests import CARD_TIME
from lib.reports import row_file
from lib.security import audit_events
from lib.ui import app_state, downloads, file_export, formatting, navigation, table_cells
from lib.ui.file_export import EXPORTS, Delivery
from lib.ui.i18n import n, t
from lib.ui.table_filters import order_label

if TYPE_CHECKING:
    import pyarrow as pa

    from lib.analysis.table_schemas import Table
    from lib.dashboard.dataset_store import Dataset
    from lib.domain.requests import Period, Request
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


@dataclass(frozen=True, eq=False)
class Offer:
    """Rows of a table that a reader can download, and the question that they answer.

    ``parts`` yields them in the order shown; ``of`` is the number of the table's rows; ``filters``
    and ``order`` are in the reader's words, ``asked`` in the audit's.
    """

    table: str
    request: Request
    merchant_name: str
    extracted_at: datetime
    rows: int
    of: int
    parts: Callable[[], Iterator[pa.Table]]
    search: str
    filters: str
    order: str
    asked: Mapping[str, object]
    within: Period | None = None

    @property
    def name(self) -> str:
        """The table's name for people."""
        return {
            "consolidated": navigation.titles()["consolidated"],
            "divergences": t("Divergências"),
            "without_log": t("Transações sem log"),
            "duplicates": t("Duplicatas removidas"),
        }[self.table]


def of_table(dataset: Dataset, table: Table, question: Question, positions: Any) -> Offer:
    """The rows at these positions of a table of a data set."""
    outcome, whole = dataset.outcome, dataset.key.request.period
    filters = filters_in_words(question.query.filters)
    return Offer(
        table=table.name,
        request=outcome.request,
        merchant_name=outcome.merchant_name,
        extracted_at=outcome.extracted_at,
        rows=len(positions),
        of=len(table.row_numbers(outcome.reconciliation)),
        parts=partial(row_export.parts, outcome.reconciliation, table, positions, question.columns),
        search=question.query.search,
        filters="; ".join(filter(None, (filters, question.cases))),
        order=order_label(table, question.order),
        asked={
            "page": table.name,
            "filters": question.filters,
            "order": question.order,
            "columns": list(question.columns),
        },
        # A day of a longer reconciliation has other pairs than alone.
        within=whole if whole != outcome.request.period else None,
    )


def filters_in_words(filters: Sequence[tuple[str, Sequence[str]]]) -> str:
    """The accepted values by column, for people."""
    return "; ".join(
        f"{table_cells.label(name)} = {', '.join(map(partial(table_cells.choice, name), values))}"
        for name, values in filters
    )


def show(key: str, rows: int, offer: Callable[[], Offer]) -> None:
    """Draw the menu of the kinds of file; ``offer`` describes the rows once one is chosen."""
    if not rows:
        return
    kinds = {
        row_file.XLSX: t("Excel"),
        row_file.CSV: t("CSV"),
        row_file.PARQUET: t("Parquet"),
    }
    st.menu_button(
        t("Baixar estas linhas"),
        list(kinds),
        key=key,
        format_func=kinds.__getitem__,
        disabled=file_export.running(SLOT),
        on_click=partial(_start, key, offer),
    )


def _start(key: str, offered: Callable[[], Offer]) -> None:
    site, kind = app_state.find(), st.session_state.get(key)
    if site is None or kind not in row_file.KINDS:
        return
    offer = offered()
    request = offer.request
    selection = Selection(offer.parts, kind, _described(site, offer), offer.extracted_at)

    def deliver(operation: Operation) -> Delivery:
        name = downloads.file_name(offer.merchant_name, request.period, offer.name, ending=kind)
        export = EXPORTS.start_rows(selection)
        return Delivery(export, name, request.merchant, _MIMES[kind], operation)

    fields = audit_events.request_fields(request, clear=False) | {
        "format": kind,
        "search": offer.search,
        **offer.asked,
    }
    file_export.begin(SLOT, site, fields, {"selected": offer.rows}, deliver)


def _described(site: Site, offer: Offer) -> dict[str, str]:
    """The question that the file answers, in the reader's words."""
    request, zone = offer.request, site.settings.zone
    rule = t("Cartão")
    if request.rule.name == CARD_TIME:
        rule = f"{t('Cartão e horário')}, {request.rule.tolerance_seconds // 60} min"
    within = {}
    if offer.within is not None:
        name = t("Dentro da conciliação de")
        within[name] = formatting.span(offer.within.start, offer.within.end)
    return {
        t("Tabela"): offer.name,
        t("Estabelecimento"): f"{offer.merchant_name} · {formatting.cnpj(request.merchant)}",
        t("Período"): formatting.span(request.period.start, request.period.end),
        **within,
        t("Regra"): rule,
        t("Busca"): offer.search or formatting.NO_VALUE,
        t("Filtros"): offer.filters or formatting.NO_VALUE,
        t("Ordem"): offer.order,
        t("Linhas"): t(OF_ALL, rows=n(*ROWS, offer.rows), of=formatting.whole(offer.of)),
        t("Dados lidos em"): formatting.instant(offer.extracted_at.astimezone(zone)),
        t("Baixado em"): formatting.instant(datetime.now(zone)),
    }
