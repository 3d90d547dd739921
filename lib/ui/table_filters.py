"""The question that a reader asks of a long table: search, filters, order, columns.

Owns the inputs, their values in the session, and their names in the address, which all begin with
the table's name. Draws no row.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.analysis import table_query
from lib.analysis.table_query import Query
from lib.domain import columns as c
from lib.ui import case_columns, case_words, filter_input, query_params, saved_views, table_cells
from lib.ui.formatting import plain
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.analysis.table_schemas import Table
    from lib.dashboard.dataset_store import Dataset
    from lib.ui.case_columns import CaseColumns

BAD_VIEW: Final = (
    "O endereço tem um filtro, uma ordem, uma coluna ou um número de página que esta tabela não "
    "tem; a tabela mostra o padrão no lugar dele."
)
NEWEST_FIRST: Final = "Mais recentes primeiro"
OLDEST_FIRST: Final = "Mais antigas primeiro"

DROPPED: Final = (
    "A visão filtra por valores que estes dados não têm; a tabela mostra as linhas sem esses "
    "filtros: {values}."
)

_MOST_VALUES: Final = 200
_NAMES: Final = ("busca", "ordem", "pagina", "colunas")
# The title of the page says it.
_HIDDEN_AT_FIRST: Final = (c.DES_CNPJ_REDUZIDO,)


@dataclass(frozen=True)
class Keys:
    """The keys of a table's widgets, in the session and in the address."""

    table: str

    def __getitem__(self, name: str) -> str:
        return f"{self.table}_{name}"


@dataclass(frozen=True)
class Question:
    """The rows that a reader asks for, in their order, and the columns to show.

    ``order`` is the column that they are sorted by, perhaps one of their cases, with a leading
    minus if they descend; ``cases`` are the filters on the rows' cases, in words.
    """

    query: Query
    columns: tuple[str, ...]
    order: str
    cases: str = ""

    @property
    def restricts(self) -> bool:
        """True if a search or a filter leaves rows out."""
        return bool(self.query.search or self.query.filters or self.cases)

    @property
    def filters(self) -> str:
        """The filters as text for the audit."""
        texts = [f"{name} = {', '.join(values)}" for name, values in self.query.filters]
        return "; ".join(filter(None, [*texts, self.cases]))


def ask(
    dataset: Dataset, table: Table, filtered: Sequence[str], cases: CaseColumns | None = None
) -> Question:
    """Draw the inputs, with filters on these columns, and return the reader's question."""
    key = Keys(table.name)
    choices = {name: _choices(dataset, table, name) for name in filtered}
    orders = _orders(table) | (_case_orders() if cases else {})
    _restore(key, table, choices, orders)
    if _is_refused(key, table, choices):
        st.warning(t(BAD_VIEW))
    of_cases = _controls(key, table, choices, orders, cases)
    order = st.session_state[key["ordem"]]
    question = Question(_query(key, table, choices), _columns(key, table), order, of_cases)
    with st.container(horizontal=True, vertical_alignment="center"):
        if question.restricts:
            st.button(t("Limpar filtros"), key=key["limpar"], on_click=_clear, args=(key, filtered))
        _column_choice(key, table)
        values = _values(key, question, filtered)
        saved_views.show(table.name, values, partial(_apply, key, table, choices))
    _say_dropped(key)
    _publish(key, table, question, filtered)
    return question


def filter_next(table: Table, name: str, values: list[str]) -> None:
    """Filter the table by these values of a column when it is next drawn."""
    key = Keys(table.name)
    st.session_state[key[name]] = values
    st.session_state[key["busca"]] = ""
    to_first_page(key)


def search_field(key: Keys, table: Table) -> str:
    """Draw the input of a search in this table and return the text."""
    text: str = st.text_input(
        t("Buscar"),
        key=key["busca"],
        placeholder=_placeholder(table),
        on_change=_search,
        args=(key,),
        width=270,
        persist_state="session",
    )
    return text


def choose_values(
    name: str, values: Sequence[str], key: str, width: int, **callback: Any
) -> list[str]:
    """Draw the input that filters a column by its values and return the chosen ones."""
    # Labels are looked up here, while the reader's language is known.
    texts = {value: table_cells.choice(name, value) for value in values}
    return filter_input.several(table_cells.label(name), texts, key, width, **callback)


def sort_by(table: Table, name: str) -> None:
    """Sort by this column, or reverse its order."""
    key = Keys(table.name)
    st.session_state[key["ordem"]] = f"-{name}" if st.session_state[key["ordem"]] == name else name
    to_first_page(key)


def order_label(table: Table, order: str) -> str:
    """The reader's words for an order."""
    return (_orders(table) | _case_orders())[order]


def to_first_page(key: Keys) -> None:
    """Show the first page of the table next."""
    st.session_state[key["pagina"]] = 1


def _choices(dataset: Dataset, table: Table, name: str) -> tuple[str, ...]:
    result = dataset.outcome.reconciliation
    choices: tuple[str, ...] = dataset.derived.get(
        ("values", table.name, name), lambda: table_query.distinct_values(result, table, name)
    )
    return choices[:_MOST_VALUES]


def _restore(
    key: Keys, table: Table, choices: dict[str, tuple[str, ...]], orders: Collection[str]
) -> None:
    def search(texts: list[str]) -> str:
        return table_query.clean_search(texts[0])

    def page(texts: list[str]) -> int | None:
        return int(texts[0]) if re.fullmatch(r"[1-9][0-9]{0,7}", texts[0]) else None

    query_params.restore(key["busca"], key["busca"], search)
    query_params.restore_one(key["ordem"], orders)
    if st.session_state.get(key["ordem"]) not in orders:
        st.session_state[key["ordem"]] = _newest_first(table)  # also where another rule has no such
    query_params.restore(key["pagina"], key["pagina"], page)
    for name, values in {"colunas": table.columns, **choices}.items():
        query_params.restore_some(key[name], values)
    if not st.session_state.get(key["colunas"]):
        st.session_state[key["colunas"]] = _usual_columns(table)


def _is_refused(key: Keys, table: Table, choices: dict[str, tuple[str, ...]]) -> bool:
    """Check if the address asks this table for something that it does not have."""
    names = {*_NAMES, *choices}
    foreign = {*_NAMES, *table.columns}  # names that lack the table's own
    asked = st.query_params
    return any(
        name in foreign or (name.startswith(key[""]) and name.removeprefix(key[""]) not in names)
        for name in asked
    ) or any(query_params.refused(key[name]) for name in names)


def _controls(
    key: Keys,
    table: Table,
    choices: dict[str, tuple[str, ...]],
    orders: dict[str, str],
    cases: CaseColumns | None,
) -> str:
    """Draw the inputs and return the filters on cases in words."""
    again: dict[str, Any] = {"on_change": to_first_page, "args": (key,)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search_field(key, table)
        for name, known in choices.items():
            choose_values(name, known, key[name], 180, **again)
        of_cases = cases.ask(**again) if cases else ""
        st.selectbox(
            t("Ordenar por"),
            list(orders),
            key=key["ordem"],
            format_func=orders.__getitem__,
            width=215,
            persist_state="session",
            **again,
        )
    return of_cases


def _orders(table: Table) -> dict[str, str]:
    """The labels of the orders; sorted by date, rows are sorted by time as well."""
    orders = {_newest_first(table): t(NEWEST_FIRST), table.date: t(OLDEST_FIRST)}
    for name in table.columns:
        if name != table.date:
            orders |= _both_ways(name, table_cells.label(name))
    return orders


def _case_orders() -> dict[str, str]:
    orders: dict[str, str] = {}
    for column in case_words.columns():
        orders |= _both_ways(column.name, column.label)
    return orders


def _both_ways(name: str, text: str) -> dict[str, str]:
    return {name: f"{text} ▲", f"-{name}": f"{text} ▼"}


def _newest_first(table: Table) -> str:
    return f"-{table.date}"


def _column_choice(key: Keys, table: Table) -> None:
    with st.popover(t("Colunas"), key=key["colunas_abrir"]):
        st.pills(
            t("Colunas da tabela"),
            table_cells.on_screen(list(table.columns)),
            selection_mode="multi",
            key=key["colunas"],
            format_func={name: table_cells.label(name) for name in table.columns}.__getitem__,
            persist_state="session",
        )


def _columns(key: Keys, table: Table) -> tuple[str, ...]:
    """The chosen columns in the table's order; the usual ones while none is chosen."""
    chosen = st.session_state.get(key["colunas"]) or _usual_columns(table)
    return tuple(name for name in table.columns if name in chosen)


def _usual_columns(table: Table) -> list[str]:
    return [name for name in table.columns if name not in _HIDDEN_AT_FIRST]


def _placeholder(table: Table) -> str:
    """List the searched columns for the reader."""
    if table.side == "auth_logs":
        return t("Cartão, data, hora, código, mensagem")
    if c.DES_LOG in table.columns:
        return t("CPF, cartão, valor, data, mensagem")
    return t("CPF, cartão, valor, data, hora")


def _query(key: Keys, table: Table, choices: dict[str, tuple[str, ...]]) -> Query:
    order = st.session_state[key["ordem"]]
    if order.removeprefix("-") in case_columns.RANKS:
        order = _newest_first(table)  # `CaseColumns.arranged` sorts these rows
    chosen = {name: tuple(sorted(st.session_state.get(key[name]) or ())) for name in choices}
    return Query(
        search=st.session_state.get(key["busca"]) or "",
        filters=tuple((name, values) for name, values in chosen.items() if values),
        sort=order.removeprefix("-"),
        descending=order.startswith("-"),
    )


def _publish(key: Keys, table: Table, question: Question, filtered: Sequence[str]) -> None:
    filters = dict(question.query.filters)
    usual = list(question.columns) == _usual_columns(table)
    query_params.publish(
        {
            key["busca"]: question.query.search,
            key["ordem"]: None if question.order == _newest_first(table) else question.order,
            key["colunas"]: None if usual else list(question.columns),
            **{key[name]: list(filters.get(name, ())) for name in filtered},
        }
    )


def _values(key: Keys, question: Question, filtered: Sequence[str]) -> dict[str, Any]:
    """The question as a saved view holds it."""
    return {
        "busca": question.query.search,
        "ordem": question.order,
        "colunas": list(question.columns),
        "filtros": {name: list(st.session_state.get(key[name]) or ()) for name in filtered},
        "casos": {name: list(st.session_state.get(name) or ()) for name in case_columns.FILTERS},
    }


def _apply(
    key: Keys, table: Table, choices: dict[str, tuple[str, ...]], view: Mapping[str, Any]
) -> None:
    """Ask the question of a saved view, as far as this table and these data have its values."""
    filters = view.get("filtros") or {}
    dropped: list[str] = []
    for name, known in choices.items():
        wanted = [str(value) for value in filters.get(name) or ()]
        st.session_state[key[name]] = [value for value in wanted if value in known]
        dropped += [f"{table_cells.label(name)}: {value}" for value in wanted if value not in known]
    of_cases = view.get("casos") or {}
    for name in case_columns.FILTERS:
        st.session_state[name] = [str(value) for value in of_cases.get(name) or ()]
    st.session_state[key["busca"]] = table_query.clean_search(str(view.get("busca") or ""))
    st.session_state[key["ordem"]] = str(view.get("ordem") or _newest_first(table))
    columns = view.get("colunas") or ()
    st.session_state[key["colunas"]] = [name for name in columns if name in list(table.columns)]
    st.session_state[key["sem"]] = dropped
    to_first_page(key)


def _say_dropped(key: Keys) -> None:
    dropped = st.session_state.pop(key["sem"], None)
    if dropped:
        st.warning(plain(t(DROPPED, values="; ".join(dropped))))


def _clear(key: Keys, filtered: Sequence[str]) -> None:
    st.session_state[key["busca"]] = ""
    for name in (*(key[name] for name in filtered), *case_columns.FILTERS):
        st.session_state[name] = []
    to_first_page(key)


def _search(key: Keys) -> None:
    st.session_state[key["busca"]] = table_query.clean_search(st.session_state[key["busca"]])
    to_first_page(key)
