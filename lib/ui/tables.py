"""Show long tables, fifty rows at a time: totals, rows, details of a row.

Only the visible page is formatted and sent. A click on a heading sorts by its column, on the
server; a click anywhere on a row, or Enter, opens its details. The matching rows and their order
are cached with the data set.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.analysis import table_query, table_schemas
from lib.domain.errors import AggregatorError
from lib.ui import (
    file_export,
    formatting,
    guard,
    query_params,
    row_downloads,
    table_cells,
    table_filters,
)
from lib.ui.i18n import language, n, sentence, t
from lib.ui.row_downloads import ROWS as ROWS
from lib.ui.table_filters import Keys

if TYPE_CHECKING:
    from lib.analysis.table_schemas import Table
    from lib.dashboard.dataset_store import Dataset
    from lib.domain.reconciliation import Reconciliation
    from lib.ui.case_columns import CaseColumns
    from lib.ui.table_filters import Question

PAGE_ROWS: Final = 50
OF_ALL_ROWS: Final = "{count} de {of}"
WITH_AMOUNT: Final = "{count} · total {amount}"
NO_MATCH: Final = "Nenhuma linha com esta busca e estes filtros."

_PAGINATION_WIDTH: Final = 340

Detail = Callable[["Reconciliation", int, "Reconciliation"], None]
"""Draws the details of the row at this position, with related records of the whole period."""


def show(
    dataset: Dataset,
    table: Table,
    filtered: tuple[str, ...],
    detail: Detail,
    cases: CaseColumns | None = None,
) -> None:
    """Draw the table with filters on these columns, and ``detail`` of the opened row.

    ``cases`` are those of the rows, with columns and filters of their own.
    """
    st.fragment(_draw)(dataset, table, filtered, detail, cases)


def turn_pages(key: str, rows: int, total: str, beside: Callable[[], object] = lambda: None) -> int:
    """Draw the total, what stands beside it, and the pagination of ``rows``; return the page."""
    pages = max(1, -(-rows // PAGE_ROWS))
    number: int = min(st.session_state.get(key, 1), pages)
    if number != st.session_state.get(key):
        st.session_state[key] = number
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(total)
        beside()
        if pages > 1:
            st.pagination(pages, key=key, width=_PAGINATION_WIDTH, persist_state="session")
    return number


def _draw(
    dataset: Dataset,
    table: Table,
    filtered: tuple[str, ...],
    detail: Detail,
    cases: CaseColumns | None,
) -> None:
    guard.recheck()  # a search runs only this fragment again
    question = table_filters.ask(dataset, table, filtered, cases)
    st.fragment(_page)(dataset, table, question, detail, cases)


def _page(
    dataset: Dataset, table: Table, question: Question, detail: Detail, cases: CaseColumns | None
) -> None:
    """Draw the visible page; only this part reruns for another page or an opened row."""
    guard.recheck()
    try:
        _rows_and_details(dataset, table, question, detail, cases)
    except AggregatorError as problem:
        st.error(formatting.plain(sentence(problem)))


def _rows_and_details(
    dataset: Dataset, table: Table, question: Question, detail: Detail, cases: CaseColumns | None
) -> None:
    key, query = Keys(table.name), question.query
    if st.session_state[key["ordem"]] != question.order:
        st.rerun()  # a heading was clicked; the order's box is drawn outside this fragment
    result = dataset.outcome.reconciliation
    at = dataset.derived.get(
        (table.name, query),
        lambda: table_query.positions(result, table, query, dataset.derived.get),
    )
    if cases is not None:
        at = cases.arranged(cases.allowed(at), question.order)
    if question.restricts:
        guard.note_search(table.name, dataset, query.search, question.filters)
    offer = partial(row_downloads.of_table, dataset, table, question, at)
    download = partial(row_downloads.show, key["baixar"], len(at), offer)
    number = turn_pages(key["pagina"], len(at), _total(dataset, table, question, at), download)
    file_export.follow(row_downloads.SLOT)
    query_params.publish({key["pagina"]: str(number) if number > 1 else None})
    title, empty = _labels(language())[table.name]
    if not len(at):
        st.info(t(NO_MATCH) if question.restricts else empty)
        return
    shown = at[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    if cases is not None:
        cases.marking(at, restricted=question.restricts)
    opened = _rows(key, dataset, table, question, shown, cases)
    if opened is not None:
        dismiss = partial(_open, key, cases, None)
        draw = st.dialog(title, width="large", on_dismiss=dismiss)(_details)
        draw(detail, dataset, int(shown[opened]), cases)


def _details(detail: Detail, dataset: Dataset, position: int, cases: CaseColumns | None) -> None:
    guard.recheck()
    detail(dataset.outcome.reconciliation, position, dataset.matched)
    if cases is not None:
        cases.details(position)


@lru_cache(maxsize=4)
def _labels(_: str) -> dict[str, tuple[str, str]]:
    """By table: the title of a row's details, and the sentence for an empty table.

    Cached by language.
    """
    return {
        table_schemas.CONSOLIDATED.name: (
            t("Transação e log"),
            t("Nenhuma transação consolidada neste período."),
        ),
        table_schemas.DIVERGENCES.name: (
            t("Log divergente"),
            t("Nenhuma divergência neste período."),
        ),
        table_schemas.WITHOUT_LOG.name: (
            t("Transação sem log"),
            t("Nenhuma transação sem log neste período."),
        ),
        table_schemas.DUPLICATES.name: (
            t("Duplicata removida"),
            t("Nenhuma duplicata removida neste período."),
        ),
    }


def _total(dataset: Dataset, table: Table, question: Question, at: Any) -> str:
    result = dataset.outcome.reconciliation
    count = n(*ROWS, len(at))
    if question.restricts:
        of = formatting.whole(len(table.row_numbers(result)))
        count = t(OF_ALL_ROWS, count=count, of=of)
    if table.side == "transactions":
        # Marks change which rows pass a filter on cases.
        key = ("amount", table.name, question.query, at.tobytes() if question.cases else b"")
        total = dataset.derived.get(key, lambda: table_query.amount(result, table, at))
        count = t(WITH_AMOUNT, count=count, amount=formatting.money(total))
    return count


def _rows(
    key: Keys,
    dataset: Dataset,
    table: Table,
    question: Question,
    shown: Any,
    cases: CaseColumns | None,
) -> int | None:
    """Draw the page and return the opened row's position in it."""
    # A row stays open until other rows are shown.
    rows_on_show = (dataset.version, question.query, int(shown[0]))
    if st.session_state.get(key["vista"]) != rows_on_show:
        st.session_state[key["vista"]] = rows_on_show
        _open(key, cases, None)
    table_cells.draw(
        table.cells(dataset.outcome.reconciliation, shown, question.columns),
        key["linhas"],
        question.order,
        hint=t("Clique em uma linha, ou pressione Enter nela, para ver os detalhes."),
        beside=cases.cells(shown, question.order) if cases else None,
        selected=cases.ticked(shown) if cases else (),
        on_open=partial(_open, key, cases),
        on_sort=partial(table_filters.sort_by, table),
        on_select=partial(cases.tick, shown) if cases and cases.scope.may_mark else None,
    )
    opened = st.session_state.get(key["aberta"])
    return opened if opened is not None and opened < len(shown) else None


def _open(key: Keys, cases: CaseColumns | None, position: int | None) -> None:
    st.session_state[key["aberta"]] = position
    if cases is not None:
        cases.close()
