"""Show long tables, fifty rows at a time: search, filters, order, totals, details of a row.

Only the visible page is formatted and sent. A click on a column's header sorts by it. The query is
in the address; the matching rows and their order are cached with the data set.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.analysis import table_query, table_schemas
from lib.analysis.table_query import Query
from lib.domain import columns as c
from lib.ui import formatting, guard, query_params, table_cells
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lib.analysis.table_schemas import Table
    from lib.dashboard.dataset_store import Dataset
    from lib.domain.reconciliation import Reconciliation

PAGE_ROWS: Final = 50
ROWS: Final = ("{count} linha", "{count} linhas")
OF_ALL_ROWS: Final = "{count} de {of}"
WITH_AMOUNT: Final = "{count} · total {amount}"
NO_MATCH: Final = "Nenhuma linha com esta busca e estes filtros."
BAD_VIEW: Final = (
    "O endereço tem um filtro, uma ordem ou um número de página que esta tabela não tem; a tabela "
    "mostra o padrão no lugar dele."
)

_PAGINATION_WIDTH: Final = 340
_MOST_VALUES: Final = 200

Detail = Callable[["Reconciliation", int], None]
"""Draws the details of the row at this position of the table."""


def show(dataset: Dataset, table: Table, filtered: tuple[str, ...], detail: Detail) -> None:
    """Draw the table with filters on these columns, and ``detail`` of the selected row."""
    st.fragment(_draw)(dataset, table, filtered, detail)


def filter_next(table: Table, name: str, values: list[str]) -> None:
    """Filter the table by these values of a column when it is next drawn."""
    key = _Keys(table.name)
    st.session_state[key[name]] = values
    st.session_state[key["busca"]] = ""
    _first_page(key)


def choose_values(
    name: str, values: Sequence[str], key: str, width: int, **callback: Any
) -> list[str]:
    """Draw the input that filters a column by its values and return the chosen ones."""
    # Labels are looked up here, while the reader's language is known.
    texts = {value: table_cells.written(name, value) or t("(em branco)") for value in values}
    return st.multiselect(
        table_cells.label(name),
        values,
        key=key,
        format_func=texts.__getitem__,
        placeholder=t("Todos"),
        width=width,
        persist_state="session",
        **callback,
    )


def turn_pages(key: str, rows: int, total: str, hint: str = "") -> int:
    """Draw the total, a hint, and the pagination of ``rows``; return the page's number."""
    pages = max(1, -(-rows // PAGE_ROWS))
    number: int = min(st.session_state.get(key, 1), pages)
    if number != st.session_state.get(key):
        st.session_state[key] = number
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(total)
        if rows and hint:
            st.caption(hint)
        if pages > 1:
            st.pagination(pages, key=key, width=_PAGINATION_WIDTH, persist_state="session")
    return number


@dataclass(frozen=True)
class _Keys:
    """The keys of a table's widgets, in the session and in the address."""

    table: str

    def __getitem__(self, name: str) -> str:
        return f"{self.table}_{name}"


def _draw(dataset: Dataset, table: Table, filtered: tuple[str, ...], detail: Detail) -> None:
    guard.recheck()  # a search runs only this fragment again
    key = _Keys(table.name)
    choices = {name: _choices(dataset, table, name) for name in filtered}
    _restore(key, table, choices)
    if _is_refused(key, table, choices):
        st.warning(t(BAD_VIEW))
    _controls(key, table, choices)
    query = _query(key, choices)
    _publish(key, query, filtered)
    st.fragment(_page)(dataset, table, query, detail)


def _page(dataset: Dataset, table: Table, query: Query, detail: Detail) -> None:
    """Draw the visible page; only this part reruns for another page or a selected row."""
    guard.recheck()
    key = _Keys(table.name)
    if (st.session_state.get(key["ordem"]) or "") != _order(query):
        st.rerun()  # a header was clicked; the order's box is drawn outside this fragment
    result = dataset.outcome.reconciliation
    at = dataset.derived.get(
        (table.name, query),
        lambda: table_query.positions(result, table, query, dataset.derived.get),
    )
    if _restricts(query):
        filters = "; ".join(f"{name} = {', '.join(values)}" for name, values in query.filters)
        guard.note_search(table.name, dataset, query.search, filters)
    hint = t("Marque uma linha, à esquerda, para ver os detalhes.")
    number = turn_pages(key["pagina"], len(at), _total(dataset, table, query, at), hint)
    query_params.publish({key["pagina"]: str(number) if number > 1 else None})
    title, empty = _labels()[table.name]
    if not len(at):
        st.info(t(NO_MATCH) if _restricts(query) else empty)
        return
    shown = at[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    selected = _rows(key, dataset, table, query, shown)
    if selected is not None:
        draw = st.dialog(title, width="large", on_dismiss=partial(_unselect, key))(detail)
        draw(result, int(shown[selected]))


def _choices(dataset: Dataset, table: Table, name: str) -> tuple[str, ...]:
    result = dataset.outcome.reconciliation
    choices: tuple[str, ...] = dataset.derived.get(
        ("values", table.name, name), lambda: table_query.distinct_values(result, table, name)
    )
    return choices[:_MOST_VALUES]


def _restore(key: _Keys, table: Table, choices: dict[str, tuple[str, ...]]) -> None:
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
    for name, known in choices.items():
        query_params.restore(key[name], key[name], partial(_among, known))
        chosen = st.session_state.get(key[name])
        if chosen:
            st.session_state[key[name]] = _among(known, chosen)


def _is_refused(key: _Keys, table: Table, choices: dict[str, tuple[str, ...]]) -> bool:
    """Check if the address asks this table for something that it does not have."""
    names = {"busca", "ordem", "pagina", *choices}
    foreign = {"busca", "ordem", "pagina", *table.columns}  # names that lack the table's own
    asked = st.query_params
    return any(
        name in foreign or (name.startswith(key[""]) and name.removeprefix(key[""]) not in names)
        for name in asked
    ) or any(query_params.refused(key[name]) for name in names)


def _among(known: tuple[str, ...], texts: list[str]) -> list[str]:
    return [text for text in texts if text in known]


def _controls(key: _Keys, table: Table, choices: dict[str, tuple[str, ...]]) -> None:
    orders = {"": t("Data e hora")}
    for name in table.columns:
        orders |= {name: f"{name} ▲", f"-{name}": f"{name} ▼"}
    to_first_page: dict[str, Any] = {"on_change": _first_page, "args": (key,)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            t("Buscar"),
            key=key["busca"],
            placeholder=_placeholder(table),
            on_change=_search,
            args=(key,),
            width=270,
            persist_state="session",
        )
        for name, known in choices.items():
            choose_values(name, known, key[name], 180, **to_first_page)
        st.selectbox(
            t("Ordenar por"),
            list(orders),
            key=key["ordem"],
            format_func=orders.__getitem__,
            width=200,
            persist_state="session",
            **to_first_page,
        )


def _placeholder(table: Table) -> str:
    """List the searched columns for the reader."""
    if table.side == "auth_logs":
        return t("Cartão, código ou texto do log")
    if c.DES_LOG in table.columns:
        return t("CPF, cartão, código ou texto do log")
    return t("CPF ou cartão")


def _labels() -> dict[str, tuple[str, str]]:
    """By table: the title of a row's details, and the sentence for an empty table."""
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


def _query(key: _Keys, choices: dict[str, tuple[str, ...]]) -> Query:
    order = st.session_state.get(key["ordem"]) or ""
    chosen = {name: tuple(sorted(st.session_state.get(key[name]) or ())) for name in choices}
    return Query(
        search=st.session_state.get(key["busca"]) or "",
        filters=tuple((name, values) for name, values in chosen.items() if values),
        sort=order.removeprefix("-"),
        descending=order.startswith("-"),
    )


def _restricts(query: Query) -> bool:
    return bool(query.search or query.filters)


def _publish(key: _Keys, query: Query, filtered: tuple[str, ...]) -> None:
    filters = dict(query.filters)
    query_params.publish(
        {
            key["busca"]: query.search,
            key["ordem"]: _order(query),
            **{key[name]: list(filters.get(name, ())) for name in filtered},
        }
    )


def _order(query: Query) -> str:
    return f"-{query.sort}" if query.descending else query.sort


def _total(dataset: Dataset, table: Table, query: Query, at: Any) -> str:
    result = dataset.outcome.reconciliation
    count = n(*ROWS, len(at))
    if _restricts(query):
        of = formatting.whole(len(table.row_numbers(result)))
        count = t(OF_ALL_ROWS, count=count, of=of)
    if table.side == "transactions":
        total = dataset.derived.get(
            ("amount", table.name, query), lambda: table_query.amount(result, table, at)
        )
        count = t(WITH_AMOUNT, count=count, amount=formatting.money(total))
    return count


def _rows(key: _Keys, dataset: Dataset, table: Table, query: Query, shown: Any) -> int | None:
    """Draw the page and return the selected row's position in it."""
    # A selection ends when other rows are shown.
    rows_on_show = (dataset.version, query, int(shown[0]))
    if st.session_state.get(key["vista"]) != rows_on_show:
        st.session_state[key["vista"]] = rows_on_show
        _unselect(key)
    page = table.page(dataset.outcome.reconciliation, shown)
    event = table_cells.draw(
        page,
        key["linhas"],
        _order(query),
        full_height=True,
        on_select=partial(_sort_by_header, key, tuple(page.column_names)),
        selection_mode=["single-row", "single-column"],
    )
    rows = event.selection.rows
    return int(rows[0]) if rows and rows[0] < len(page) else None


def _unselect(key: _Keys) -> None:
    st.session_state[key["linhas"]] = {"selection": {"rows": [], "columns": []}}


def _sort_by_header(key: _Keys, names: tuple[str, ...]) -> None:
    """Sort by the clicked header's column, or reverse its order.

    The browser selects a header at one click and deselects it at the next, or selects it again if
    new rows have cleared the selection. Each of these counts as a click; selecting a row does not.
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
