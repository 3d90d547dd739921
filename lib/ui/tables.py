"""A long table, fifty rows at a time: search, filters, order, totals, a selected row's details.

Only the page on show is ever formatted or sent. The header of a column sorts by it. What is asked
is in the address; the rows found and their order stay beside the data set.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.analysis import table_query
from lib.analysis.table_query import Query
from lib.ui import formatting, guard, query_params, table_cells, table_labels
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from lib.analysis.table_schemas import Table
    from lib.dashboard.dataset_store import Dataset
    from lib.domain.reconciliation import Reconciliation

PAGE_ROWS: Final = 50
_ROW_PIXELS: Final = 35
_MOST_VALUES: Final = 200

Detail = Callable[["Reconciliation", int], None]
"""Draws what is known of the row at this position of the table."""


def show(dataset: Dataset, table: Table, filtered: tuple[str, ...], detail: Detail) -> None:
    """Draw the table with filters on these columns, and ``detail`` of the selected row."""
    st.fragment(_draw)(dataset, table, filtered, detail)


def ask(table: Table, name: str, words: list[str]) -> None:
    """Have the table filtered by these words of a column when it is next drawn."""
    key = _Keys(table.name)
    st.session_state[key[name]] = words
    st.session_state[key["busca"]] = ""
    _first_page(key)


@dataclass(frozen=True)
class _Keys:
    """Where a table's widgets keep their values, in the session and in the address."""

    table: str

    def __getitem__(self, name: str) -> str:
        return f"{self.table}_{name}"


def _draw(dataset: Dataset, table: Table, filtered: tuple[str, ...], detail: Detail) -> None:
    guard.recheck()  # only this fragment runs again where somebody searches
    key = _Keys(table.name)
    words = {name: _words(dataset, table, name) for name in filtered}
    _restore(key, table, words)
    _controls(key, table, words)
    query = _query(key, words)
    _publish(key, query, filtered)
    st.fragment(_page)(dataset, table, query, detail)


def _page(dataset: Dataset, table: Table, query: Query, detail: Detail) -> None:
    """Draw the page on show: all that runs again where somebody turns it or selects a row."""
    guard.recheck()
    key = _Keys(table.name)
    if (st.session_state.get(key["ordem"]) or "") != _order(query):
        st.rerun()  # a header was clicked; what says the order is drawn outside of here
    result = dataset.outcome.reconciliation
    at = dataset.derived.get(
        (table.name, query),
        lambda: table_query.positions(result, table, query, dataset.derived.get),
    )
    if _asks(query):
        filters = "; ".join(f"{name} = {', '.join(values)}" for name, values in query.filters)
        guard.note_search(table.name, dataset, query.search, filters)
    pages = max(1, -(-len(at) // PAGE_ROWS))
    number = min(st.session_state.get(key["pagina"], 1), pages)
    if number != st.session_state.get(key["pagina"]):
        st.session_state[key["pagina"]] = number
    query_params.publish({key["pagina"]: str(number) if number > 1 else None})

    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(_total(dataset, table, query, at))
        if len(at):
            st.caption(t("Marque uma linha, à esquerda, para ver os detalhes."))
        if pages > 1:
            st.pagination(pages, key=key["pagina"], width=340, persist_state="session")
    if not len(at):
        st.info(
            t("Nenhuma linha com esta busca e estes filtros.")
            if _asks(query)
            else table_labels.none(table)
        )
        return
    shown = at[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    selected = _rows(key, dataset, table, query, shown)
    if selected is not None:
        draw = st.dialog(
            table_labels.title(table), width="large", on_dismiss=partial(_unselect, key)
        )(detail)
        draw(result, int(shown[selected]))


def _words(dataset: Dataset, table: Table, name: str) -> tuple[str, ...]:
    result = dataset.outcome.reconciliation
    words: tuple[str, ...] = dataset.derived.get(
        ("words", table.name, name), lambda: table_query.distinct_values(result, table, name)
    )
    return words[:_MOST_VALUES]


def _restore(key: _Keys, table: Table, words: dict[str, tuple[str, ...]]) -> None:
    def search(texts: list[str]) -> str:
        return table_query.clean_search(texts[0])

    def column(texts: list[str]) -> str | None:
        return texts[0] if texts[0].removeprefix("-") in table.columns else None

    def page(texts: list[str]) -> int | None:
        return int(texts[0]) if re.fullmatch(r"[1-9][0-9]{0,7}", texts[0]) else None

    query_params.restore(key["busca"], key["busca"], search)
    query_params.restore(key["ordem"], key["ordem"], column)
    if column([st.session_state.get(key["ordem"]) or ""]) is None:
        st.session_state[key["ordem"]] = ""  # another rule has no such column
    query_params.restore(key["pagina"], key["pagina"], page)
    for name, known in words.items():
        query_params.restore(key[name], key[name], partial(_among, known))
        chosen = st.session_state.get(key[name])
        if chosen:
            st.session_state[key[name]] = [word for word in chosen if word in known]


def _among(known: tuple[str, ...], texts: list[str]) -> list[str]:
    return [text for text in texts if text in known]


def _controls(key: _Keys, table: Table, words: dict[str, tuple[str, ...]]) -> None:
    # Labels are looked up here, while the reader's language is known.
    blank = t("(em branco)")
    orders = {"": t("Data e hora")}
    for name in table.columns:
        orders |= {name: f"{name} ▲", f"-{name}": f"{name} ▼"}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            t("Buscar"),
            key=key["busca"],
            placeholder=table_labels.placeholder(table),
            on_change=_search,
            args=(key,),
            width=270,
            persist_state="session",
        )
        for name, known in words.items():
            said = {word: table_cells.written(name, word) or blank for word in known}
            st.multiselect(
                table_cells.label(name),
                known,
                key=key[name],
                format_func=said.__getitem__,
                placeholder=t("Todos"),
                on_change=_first_page,
                args=(key,),
                width=180,
                persist_state="session",
            )
        st.selectbox(
            t("Ordenar por"),
            list(orders),
            key=key["ordem"],
            format_func=orders.__getitem__,
            on_change=_first_page,
            args=(key,),
            width=200,
            persist_state="session",
        )


def _query(key: _Keys, words: dict[str, tuple[str, ...]]) -> Query:
    order = st.session_state.get(key["ordem"]) or ""
    chosen = {name: tuple(sorted(st.session_state.get(key[name]) or ())) for name in words}
    return Query(
        search=st.session_state.get(key["busca"]) or "",
        filters=tuple((name, values) for name, values in chosen.items() if values),
        sort=order.removeprefix("-"),
        descending=order.startswith("-"),
    )


def _asks(query: Query) -> bool:
    return bool(query.search or query.filters)


def _publish(key: _Keys, query: Query, filtered: tuple[str, ...]) -> None:
    wanted = dict(query.filters)
    query_params.publish(
        {
            key["busca"]: query.search,
            key["ordem"]: _order(query),
            **{key[name]: list(wanted.get(name, ())) for name in filtered},
        }
    )


def _order(query: Query) -> str:
    return f"-{query.sort}" if query.descending else query.sort


def _total(dataset: Dataset, table: Table, query: Query, at: Any) -> str:
    count = n("{count} linha", "{count} linhas", len(at))
    if _asks(query):
        of = formatting.whole(len(table.row_numbers(dataset.outcome.reconciliation)))
        count = t("{count} de {of}", count=count, of=of)
    if table.side == "transactions":
        result = dataset.outcome.reconciliation
        total = dataset.derived.get(
            ("amount", table.name, query), lambda: table_query.amount(result, table, at)
        )
        count = t("{count} · total {amount}", count=count, amount=formatting.money(total))
    return count


def _rows(key: _Keys, dataset: Dataset, table: Table, query: Query, shown: Any) -> int | None:
    """Draw the page and return the selected row's place in it."""
    frame = table_cells.formatted(table.page(dataset.outcome.reconciliation, shown))
    # No selection outlives the rows it was made in.
    rows_on_show = (dataset.version, query, int(shown[0]))
    if st.session_state.get(key["vista"]) != rows_on_show:
        st.session_state[key["vista"]] = rows_on_show
        _unselect(key)
    event = st.dataframe(
        frame,
        key=key["linhas"],
        hide_index=True,
        height=(len(frame) + 1) * _ROW_PIXELS + 3,
        column_order=table_cells.order(frame.column_names),
        column_config=table_cells.configuration(frame.column_names, _order(query)),
        on_select=partial(_sort_by_header, key, tuple(frame.column_names)),
        selection_mode=["single-row", "single-column"],
        row_height=_ROW_PIXELS,
        placeholder="",
    )
    rows = event.selection.rows
    return int(rows[0]) if rows and rows[0] < len(frame) else None


def _unselect(key: _Keys) -> None:
    st.session_state[key["linhas"]] = {"selection": {"rows": [], "columns": []}}


def _sort_by_header(key: _Keys, names: tuple[str, ...]) -> None:
    """What a click on a header does: that column's order, or the other way round.

    The browser marks a header at one click and unmarks it at the next, or marks it again where new
    rows have unmarked it in between; all are a click. A row that is ticked is none.
    """
    selection = st.session_state[key["linhas"]].selection
    marked = tuple(selection.columns)
    before = st.session_state.get(key["marcada"], ())
    st.session_state[key["marcada"]] = marked
    clicked = [name for name in marked or before if name in names]
    if selection.rows or not clicked:
        return
    order = st.session_state.get(key["ordem"])
    st.session_state[key["ordem"]] = f"-{clicked[0]}" if order == clicked[0] else clicked[0]
    _first_page(key)


def _search(key: _Keys) -> None:
    st.session_state[key["busca"]] = table_query.clean_search(st.session_state[key["busca"]])
    _first_page(key)


def _first_page(key: _Keys) -> None:
    st.session_state[key["pagina"]] = 1
